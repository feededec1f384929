"""Reliability bins, expected calibration error and Brier score: by hand, and against torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import rgbt_seg_ros.network  # noqa: F401  (lets torchvision be imported, which torchmetrics does)
from rgbt_seg_ros.evaluation.reliability import (
    bin_of,
    brier_score,
    confidence_levels,
    expected_calibration_error,
    reliability,
    reliability_of,
)


def levels(entries):
    counts = np.zeros((256, 2), np.int64)
    for level, wrong, right in entries:
        counts[level] = wrong, right
    return counts


def test_only_pixels_with_a_label_and_a_prediction_are_counted():
    label = np.array([[0, 1, 255, 1]], np.uint8)
    prediction = np.array([[0, 0, 0, 255]], np.uint8)
    confidence = np.array([[200, 100, 50, 0]], np.uint8)
    counts = confidence_levels(label, prediction, confidence)
    assert counts[200].tolist() == [0, 1]
    assert counts[100].tolist() == [1, 0]
    assert counts.sum() == 2


def test_every_level_falls_into_the_bin_of_its_fraction():
    # Level 17 is 17/255 = 1/15: the closed upper end of the first bin, which floats would miss.
    bins = reliability(levels([(0, 1, 0), (17, 2, 0), (18, 4, 0), (34, 8, 0), (35, 16, 0), (255, 32, 0)]))
    assert len(bins) == 15
    assert [entry.pixels for entry in bins[:3]] == [3, 12, 16]
    assert bins[14].pixels == 32
    assert (bins[0].low, bins[14].high) == (0.0, 1.0)


def test_bins_of_probabilities_close_at_their_upper_end():
    assert bin_of(np.array([0.0, 0.25, 0.26, 0.5, 1.0]), 4).tolist() == [0, 0, 1, 1, 3]


def test_expected_calibration_error_by_hand():
    # 10 pixels at 204/255 = 0.8, 6 of them right; 30 at 0.4 (102/255), 15 right.
    bins = reliability(levels([(204, 4, 6), (102, 15, 15)]))
    assert expected_calibration_error(bins) == pytest.approx((10 * 0.2 + 30 * 0.1) / 40)


def test_a_confidence_that_is_a_probability_has_no_error():
    assert expected_calibration_error(reliability(levels([(51, 8, 2), (204, 2, 8)]))) == pytest.approx(0.0, abs=1e-12)


def test_brier_score_by_hand():
    assert brier_score(levels([(255, 1, 2), (51, 3, 0)])) == pytest.approx((1 + 0 + 0 + 3 * 0.04) / 6)


def test_without_pixels_there_is_no_metric():
    empty = levels([])
    assert math.isnan(expected_calibration_error(reliability(empty)))
    assert math.isnan(brier_score(empty))
    assert all(math.isnan(entry.accuracy) and math.isnan(entry.confidence) for entry in reliability(empty))


def test_torchmetrics_agrees():
    metrics = pytest.importorskip("torchmetrics.classification", reason="torchmetrics is not installed")
    rng = np.random.default_rng(5)
    logits = torch.from_numpy(rng.normal(size=(4000, 5)) * 2.0)
    target = torch.from_numpy(rng.integers(0, 5, 4000))
    probability, guess = torch.softmax(logits, 1).max(1)
    expected = float(metrics.MulticlassCalibrationError(5, n_bins=15, norm="l1")(torch.softmax(logits, 1), target))
    found = expected_calibration_error(reliability_of(probability.numpy(), (guess == target).numpy()))
    assert found == pytest.approx(expected, abs=1e-6)

    # From the masks: the same up to the rounding of the confidence to 8 bits.
    confidence = np.rint(255 * probability.numpy()).astype(np.uint8)
    counts = confidence_levels(target.numpy().astype(np.uint8), guess.numpy().astype(np.uint8), confidence)
    assert expected_calibration_error(reliability(counts)) == pytest.approx(expected, abs=0.005)
