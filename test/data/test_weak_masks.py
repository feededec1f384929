"""Label masks grown in boxes: on pictures whose true mask is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.samples import IGNORED, Box, DataError, Sample
from rgbt_seg_ros.data.weak_masks import WeakMaskSettings, weak_label

PERSON, CAR = 2, 1


def night_sample(boxes, draw):
    """A dark, noisy colour image, and a thermal one in which ``draw`` paints the warm objects."""
    rng = np.random.default_rng(0)
    truth = np.zeros((120, 160), np.uint8)
    draw(truth)
    rgb = rng.integers(0, 24, (120, 160, 3), dtype=np.uint8)
    thermal = np.clip(40 + 140 * (truth > 0) + rng.normal(0, 6, truth.shape), 0, 255).astype(np.uint8)
    return Sample("night", "N", rgb, thermal, None, tuple(boxes)), truth > 0


def person(truth):
    cv2.ellipse(truth, (60, 60), (9, 30), 0, 0, 360, 1, -1)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_the_mask_of_a_warm_person_follows_the_thermal_image():
    sample, truth = night_sample([Box(PERSON, 50, 29, 71, 92)], person)
    assert iou(weak_label(sample) == PERSON, truth) > 0.85


def test_a_thermal_image_of_another_size_and_depth_is_followed_too():
    sample, truth = night_sample([Box(PERSON, 50, 29, 71, 92)], person)
    thermal = cv2.resize(sample.thermal, (80, 60)).astype(np.uint16) * 50 + 27000
    assert iou(weak_label(replace(sample, thermal=thermal)) == PERSON, truth) > 0.6


def test_a_large_box_is_shrunk_and_still_followed():
    factor = 8
    sample, truth = night_sample([Box(PERSON, 50 * factor, 29 * factor, 71 * factor, 92 * factor)], person)
    size = (160 * factor, 120 * factor)
    large = replace(sample, rgb=cv2.resize(sample.rgb, size), thermal=cv2.resize(sample.thermal, size))
    expected = cv2.resize(truth.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    assert iou(weak_label(large) == PERSON, expected) > 0.85


def test_what_a_box_does_not_explain_is_ignored_and_the_rest_is_background():
    box = Box(PERSON, 50, 29, 71, 92)
    sample, _ = night_sample([box], person)
    label = weak_label(sample, WeakMaskSettings(background=7))
    inside = np.zeros(label.shape, bool)
    inside[29:92, 50:71] = True
    assert set(np.unique(label[inside])) == {PERSON, IGNORED}
    assert (label[~inside] == 7).all()


def test_a_box_without_anything_to_separate_gets_its_core():
    flat = np.full((64, 64), 90, np.uint8)
    sample = Sample("flat", "", np.dstack([flat] * 3), flat, None, (Box(CAR, 10, 20, 50, 44),))
    label = weak_label(sample)
    share = (label[20:44, 10:50] == CAR).mean()
    assert 0.5 < share < 0.8
    assert label[32, 30] == CAR
    assert label[20, 10] == IGNORED


def test_the_nearer_of_two_boxes_wins_where_they_overlap():
    flat = np.full((64, 64), 90, np.uint8)
    far, near = Box(CAR, 8, 10, 40, 40), Box(PERSON, 24, 12, 36, 60)
    for boxes in ((far, near), (near, far)):
        sample = Sample("two", "", np.dstack([flat] * 3), flat, None, boxes)
        assert weak_label(sample)[35, 30] == PERSON


def test_how_far_a_box_reaches_below_the_image_does_not_make_it_nearer():
    flat = np.full((64, 64), 90, np.uint8)
    boxes = (Box(CAR, 8, 10, 40, 90), Box(PERSON, 12, 12, 36, 64))
    cut = (replace(boxes[0], bottom=64), boxes[1])
    first, second = (weak_label(Sample("two", "", np.dstack([flat] * 3), flat, None, case)) for case in (boxes, cut))
    assert first[40, 24] == PERSON
    np.testing.assert_array_equal(first, second)


def test_the_same_sample_gives_the_same_mask():
    sample, _ = night_sample([Box(PERSON, 50, 29, 71, 92)], person)
    first = weak_label(sample)
    cv2.setRNGSeed(99)
    np.testing.assert_array_equal(weak_label(sample), first)


def test_tiny_empty_and_outlying_boxes_do_no_harm():
    sample, _ = night_sample(
        [Box(PERSON, 3, 3, 7, 7), Box(CAR, 20, 20, 20, 20), Box(CAR, -30, 100, -5, 130), Box(CAR, 150, 90, 200, 200)],
        person,
    )
    label = weak_label(sample)
    assert label[5, 5] == PERSON
    assert set(np.unique(label)) <= {0, CAR, PERSON, IGNORED}


def test_no_boxes_annotated_is_background_and_no_annotation_is_refused():
    sample, _ = night_sample([], person)
    assert not weak_label(sample).any()
    with pytest.raises(DataError, match="night: has no boxes"):
        weak_label(replace(sample, boxes=None))
