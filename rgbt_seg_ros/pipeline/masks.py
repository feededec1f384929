"""Label and confidence masks: the threshold, the unlabeled id, and what a mask holds per class."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray

UNLABELED = 255
"""Class id of a pixel that has no label: outside the thermal overlap, or less confident than the threshold."""


@dataclass(frozen=True)
class MaskStatistics:
    """What one label mask holds.

    Attributes:
        pixels: Pixels per class id, one entry a class of the model.
        confidence: Mean confidence (0..1) per class id; 0 for a class with no pixel.
        unlabeled: Pixels that carry ``UNLABELED``.
    """

    pixels: tuple[int, ...]
    confidence: tuple[float, ...]
    unlabeled: int


def apply_threshold(
    label: ByteArray,
    confidence: ByteArray,
    threshold: float,
    valid: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Mark as unlabeled, in place, what is less confident than ``threshold`` or not valid.

    Args:
        label: (H, W) uint8 class ids; set to ``UNLABELED`` where a pixel fails.
        confidence: (H, W) uint8, round(255·p); set to 0 where a pixel fails.
        threshold: Probability 0..1; 0 keeps every pixel. A pixel passes when its grey level is at least 255·threshold.
        valid: (H, W) bool, false where the pixel saw no thermal data; None: all valid.
    """
    failing = None
    if threshold > 0:
        failing = confidence < 255.0 * threshold
    if valid is not None:
        failing = ~valid if failing is None else failing | ~valid
    if failing is not None:
        np.putmask(label, failing, UNLABELED)
        np.putmask(confidence, failing, 0)


def statistics(label: ByteArray, confidence: ByteArray, num_classes: int) -> MaskStatistics:
    """Count pixels and average the confidence of each class of (H, W) uint8 masks in one pass (a joint histogram)."""
    joint = cv2.calcHist([label, confidence], [0, 1], None, [256, 256], [0, 256, 0, 256])
    pixels = joint.sum(axis=1, dtype=np.float64)
    total = joint.astype(np.float64) @ (np.arange(256) / 255.0)
    mean = np.divide(total, pixels, out=np.zeros(256), where=pixels > 0)
    return MaskStatistics(
        pixels=tuple(int(count) for count in pixels[:num_classes]),
        confidence=tuple(float(value) for value in mean[:num_classes]),
        unlabeled=int(pixels[UNLABELED]),
    )
