"""Pixels of a thermal image that carry no measurement: found, counted, and filled from their neighbours.

A pixel is *dead* here when it alone departs from its surroundings, in one frame: from each of its eight neighbours, in the same
direction, by more than ``_SHARE`` of the scene's range and more than ``_NOISE`` times the noise, while the neighbours agree
among themselves to within ``_AGREEMENT`` of that departure. A lens spreads even a distant point over several pixels, so a real
object raises its neighbours, too; a stuck or hot pixel of the sensor does not. Signal processors of cameras correct defects by
the same comparison with the extremes of the neighbours.

The frame alone decides: no list is learned, so that a frame gives the same picture wherever a run begins. Groups of dead pixels
that touch are not found: cameras map them out themselves.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.pipeline.thermal.bounds import percentiles, sample

Pixels = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Rows and columns, as ``numpy.nonzero`` returns them."""

FILL_PASSES = 4
"""Passes over a hole, each one pixel inwards from its rim: holes of up to 8 pixels across are filled."""

_SHARE = 0.1
_NOISE = 10.0
_AGREEMENT = 0.15

_AROUND = tuple((row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1))


def non_finite(image: AnyArray) -> npt.NDArray[np.bool_] | None:
    """Return (H, W), true where a float image is NaN or infinite; None where nowhere."""
    if image.dtype.kind != "f":
        return None
    finite = np.isfinite(image)
    return None if finite.all() else ~finite


def fill(image: Float32Array, holes: npt.NDArray[np.bool_]) -> Float32Array:
    """Return a copy in which holes have the mean of their measured neighbours (3×3), from the rim inwards.

    Args:
        image: (H, W) float32.
        holes: (H, W), true where it carries no measurement.

    Returns:
        The copy. What is further than ``FILL_PASSES`` pixels from any measurement is as it was: a picture should not be
        invented there.
    """
    known = (~holes).astype(np.float32)
    values = np.where(holes, np.float32(0), image)
    for _ in range(FILL_PASSES):
        if known.all():
            break
        count = cv2.boxFilter(known, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        total = cv2.boxFilter(values, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        reached = (known == 0) & (count > 0.5)
        values[reached] = total[reached] / np.rint(count[reached])
        known[reached] = 1
    return np.where(known > 0, values, image)


def find_dead(image: AnyArray) -> Pixels:
    """Return the dead pixels of a frame, as the module defines them.

    Args:
        image: (H, W) uint8, uint16 or float32. Beside a pixel that is not finite none is found.
    """
    departure = cv2.absdiff(image, cv2.medianBlur(image, 3))
    values, of_sample = sample(image), sample(departure)
    if not (values.size and of_sample.size):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    low, high = percentiles(values, (1, 99))
    threshold = max(_SHARE * (high - low), _NOISE * percentiles(of_sample, (50,))[0])
    # Few pixels pass this test, and only they are looked at closely.
    rows, columns = np.divmod(np.flatnonzero(departure > threshold), image.shape[1])
    if not len(rows):
        return rows, columns
    value, around = image[rows, columns].astype(np.float64), neighbours(image, (rows, columns)).astype(np.float64)
    highest, lowest = around.max(axis=0), around.min(axis=0)
    with np.errstate(invalid="ignore"):  # infinities that were not to be repaired
        alone = np.maximum(value - highest, lowest - value)
        dead = (alone > threshold) & (highest - lowest <= _AGREEMENT * alone)
    return rows[dead], columns[dead]


def neighbours(image: AnyArray, pixels: Pixels) -> AnyArray:
    """Return (8, N): the eight neighbours of N pixels; the image is mirrored at its rim."""
    padded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REFLECT_101)
    rows, columns = pixels
    return np.stack([padded[rows + row, columns + column] for row, column in _AROUND])


def replace_dead(image: AnyArray, pixels: Pixels) -> AnyArray:
    """Return a copy in which the given pixels have a value from the middle of their eight neighbours, of the same dtype."""
    repaired: AnyArray = image.copy()
    repaired[pixels] = np.sort(neighbours(image, pixels), axis=0)[3]
    return repaired
