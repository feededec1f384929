"""Confusion matrices and their scores: by hand, and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rgbt_seg_ros.network  # noqa: F401  (lets torchvision be imported, which torchmetrics does)
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.evaluation import confusion_matrix, scores


def mask(*rows):
    return np.array(rows, np.uint8)


def test_rows_are_the_truth_and_columns_the_prediction():
    truth, guess = mask([0, 0, 1], [1, 2, 2]), mask([0, 1, 1], [1, 2, 0])
    assert confusion_matrix(truth, guess, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert confusion_matrix(truth, guess, 3).dtype == np.int64


def test_pixels_without_a_label_are_left_out():
    assert confusion_matrix(mask([255, 255, 1]), mask([0, 1, 1]), 2).tolist() == [[0, 0], [0, 1]]


def test_a_pixel_without_a_prediction_counts_as_class_0():
    assert confusion_matrix(mask([0, 1, 1, 255]), mask([255, 255, 1, 255]), 2).tolist() == [[1, 0], [1, 1]]


def test_matrices_of_parts_add_up_to_that_of_the_whole():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 5, (2, 40, 30)).astype(np.uint8)
    parts = confusion_matrix(truth[:13], guess[:13], 5) + confusion_matrix(truth[13:], guess[13:], 5)
    assert np.array_equal(parts, confusion_matrix(truth, guess, 5))


def test_views_that_are_not_contiguous_can_be_given():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 5, (2, 40, 30)).astype(np.uint8)
    expected = confusion_matrix(truth[::2, ::3].copy(), guess[::2, ::3].copy(), 5)
    assert np.array_equal(confusion_matrix(truth[::2, ::3], guess[::2, ::3], 5), expected)


@pytest.mark.parametrize(
    ("truth", "guess", "word"),
    [
        ([0, 3], [0, 0], "label mask"),
        ([0, 254], [0, 0], "254"),
        ([0, 1], [0, 3], "prediction"),
        ([0], [0, 0], "pixels"),
    ],
)
def test_what_no_matrix_has_a_place_for_is_refused(truth, guess, word):
    with pytest.raises(DataError, match=word):
        confusion_matrix(mask(truth), mask(guess), 3)


def test_a_strange_id_where_nothing_is_scored_is_refused_too():
    with pytest.raises(DataError, match="label mask: class id 7"):
        confusion_matrix(mask([7, 0]), mask([255, 0]), 3)


def test_255_classes_fit():
    every = np.arange(255, dtype=np.uint8)
    assert np.array_equal(confusion_matrix(every, every, 255), np.eye(255))


def test_scores_of_a_matrix_by_hand():
    # Class 0: 3 right of 4, one more predicted: 3/5. Class 1: 2 right of 4: 2/5. Class 2: nowhere. Class 3: predicted only.
    result = scores(np.array([[3, 1, 0, 0], [1, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert result.iou[[0, 1, 3]].tolist() == [3 / 5, 2 / 5, 0.0]
    assert np.isnan(result.iou[2])
    assert result.accuracy[:2].tolist() == [3 / 4, 2 / 4]
    assert np.isnan(result.accuracy[2:]).all()
    assert result.pixels.tolist() == [4, 4, 0, 0]
    assert result.miou == pytest.approx((3 / 5 + 2 / 5 + 0) / 3)
    assert result.miou_nan_as_zero == pytest.approx((3 / 5 + 2 / 5) / 4)
    assert result.macc == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert result.pixel_accuracy == pytest.approx(5 / 8)


def test_scores_of_nothing_are_nan():
    result = scores(np.zeros((3, 3), np.int64))
    assert np.isnan([*result.iou, *result.accuracy, result.miou, result.macc, result.pixel_accuracy]).all()
    assert result.miou_nan_as_zero == 0.0


def test_torchmetrics_agrees():
    metrics = pytest.importorskip("torchmetrics.classification", reason="torchmetrics is not installed")
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 6, (60, 80)).astype(np.uint8)
    guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 6, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    target, prediction = torch.from_numpy(truth).long(), torch.from_numpy(guess).long()
    result = scores(confusion_matrix(truth, guess, 6))
    share = {"num_classes": 6, "ignore_index": 255}
    matrix = metrics.MulticlassConfusionMatrix(**share)(prediction, target)
    assert np.array_equal(matrix.numpy(), confusion_matrix(truth, guess, 6))
    iou = metrics.MulticlassJaccardIndex(**share, average="none")(prediction, target)
    assert result.iou == pytest.approx(iou.numpy(), abs=1e-6)
    recall = metrics.MulticlassAccuracy(**share, average="none")(prediction, target)
    assert result.accuracy == pytest.approx(recall.numpy(), abs=1e-6)
    # Dice, which is F1, follows from the IoU.
    dice = metrics.MulticlassF1Score(**share, average="none")(prediction, target)
    assert 2 * result.iou / (1 + result.iou) == pytest.approx(dice.numpy(), abs=1e-6)
    accuracy = metrics.MulticlassAccuracy(**share, average="micro")(prediction, target)
    assert result.pixel_accuracy == pytest.approx(float(accuracy), abs=1e-6)
