"""How steady masks are over time, and how alike those of two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.pipeline.masks import UNLABELED

LONGEST_STEP_NS = 1_000_000_000
"""Frames further apart (ns) are not compared: too much of the scene is another."""


@dataclass(frozen=True)
class Flips:
    """What changed from one mask to the next.

    Attributes:
        changed: Pixels with another class.
        compared: Pixels labelled in both masks.
        step_ns: Time between the two (ns).
    """

    changed: int
    compared: int
    step_ns: int


def flips(previous: ByteArray, current: ByteArray, step_ns: int) -> Flips | None:
    """Compare two consecutive label masks.

    The rate of label flips of a recording is Σ changed / Σ (compared · step): flips per pixel per second. Nothing is
    compensated: what moves flips pixels at its edges too, so the metric compares models on one recording, not recordings.

    Args:
        previous: (H, W) uint8 class ids, 255 unlabeled.
        current: The same of the next frame.
        step_ns: Time between their stamps (ns).

    Returns:
        None where they cannot be compared: other sizes, a step that is not positive, or one above ``LONGEST_STEP_NS``.
    """
    if previous.shape != current.shape or not 0 < step_ns <= LONGEST_STEP_NS:
        return None
    both = (previous != UNLABELED) & (current != UNLABELED)
    changed = int(np.count_nonzero((previous != current) & both))
    return Flips(changed, int(np.count_nonzero(both)), step_ns)
