"""Masks in another size: which class a cell gets."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.reduction import fixed_size, reduce_masks

ROAD, POLE, CAR = 1, 2, 3


def masks(shape=(48, 64), road=200):
    return np.full(shape, ROAD, np.uint8), np.full(shape, road, np.uint8)


@pytest.mark.parametrize("column", range(20, 28))
@pytest.mark.parametrize("size", [(24, 32), (12, 16), (20, 30)])
def test_a_pole_one_pixel_wide_survives_wherever_it_stands(column, size):
    label, confidence = masks()
    label[:, column], confidence[:, column] = POLE, 220
    reduced, mean = reduce_masks(label, confidence, size)
    assert reduced.shape == mean.shape == size
    assert (reduced == POLE).any(axis=1).all()
    if size != (20, 30):
        assert (reduced == POLE).sum(axis=1).tolist() == [1] * size[0]
        # Of its own pixels, not of the ground beside it.
        assert np.abs(mean[reduced == POLE].astype(int) - 220).max() <= 4


def test_one_stray_pixel_does_not_take_a_cell():
    label, confidence = masks()
    label[17, 21] = CAR
    reduced, _ = reduce_masks(label, confidence, (12, 16))
    assert (reduced == ROAD).all()


def test_a_line_that_the_network_is_unsure_of_does_not_take_a_cell():
    label, confidence = masks(road=250)
    label[:, 30], confidence[:, 30] = POLE, 40
    assert (reduce_masks(label, confidence, (12, 16))[0] == ROAD).all()


def test_a_person_of_few_pixels_survives_a_reduction_by_eight():
    label, confidence = masks((480, 640))
    label[200:224, 301:309] = POLE
    reduced, _ = reduce_masks(label, confidence, (60, 80))
    assert (reduced[25:28] == POLE).any(axis=1).all()


def test_areas_grow_by_less_than_a_cell():
    label, confidence = masks()
    label[9:31, 13:43] = CAR
    reduced, _ = reduce_masks(label, confidence, (12, 16))
    rows, columns = np.nonzero(reduced == CAR)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 7, 3, 10)


def test_what_is_unlabeled_stays_so_with_confidence_0():
    label, confidence = masks()
    label[:, :32], confidence[:, :32] = 255, 0
    label[:, 31], confidence[:, 31] = POLE, 200
    reduced, mean = reduce_masks(label, confidence, (12, 16))
    assert (reduced[:, :7] == 255).all()
    assert (mean[:, :7] == 0).all()
    # A pole at the rim of what is labelled is a line too.
    assert (reduced[:, 7] == POLE).all()
    assert (reduced[:, 8:] == ROAD).all()


def test_the_same_size_costs_nothing_and_a_larger_one_repeats_pixels():
    label, confidence = masks()
    assert reduce_masks(label, confidence, (48, 64))[0] is label
    label[0, 0] = CAR
    larger, _ = reduce_masks(label, confidence, (96, 128))
    assert np.argwhere(larger == CAR).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(("text", "size"), [("image", None), ("cloud", None), ("240x320", (240, 320))])
def test_sizes_are_hxw(text, size):
    assert fixed_size(text) == size


@pytest.mark.parametrize("text", ["", "320", "320X240", "0x5", "99999x9", "half"])
def test_other_sizes_are_refused(text):
    with pytest.raises(SettingError):
        fixed_size(text)
