"""Boundary IoU: the overlap of two masks close to their contours, where a large object's IoU looks away.

Source: Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
CVPR 2021, equation 4, with the distance of the authors' implementation.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray
from rgbt_seg_ros.data.samples import IGNORED
from rgbt_seg_ros.evaluation.confusion import ratio
from rgbt_seg_ros.pipeline.masks import UNLABELED

DISTANCE = 0.02
"""Width d of the band along the contour, as a share of the image diagonal."""


def distance_in_pixels(shape: tuple[int, int], share: float = DISTANCE) -> int:
    """Return d in whole pixels, at least 1, for an image of ``shape`` (H, W)."""
    return max(1, round(share * math.hypot(*shape)))


def _band(mask: ByteArray, distance: int) -> npt.NDArray[np.bool_]:
    """Return where another class, or the outside of the image, is at most ``distance`` away in both axes.

    That is the inner band of every class at once: a class mask loses exactly these pixels when it is eroded ``distance``
    times by a 3×3 square, since some pixel of the window then differs from its centre.
    """
    window = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    band = np.asarray(cv2.dilate(mask, window) != cv2.erode(mask, window))
    band[:distance] = band[-distance:] = True
    band[:, :distance] = band[:, -distance:] = True
    return band


def boundary_counts(label: ByteArray, prediction: ByteArray, num_classes: int, share: float = DISTANCE) -> IntArray:
    """Count the intersection and the union of the two masks' inner bands.

    Args:
        label: (H, W) uint8 true class ids. ``IGNORED`` (255) pixels are taken out of both masks first, so that both have the
            same contour there.
        prediction: (H, W) uint8 class ids; ``UNLABELED`` (255) counts as class 0, as in ``confusion_matrix``.
        num_classes: K.
        share: Width of the band, as a share of the image diagonal.

    Returns:
        (2, K) int64: intersection and union of G_d ∩ G and P_d ∩ P. Counts of several images add up.
    """
    shape = (label.shape[0], label.shape[1])
    distance = distance_in_pixels(shape, share)
    filled = np.where(prediction == UNLABELED, np.uint8(0), prediction)
    filled[label == IGNORED] = IGNORED
    truth, guess = _band(label, distance), _band(filled, distance)
    both = truth & guess & (label == filled)
    inside_truth, inside_guess, inside_both = (
        np.bincount(mask[where], minlength=256)[:num_classes]
        for mask, where in ((label, truth), (filled, guess), (label, both))
    )
    return np.stack((inside_both, inside_truth + inside_guess - inside_both)).astype(np.int64)


def boundary_iou(counts: IntArray) -> FloatArray:
    """Return (K,) Boundary IoU of (2, K) counts; nan for a class with no pixel in either mask."""
    return ratio(counts[0], counts[1])
