"""Pictures for people."""

from __future__ import annotations

import numpy as np

from rgbt_seg_ros.network import ClassInfo
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.rendering import colourise, heat, overlay, strip

CLASSES = (ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "car", (200, 0, 100)))


def test_overlay_blends_classes_and_leaves_background_and_unlabeled_pixels_alone():
    rgb = np.full((1, 3, 3), 100, np.uint8)
    label = np.array([[0, 1, UNLABELED]], np.uint8)
    assert overlay(rgb, label, CLASSES, 0.5).tolist() == [[[100] * 3, [150, 50, 100], [100] * 3]]
    assert (rgb == 100).all()


def test_colourise_uses_the_class_table():
    assert colourise(np.array([[1, 0, 9]], np.uint8), CLASSES).tolist() == [[[200, 0, 100], [0, 0, 0], [0, 0, 0]]]


def test_strip_puts_pictures_of_any_size_side_by_side_and_leaves_them_untouched():
    colour, grey = np.zeros((240, 320, 3), np.uint8), np.zeros((120, 160), np.uint8)
    picture = strip([("a", colour), ("b", grey), ("c", heat(grey))], height=240)
    assert picture.shape == (240, 960, 3)
    assert not colour.any()
    assert picture[:, :320].any()
