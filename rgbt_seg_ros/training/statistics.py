"""What is measured of the training data before a run: pixels per class, and the thermal images' mean and deviation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.data.samples import IGNORED
from rgbt_seg_ros.training.sources import LabelledSource


@dataclass(frozen=True)
class DataStatistics:
    """Attributes.

    pixels: (256,) int64 label pixels by value, each source weighted as often as an epoch draws it.
    thermal_mean: Of all thermal pixels scaled to 0..1.
    thermal_std: Standard deviation of the same pixels.
    """

    pixels: IntArray
    thermal_mean: float
    thermal_std: float


def measure(sources: Sequence[LabelledSource], picks: Iterable[tuple[int, int]]) -> DataStatistics:
    """Read samples, as they come out of the thermal preprocessing and before any augmentation.

    Args:
        sources: Data sets.
        picks: (source, index) of each sample to read.
    """
    pixels = np.zeros(256, np.int64)
    levels = np.zeros(256, np.int64)
    for source, index in picks:
        sample = sources[source][index]
        assert sample.label is not None
        pixels += np.bincount(sample.label.ravel(), minlength=256)
        levels += np.bincount(sample.thermal.ravel(), minlength=256)
    pixels[IGNORED] = 0
    grey = np.arange(256) / 255.0
    total = max(1, int(levels.sum()))
    mean = float(levels @ grey) / total
    return DataStatistics(pixels, mean, float(np.sqrt(max(0.0, float(levels @ grey**2) / total - mean**2))))
