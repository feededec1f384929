"""One look at a picture: the few numbers that tell whether it shows anything, and a digest that tells whether it is new.

Brightness and detail are measured on some twenty thousand pixels, in cells of 8x8 of them: what differs between cells is the
scene, what differs within them is mostly noise. The digest covers every pixel, so that one small thing that moves makes it new.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array

FULL_SCALE = {"uint8": (255,), "uint16": (1023, 4095, 16383, 65535)}
"""Highest values of sensors, by dtype."""

ALIKE = 0.99
"""Share of pixels of one value from which an image counts as one value: a few pixels of a covered camera are always odd."""

_MEASURED = 19_000
"""Pixels that brightness and detail are measured on, about."""

_LOOKED_AT = 2000
"""Pixels of which the most frequent value is sought, about."""

_CELL = 8
_FEWEST_CELLS = 8
"""Cells across the shorter side, at least; those of a small image are smaller."""

_BLOCK = 509 * 8
"""Bytes of the blocks that are summed for a digest: not a multiple of a usual row, so that what moves down changes the sums."""


@dataclass(frozen=True)
class PictureFacts:
    """What one look at a picture tells; values are in the image's own units, those of an RGB image in grey levels.

    Attributes:
        digest: The same for the same pixels, and hardly ever for others.
        dtype: Name of the image's dtype.
        level: Mean value.
        detail: Standard deviation of the means of cells, without the share that noise has in it: what the scene shows.
        noise: Standard deviation within cells: noise and fine texture.
        peak: How far the brightest cell is above the middle one: a lamp in the night.
        saturated: Share (0..1) of pixels at the highest value that the sensor can give.
        uniform: Whether all pixels but a few have one value, or none is finite.
    """

    digest: int
    dtype: str
    level: float
    detail: float
    noise: float
    peak: float
    saturated: float
    uniform: bool


def thin(image: AnyArray, pixels: int = _LOOKED_AT) -> AnyArray:
    """Return a view of about so many pixels of (H, W) or (H, W, C), evenly spread; all of a small image."""
    height, width = image.shape[:2]
    step = max(1, math.isqrt(height * width // pixels))
    return image[:: min(step, height), :: min(step, width)]


def digest(image: AnyArray) -> int:
    """Return a number that tells the image from any other: it covers every byte of an array of any shape and dtype."""
    data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    whole = data.size // _BLOCK * _BLOCK
    sums = data[:whole].view(np.uint64).reshape(-1, _BLOCK // 8).sum(0)
    return zlib.crc32(data[whole:].data, zlib.crc32(sums.data.cast("B")))


def shared_value(values: AnyArray) -> float | None:
    """Return the value that nearly all of (N,) values have; None: they differ."""
    middle = np.partition(values, values.size // 2)[values.size // 2]
    alike = np.count_nonzero(values == middle) >= ALIKE * values.size
    return middle.item() if alike else None


def look_at(image: AnyArray, known: int | None = None) -> PictureFacts:
    """Look at a picture.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) uint8, uint16 or float, where NaN is a pixel without a value.
        known: Its digest, or that of the message it came in; None: it is computed.
    """
    seen = thin(image, _MEASURED)
    if seen.ndim == 3:
        # Far faster than a copy of the view, whose runs are three bytes long.
        sampled = cv2.resize(image, (seen.shape[1], seen.shape[0]), interpolation=cv2.INTER_NEAREST)
        seen = cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY)
    values = seen.astype(np.float32)
    if seen.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        values[~finite] = values[finite].mean() if finite.any() else 0.0
    level = float(values.mean())
    detail, noise, peak = _cells(values - np.float32(level))
    few = thin(values)
    return PictureFacts(
        digest(image) if known is None else known,
        image.dtype.name,
        level,
        detail,
        noise,
        peak,
        _saturated(seen),
        shared_value(few.ravel()) is not None,
    )


def _saturated(seen: AnyArray) -> float:
    highest = seen.max()
    if highest not in FULL_SCALE.get(seen.dtype.name, ()):
        return 0.0
    return float(np.count_nonzero(seen == highest)) / seen.size


def _cells(values: Float32Array) -> tuple[float, float, float]:
    """Return detail, noise and peak of (h, w) values around 0."""
    height, width = values.shape
    side = max(1, min(_CELL, min(height, width) // _FEWEST_CELLS))
    rows, columns = height // side, width // side
    values = values[: rows * side, : columns * side]
    size = side * side
    # Down, then across: sums over whole rows are many times faster than over both axes at once.
    down = np.add.reduce(values.reshape(rows, side, -1), 1)
    cells = np.add.reduce(down.reshape(rows, columns, side), 2) / np.float32(size)
    flat = cells.ravel()
    mean = flat.mean()
    between = float(flat @ flat) / flat.size - float(mean) ** 2
    total = float(values.ravel() @ values.ravel()) / values.size - float(mean) ** 2
    within = max(total - between, 0.0) * size / (size - 1) if size > 1 else 0.0
    detail = math.sqrt(max(between - within / size, 0.0))
    peak = float(flat.max() - np.partition(flat, flat.size // 2)[flat.size // 2])
    return detail, math.sqrt(within), peak
