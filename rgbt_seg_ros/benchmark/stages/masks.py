"""What it costs to do something with the masks: threshold, statistics, pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.benchmark.stages.case import Case
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.masks import apply_threshold, statistics
from rgbt_seg_ros.pipeline.rendering import colourise, heat, overlay


def mask_cases(rgb: ByteArray, label: ByteArray) -> list[Case]:
    """Return the cases for an RGB image (H, W, 3) and a mask (H, W) of MFNet's classes, both uint8."""
    # Patches, as a network gives them: of 16 pixels, and a quarter of them below the threshold.
    patches = np.random.default_rng(0).integers(76, 256, (-(-label.shape[0] // 16), -(-label.shape[1] // 16)), np.uint8)
    confidence = patches.repeat(16, 0).repeat(16, 1)[: label.shape[0], : label.shape[1]].copy()
    valid = np.ones(label.shape, bool)
    valid[:, : label.shape[1] // 10] = False
    classes = MFNET.classes

    # In place, so a copy each time: its cost is in the figure, as in a run that must not change what the engine gave.
    def threshold(only: npt.NDArray[np.bool_] | None) -> None:
        apply_threshold(label.copy(), confidence.copy(), 0.5, only)

    return [
        Case("masks", "threshold 0.5, two copies with it", lambda: threshold(None)),
        Case("masks", "threshold 0.5 and validity, two copies with it", lambda: threshold(valid)),
        Case("masks", "statistics", lambda: statistics(label, confidence, len(classes))),
        Case("rendering", "colours", lambda: colourise(label, classes)),
        Case("rendering", "overlay", lambda: overlay(rgb, label, classes)),
        Case("rendering", "confidence as heat", lambda: heat(confidence)),
    ]
