"""What moved between consecutive images of one camera, as a few curves over time.

Optical flow of small grey images (Kroeger et al. 2016, DIS), averaged over the cells of a coarse grid: the motion of a
camera that drives shows in all cells, that of a person before a tripod in some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray, FloatArray, IntArray
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise

GRID = (3, 4)
"""Cells: rows, columns."""

CHANNELS = GRID[0] * GRID[1] * 2
"""Displacements of all cells, to the right and down."""

SIZE = 160
"""Width (px) of the images that flow is computed on, and the largest height."""

LEAST_LIKENESS = 0.5
"""Correlation of an image with the one before, moved by the flow, below which the scene is another one."""


@dataclass(frozen=True)
class Motion:
    """Displacements of one stream; N steps from a frame to the next.

    Attributes:
        start: (N,) int64, stamp of the first frame of a step (ns); increasing.
        end: (N,) int64, stamp of the second (ns): above ``start``, at most the next ``start``.
        displacement: (N, C) float64, pixels of the small image; C channels, which mean the same in both cameras.
        valid: (N,) bool; false where the flow means nothing: the scene is another one, or frames are missing.
    """

    start: IntArray
    end: IntArray
    displacement: FloatArray
    valid: npt.NDArray[np.bool_]


def grey(image: AnyArray, size: int = SIZE) -> ByteArray:
    """Return a small grey image of the same shape.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) uint8, uint16 or float32 of a thermal camera, which is stretched from its 1st
            to its 99th percentile.
        size: Width and height (px) are at most this; smaller images stay as they are.
    """
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    if scale < 1:
        image = cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
    if image.ndim == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return normalise(image, ThermalSettings("percentile"))


class MotionMeter:
    """Takes the images of one stream one after the other, and keeps two of them."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._previous: ByteArray | None = None
        self._stamp = 0
        self._steps: list[tuple[int, int, bool]] = []
        self._displacements: list[FloatArray] = []

    def add(self, stamp: int, image: ByteArray) -> None:
        """Take the next image.

        Args:
            stamp: Its stamp (ns); an image that is not newer than all before is passed over.
            image: (h, w) uint8, as ``grey`` makes it.
        """
        previous = self._previous
        if previous is not None and stamp <= self._stamp:
            return
        if previous is not None and previous.shape == image.shape and min(image.shape) >= 16:
            displacement, like = self._measure(previous, image)
            self._steps.append((self._stamp, stamp, like))
            self._displacements.append(displacement)
        self._previous, self._stamp = image, stamp

    def _measure(self, previous: ByteArray, image: ByteArray) -> tuple[FloatArray, bool]:
        forward, backward = self._flow.calc(previous, image, None), self._flow.calc(image, previous, None)
        rows, columns = np.indices(image.shape, dtype=np.float32)
        moved = cv2.remap(
            image, columns + forward[..., 0], rows + forward[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )
        # Flow belongs to what a cell shows at its first image: that of one direction would be of an earlier moment than the
        # middle of the step, by more the longer the step, and the slower camera would seem to be early.
        both = (_cells(forward, previous) - _cells(backward, image)) / 2
        return both, _likeness(previous, moved) >= LEAST_LIKENESS

    def motion(self) -> Motion:
        """Return what was seen so far."""
        steps = np.array([(start, end) for start, end, _ in self._steps], np.int64).reshape(-1, 2)
        like = np.array([like for _, _, like in self._steps], bool)
        displacement = np.array(self._displacements, np.float64).reshape(-1, CHANNELS)
        return Motion(steps[:, 0], steps[:, 1], displacement, like)


def _cells(flow: Any, image: ByteArray) -> FloatArray:
    """Return the mean flow of each cell, (C,); edges count more: flat ground has no flow of its own."""
    edges = cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)) + 1e-3
    weighted = np.dstack((flow * edges[..., None], edges))
    cells = cv2.resize(weighted, (GRID[1], GRID[0]), interpolation=cv2.INTER_AREA)
    return np.asarray((cells[..., :2] / cells[..., 2:]).reshape(-1), np.float64)


def _likeness(first: ByteArray, second: Any) -> float:
    """Return the correlation of two images, in both of which the same was seen: about 1."""
    score = cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)
    return float(score[0, 0]) if np.isfinite(score[0, 0]) else 0.0
