"""Confusion matrices of label masks, and the scores of the field taken from one.

The convention since RTFNet (Sun et al. 2019): one matrix over all pixels of the whole set, class 0 included, and the scores
once from its sums, not averaged over images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray
from rgbt_seg_ros.data.samples import IGNORED, DataError
from rgbt_seg_ros.pipeline.masks import UNLABELED


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix of K classes says; fractions 0..1.

    Attributes:
        iou: (K,) float64, TP / (TP + FP + FN); nan for a class with no pixel in either mask.
        accuracy: (K,) float64, TP / (TP + FN), the recall; nan for a class with no true pixel.
        pixels: (K,) int64 true pixels.
        miou: Mean of ``iou`` over the classes that have one; nan if none has.
        miou_nan_as_zero: Mean over all K classes, nan counted as 0: the paper's mean.
        macc: Mean of ``accuracy`` over the classes that have one; nan if none has.
        pixel_accuracy: Correct pixels / all scored pixels; nan if there are none.
    """

    iou: FloatArray
    accuracy: FloatArray
    pixels: IntArray
    miou: float
    miou_nan_as_zero: float
    macc: float
    pixel_accuracy: float


def confusion_matrix(label: ByteArray, prediction: ByteArray, num_classes: int) -> IntArray:
    """Count pixels by true and predicted class.

    Args:
        label: uint8 class ids of any shape; ``IGNORED`` (255) pixels are left out.
        prediction: uint8 class ids of the same shape. ``UNLABELED`` (255, below the confidence threshold) counts as class 0,
            which is "unlabeled" or "background" in the published class tables: a miss of any other true class.
        num_classes: K, 1..255.

    Returns:
        (K, K) int64; rows are the truth, columns the prediction. Matrices of several images add up.

    Raises:
        DataError: The shapes differ, or a mask holds an id that is neither a class nor 255.
    """
    if label.shape != prediction.shape:
        raise DataError(f"label mask: {label.shape} pixels, but the prediction has {prediction.shape}")
    # One pass over the pixels counts every pair of bytes; only the 65536 counts are looked at for what is out of range.
    pairs = (label.ravel().astype(np.uint16) << 8) | prediction.ravel()
    joint = np.bincount(pairs, minlength=65536).reshape(256, 256).astype(np.int64)
    joint[:, 0] += joint[:, UNLABELED]
    joint[:, UNLABELED] = 0
    joint[IGNORED] = 0
    for name, counts in (("label mask", joint.sum(axis=1)), ("prediction", joint.sum(axis=0))):
        strange = np.flatnonzero(counts[num_classes:])
        if strange.size:
            raise DataError(
                f"{name}: class id {num_classes + strange[0]} is neither 0..{num_classes - 1} nor {IGNORED}"
            )
    return np.ascontiguousarray(joint[:num_classes, :num_classes], dtype=np.int64)


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def ratio(part: IntArray, whole: IntArray) -> FloatArray:
    """Return (K,) part / whole; nan where whole is 0."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def scores(matrix: IntArray) -> Scores:
    """Return what a (K, K) confusion matrix (rows truth, columns prediction) says."""
    hits = np.diagonal(matrix)
    pixels, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    iou = ratio(hits, pixels + predicted - hits)
    accuracy = ratio(hits, pixels)
    total = int(matrix.sum())
    return Scores(
        iou=iou,
        accuracy=accuracy,
        pixels=pixels.astype(np.int64),
        miou=_mean(iou),
        miou_nan_as_zero=float(np.nan_to_num(iou).mean()),
        macc=_mean(accuracy),
        pixel_accuracy=int(hits.sum()) / total if total else float("nan"),
    )
