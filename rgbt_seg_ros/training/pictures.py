"""The picture grid of an evaluation: a row a sample, its images, its truth and what the network makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.rendering import heat, overlay, strip
from rgbt_seg_ros.training.validation import Shown


def picture_grid(shown: Sequence[Shown], classes: Sequence[ClassInfo], height: int = 160) -> ByteArray:
    """Return (rows·height, W, 3) uint8 RGB: RGB, thermal, truth, prediction, confidence from left to right.

    Args:
        shown: From 1 sample.
        classes: The model's class table.
        height: Of a row in pixels.
    """
    rows = []
    for sample in shown:
        size = (sample.item.label.shape[0], sample.item.label.shape[1])
        rgb = resize(sample.item.rgb, size)
        tiles = (
            ("RGB", rgb),
            ("thermal", resize(sample.item.thermal, size)),
            ("truth", overlay(rgb, sample.item.label, classes, 0.6)),
            ("prediction", overlay(rgb, sample.prediction, classes, 0.6)),
            ("confidence", heat(sample.confidence)),
        )
        rows.append(strip(tiles, height))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
