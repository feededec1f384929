"""What the thermal stage costs, for every normalisation, repair and kind of image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.benchmark.stages.case import Case
from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

_BODY = (60, 25)
"""Rows and columns of a warm body."""


def thermal_scene(size: tuple[int, int], seed: int = 0) -> AnyArray:
    """Return (H, W) uint16 of a scene in centi-Kelvin: a gradient, warm bodies and noise of 50 mK."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    image = 28500 + 1200 * rows / size[0] + 150 * np.sin(columns / 40)
    for _ in range(12):
        row, column = rng.integers(0, size[0]), rng.integers(0, size[1])
        image[row : row + _BODY[0], column : column + _BODY[1]] = 30600
    return np.asarray((cv2.GaussianBlur(image, (5, 5), 0.8) + rng.normal(0, 5, size)).astype(np.uint16))


def plain(image: AnyArray) -> AnyArray:
    """Stretch uint16 between the 1st and 99th percentile as plainly as numpy says it: what there is to compare with.

    Percentiles of every fourth pixel of every fourth row, a table of all 16-bit values, one lookup per pixel; no counts, no
    repair.
    """
    low, high = np.percentile(image[::4, ::4].ravel(), (1, 99))
    values = np.arange(65536, dtype=np.float32)
    table = np.clip(np.rint((values - np.float32(low)) * np.float32(255.0 / (high - low))), 0, 255).astype(np.uint8)
    return np.asarray(table[image])


def thermal_cases(size: tuple[int, int]) -> list[Case]:
    """Return the cases for thermal images of (H, W)."""
    image = thermal_scene(size)
    kelvin = image.astype(np.float32) / 100
    holes = kelvin.copy()
    holes[:: max(1, size[0] // 8), :: max(1, size[1] // 8)] = np.nan
    grey = plain(image)

    def stage(pixels: AnyArray, **values: Any) -> Callable[[], Any]:
        run = ThermalInput(ThermalSettings(**values), ThermalPreprocessing())
        return lambda: run(pixels, 1_000_000_000)

    centi: dict[str, Any] = {"preset": "centikelvin"}
    runs = {
        "mono16, numpy alone": lambda: plain(image),
        "mono16, percentile (default)": stage(image),
        "mono16, percentile, centikelvin, telemetry cropped": stage(image, crop_top=2, **centi),
        "mono16, percentile, smoothing": stage(image, smoothing=2.0),
        "mono16, minmax": stage(image, normalisation="minmax"),
        "mono16, fixed": stage(image, normalisation="fixed", low=280.0, high=310.0, **centi),
        "mono16, clahe": stage(image, normalisation="clahe"),
        "mono16, percentile, repair none": stage(image, repair="none"),
        "mono16, percentile, repair dead": stage(image, repair="dead"),
        "mono8, none (default)": stage(grey, normalisation="none"),
        "mono8, clahe": stage(grey, normalisation="clahe"),
        "mono8, none, repair dead": stage(grey, normalisation="none", repair="dead"),
        "32FC1, percentile (default)": stage(kelvin, preset="kelvin"),
        "32FC1, percentile, NaN in it, repair none": stage(holes, preset="kelvin", repair="none"),
        "32FC1, percentile, NaN in it, repair non_finite": stage(holes, preset="kelvin"),
        "32FC1, percentile, NaN in it, repair dead": stage(holes, preset="kelvin", repair="dead"),
    }
    return [Case("thermal", name, run) for name, run in runs.items()]


def table_case() -> Case:
    """Return the case of the table of 65536 grey levels alone, which every mono16 frame builds: an image of one pixel."""
    from rgbt_seg_ros.pipeline.thermal.normalise import stretch

    pixel = np.full((1, 1), 29000, np.uint16)
    return Case(
        "thermal", "mono16: the table of grey levels alone, part of each", lambda: stretch(pixel, (28500, 30600))
    )
