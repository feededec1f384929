"""Whether the confidence is a probability: reliability bins, expected calibration error, Brier score.

Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equations 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray
from rgbt_seg_ros.data.samples import IGNORED
from rgbt_seg_ros.pipeline.masks import UNLABELED

BINS = 15
"""Equal-width bins of the confidence, as in the paper."""

LEVELS = 256


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability plot: pixels whose confidence is in (low, high], the first bin with its lower end.

    Attributes:
        low: Lower end of the confidence, 0..1.
        high: Upper end.
        pixels: How many pixels fell into it.
        confidence: Their mean confidence; nan where there are none.
        accuracy: The share of them that is right; nan where there are none.
    """

    low: float
    high: float
    pixels: int
    confidence: float
    accuracy: float


def confidence_levels(label: ByteArray, prediction: ByteArray, confidence: ByteArray) -> IntArray:
    """Count wrong and right pixels by confidence level.

    Args:
        label: uint8 true class ids; ``IGNORED`` (255) pixels are left out.
        prediction: uint8 class ids of the same shape; ``UNLABELED`` (255) pixels, which state no confidence, are left out.
        confidence: uint8 of the same shape, round(255·p) of the predicted class.

    Returns:
        (256, 2) int64: pixels of each grey level, column 0 wrong, column 1 right. Counts of several images add up.
    """
    scored = (label != IGNORED) & (prediction != UNLABELED)
    key = (confidence.astype(np.uint16) << 1) | (label == prediction)
    return np.bincount(key[scored], minlength=2 * LEVELS).reshape(LEVELS, 2).astype(np.int64)


def bin_of(probability: FloatArray, bins: int = BINS) -> npt.NDArray[np.intp]:
    """Return the index 0..bins-1 of the bin (i/bins, (i+1)/bins] each probability (0..1) falls into; 0 falls into the first."""
    return np.clip(np.ceil(probability * bins).astype(np.intp) - 1, 0, bins - 1)


def _bin_of_levels(bins: int) -> npt.NDArray[np.intp]:
    # In whole numbers: 17/255 is the upper end of the first of 15 bins, and as floats it is not.
    levels = np.arange(LEVELS)
    return np.maximum(-(-levels * bins // (LEVELS - 1)) - 1, 0)


def _bins(
    index: npt.NDArray[np.intp],
    pixels: FloatArray,
    right: FloatArray,
    probability: FloatArray,
    bins: int,
) -> tuple[Bin, ...]:
    count, hits, total = (
        np.bincount(index, weights, minlength=bins) for weights in (pixels, right, pixels * probability)
    )
    with np.errstate(invalid="ignore"):
        confidence, accuracy = total / count, hits / count
    return tuple(
        Bin(i / bins, (i + 1) / bins, int(count[i]), float(confidence[i]), float(accuracy[i])) for i in range(bins)
    )


def reliability(levels: IntArray, bins: int = BINS) -> tuple[Bin, ...]:
    """Return the bins of (256, 2) counts as ``confidence_levels`` gives them; the confidence is level / 255."""
    pixels, right = levels.sum(axis=1).astype(np.float64), levels[:, 1].astype(np.float64)
    return _bins(_bin_of_levels(bins), pixels, right, np.arange(LEVELS) / (LEVELS - 1), bins)


def reliability_of(probability: FloatArray, right: npt.NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """Return the bins of N single predictions: (N,) probability 0..1 of the predicted class and (N,) whether it is right."""
    return _bins(bin_of(probability, bins), np.ones(len(right)), right.astype(np.float64), probability, bins)


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return Σ (pixels of a bin / all pixels)·|accuracy − confidence| (Guo et al. 2017, equation 3); nan without pixels."""
    filled = [entry for entry in bins if entry.pixels]
    total = sum(entry.pixels for entry in filled)
    if not total:
        return float("nan")
    return sum(entry.pixels * abs(entry.accuracy - entry.confidence) for entry in filled) / total


def brier_score(levels: IntArray) -> float:
    """Return the mean of (confidence − 1 where right, 0 where wrong)² over (256, 2) counts; nan without pixels."""
    confidence = np.arange(LEVELS) / (LEVELS - 1)
    total = int(levels.sum())
    if not total:
        return float("nan")
    return float(levels[:, 0] @ confidence**2 + levels[:, 1] @ (1.0 - confidence) ** 2) / total
