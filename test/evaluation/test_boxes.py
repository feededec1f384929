"""Hit and stray at their thresholds, on masks small enough to count."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Box
from rgbt_seg_ros.evaluation.boxes import BoxCounts, box_counts, pixels_between

CAR, PERSON = 1, 2


def mask(shape=(20, 30)):
    return np.zeros(shape, np.uint8)


def carry(prediction, count, class_id, top=0, left=0, width=10):
    """Give ``count`` pixels of a box, row by row, a class."""
    for index in range(count):
        prediction[top + index // width, left + index % width] = class_id
    return prediction


@pytest.mark.parametrize(("count", "hits"), [(30, 1), (29, 0), (31, 1), (100, 1), (0, 0)])
def test_30_percent_of_the_pixels_are_a_hit_and_one_less_is_not(count, hits):
    counts = box_counts(carry(mask(), count, PERSON), [Box(PERSON, 0, 0, 10, 10)], 3)
    assert counts.hits.tolist() == [0, 0, hits]
    assert counts.boxes.tolist() == [0, 0, 1]
    assert counts.hit_rate[PERSON] == hits


def test_pixels_of_another_class_are_no_hit():
    assert box_counts(carry(mask(), 100, CAR), [Box(PERSON, 0, 0, 10, 10)], 3).hits.sum() == 0


def test_hits_and_boxes_are_counted_per_class():
    prediction = carry(carry(mask(), 50, PERSON), 50, CAR, left=15)
    boxes = [Box(PERSON, 0, 0, 10, 10), Box(CAR, 15, 0, 25, 10), Box(CAR, 0, 10, 10, 20)]
    counts = box_counts(prediction, boxes, 3)
    assert counts.hits.tolist() == [0, 1, 1]
    assert counts.boxes.tolist() == [0, 2, 1]
    assert counts.hit_rate.tolist()[1:] == [0.5, 1.0]
    assert np.isnan(counts.hit_rate[0])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2, 5, [2, 3, 4]),  # whole edges: the centres 2.5, 3.5, 4.5
        (2.5, 4.5, [2, 3, 4]),  # on the centres: inside
        (2.51, 4.49, [3]),
        (1.6, 2.4, []),  # between two centres
        (-3, 1, [0]),
        (8, 99, [8, 9]),
        (-9, -4, []),
        (12, 15, []),
        (2 + 1e-9, 5 - 1e-9, [2, 3, 4]),
    ],
)
def test_a_pixel_is_in_a_box_if_its_centre_is(low, high, expected):
    assert list(range(10))[pixels_between(low, high, 10)] == expected


def test_an_edge_that_decimals_moved_off_a_pixel_centre_still_includes_it():
    assert list(range(10))[pixels_between(2.5 + 1e-9, 4.5 - 1e-9, 10)] == [2, 3, 4]


@pytest.mark.parametrize("axis", [0, 1])
def test_stray_begins_past_a_tenth_of_the_side_on_each_side(axis):
    # The box is 10..20 along the axis, grown 9..21: pixels 9 and 20 are inside, 8 and 21 are stray.
    for pixel, stray in ((8, 1), (9, 0), (10, 0), (20, 0), (21, 1)):
        prediction = mask((40, 40))
        prediction[(15, pixel) if axis else (pixel, 15)] = CAR
        counts = box_counts(prediction, [Box(CAR, 10, 10, 20, 20)], 3)
        assert (counts.stray[CAR], counts.pixels[CAR]) == (stray, 1), pixel


@pytest.mark.parametrize("class_id", [CAR, PERSON])
def test_a_tenth_of_a_large_side_is_just_that(class_id):
    prediction = np.full((5, 140), class_id, np.uint8)
    counts = box_counts(prediction, [Box(class_id, 20, 0, 120, 5)], 3)
    assert counts.stray[class_id] == 5 * (10 + 10)


def test_each_side_grows_by_its_own_length():
    # 40 wide and 10 high: 4 pixels to the left and right, 1 above and below.
    prediction = np.full((40, 80), CAR, np.uint8)
    counts = box_counts(prediction, [Box(CAR, 20, 10, 60, 20)], 3)
    assert counts.pixels[CAR] - counts.stray[CAR] == 48 * 12


def test_only_boxes_of_the_class_itself_hold_its_pixels():
    counts = box_counts(carry(mask(), 100, CAR), [Box(PERSON, 0, 0, 10, 10)], 3)
    assert counts.stray[CAR] == counts.pixels[CAR] == 100
    assert counts.stray_share[CAR] == 1.0


def test_overlapping_boxes_hold_a_pixel_once():
    counts = box_counts(np.full((20, 30), CAR, np.uint8), [Box(CAR, 0, 0, 10, 10), Box(CAR, 5, 0, 15, 10)], 3)
    # Grown: columns 0..10 and 4..15, rows 0..10.
    assert counts.pixels[CAR] - counts.stray[CAR] == 16 * 11


def test_an_image_annotated_as_empty_makes_every_pixel_stray():
    counts = box_counts(carry(mask(), 7, PERSON), [], 3)
    assert counts.stray[PERSON] == counts.pixels[PERSON] == 7
    assert counts.boxes.sum() == 0


def test_without_a_pixel_of_the_class_there_is_no_stray_share():
    counts = box_counts(mask(), [Box(PERSON, 0, 0, 10, 10)], 3)
    assert np.isnan(counts.stray_share[PERSON])


def test_a_box_without_a_pixel_can_neither_be_hit_nor_missed():
    prediction = np.full((20, 30), PERSON, np.uint8)
    boxes = [Box(PERSON, 3.6, 0, 4.4, 10), Box(PERSON, 40, 0, 50, 10), Box(PERSON, 0, 0, 10, 10)]
    counts = box_counts(prediction, boxes, 3)
    assert (counts.boxes[PERSON], counts.hits[PERSON], counts.empty) == (1, 1, 2)


def test_a_box_beyond_the_image_counts_with_what_is_inside():
    # Columns 25..29 of 25..45: 50 pixels, 15 of them are 30 %.
    boxes = [Box(PERSON, 25, 0, 45, 10)]
    assert box_counts(carry(mask(), 15, PERSON, left=25, width=5), boxes, 3).hits[PERSON] == 1
    assert box_counts(carry(mask(), 14, PERSON, left=25, width=5), boxes, 3).hits[PERSON] == 0


def test_unlabeled_pixels_are_no_class():
    counts = box_counts(np.full((20, 30), 255, np.uint8), [Box(CAR, 0, 0, 10, 10)], 3)
    assert counts.pixels.sum() == counts.hits.sum() == 0


def test_counts_of_images_add_up():
    one = box_counts(carry(mask(), 30, PERSON), [Box(PERSON, 0, 0, 10, 10)], 3)
    two = box_counts(carry(mask(), 20, PERSON), [Box(PERSON, 0, 0, 10, 10), Box(PERSON, 50, 0, 60, 9)], 3)
    total = one + two + BoxCounts.none(3)
    assert total.hit_rate[PERSON] == 0.5
    assert (total.pixels[PERSON], total.empty) == (50, 1)


def test_objects_are_matched_with_boxes_one_to_one_by_iou():
    label = np.zeros((60, 120), np.uint8)
    # Two persons apart, each in its box; a car where a person is annotated; a speck.
    label[10:30, 10:20], label[10:30, 40:52], label[35:55, 70:90], label[0, 0] = 2, 2, 1, 2
    boxes = [Box(2, 10, 10, 20, 30), Box(2, 41, 9, 52, 30), Box(2, 70, 35, 90, 55), Box(1, 0, 40, 20, 60)]
    counts = box_counts(label, boxes, 3)
    assert counts.found.tolist() == [0, 1, 2]
    assert counts.matched.tolist() == [0, 0, 2]
    np.testing.assert_array_equal(counts.object_recall[1:], [0.0, 2 / 3])
    np.testing.assert_array_equal(counts.object_precision[1:], [0.0, 1.0])


def test_two_persons_that_touch_are_one_object_and_one_box_serves_one_object():
    label = np.zeros((60, 120), np.uint8)
    label[10:30, 10:30] = 2
    touching = box_counts(label, [Box(2, 10, 10, 20, 30), Box(2, 20, 10, 30, 30)], 3)
    # Half of the object's box is exactly enough, for one of them.
    assert (touching.found[2], touching.matched[2]) == (1, 1)
    label[10:30, 18:22] = 0
    split = box_counts(label, [Box(2, 10, 10, 30, 30)], 3)
    assert (split.found[2], split.matched[2]) == (2, 0)


def test_the_edge_of_a_match_is_an_iou_of_a_half():
    label = np.zeros((60, 120), np.uint8)
    label[0:20, 0:20] = 1
    assert box_counts(label, [Box(1, 0, 0, 40, 20)], 2).matched[1] == 1
    assert box_counts(label, [Box(1, 0, 0, 40.5, 20)], 2).matched[1] == 0
