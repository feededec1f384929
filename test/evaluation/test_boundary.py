"""Boundary IoU against its definition, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.evaluation.boundary import boundary_counts, boundary_iou, distance_in_pixels


def band(mask, distance):
    """Return G_d ∩ G: pixels of a class mask with a pixel outside it, or outside the image, within ``distance``."""
    height, width = mask.shape
    result = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        for v in range(y - distance, y + distance + 1):
            for u in range(x - distance, x + distance + 1):
                if not (0 <= v < height and 0 <= u < width) or not mask[v, u]:
                    result[y, x] = True
    return result


def definition(label, prediction, classes, distance):
    counts = np.zeros((2, classes), np.int64)
    for index in range(classes):
        truth, guess = band(label == index, distance), band(prediction == index, distance)
        counts[:, index] = (truth & guess).sum(), (truth | guess).sum()
    return counts


def blobs(seed, shape, classes):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    for _ in range(12):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        h, w = rng.integers(1, 14, 2)
        mask[y : y + h, x : x + w] = rng.integers(0, classes)
    return mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.06, 0.3])
def test_it_is_the_definition(seed, share):
    label, prediction = blobs(seed, (30, 41), 4), blobs(seed + 100, (30, 41), 4)
    prediction[5:20] = label[5:20]
    distance = distance_in_pixels(label.shape, share)
    expected = definition(label, prediction, 4, distance)
    assert expected[0].sum() > 0
    assert np.array_equal(boundary_counts(label, prediction, 4, share), expected)


def test_the_distance_is_two_percent_of_the_diagonal_and_at_least_a_pixel():
    assert distance_in_pixels((480, 640)) == 16
    assert distance_in_pixels((10, 10)) == 1


def test_a_large_object_moved_by_a_pixel_loses_more_at_the_boundary_than_in_iou():
    label, prediction = np.zeros((2, 200, 200), np.uint8)
    label[20:180, 20:180] = 1
    prediction[22:182, 20:180] = 1
    both, either = ((label & prediction) > 0).sum(), ((label | prediction) > 0).sum()
    found = boundary_iou(boundary_counts(label, prediction, 2))[1]
    assert 0.6 < found < both / either - 0.1


def test_ignored_pixels_are_no_contour_and_no_pixels():
    label, prediction = np.ones((2, 40, 40), np.uint8)
    label[10:30, 10:30] = 255
    prediction[12:28, 12:28] = 0
    counts = boundary_counts(label, prediction, 2)
    assert counts[0, 1] == counts[1, 1] > 0
    assert counts[:, 0].tolist() == [0, 0]


def test_an_unlabeled_prediction_is_class_0_and_the_masks_stay_as_they_are():
    label = blobs(1, (30, 30), 2)
    prediction = np.where(label == 0, np.uint8(255), label)
    before = prediction.copy()
    assert boundary_iou(boundary_counts(label, prediction, 2)) == pytest.approx([1.0, 1.0])
    assert np.array_equal(prediction, before)


def test_a_class_that_is_nowhere_has_no_metric():
    empty = np.zeros((10, 10), np.uint8)
    assert np.isnan(boundary_iou(boundary_counts(empty, empty, 3))).tolist() == [False, True, True]
