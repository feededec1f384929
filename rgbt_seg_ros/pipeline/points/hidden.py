"""Which points of a cloud something nearer hides from the camera.

A sensor beside the camera sees past the edges of things: what it measures behind them projects onto them. Between the lines of
a LiDAR a near thing leaves gaps through which the far points would show, so each near point stands for a patch as large as the
gaps. The mask says how far the thing really reaches: a point is hidden only by points whose pixels show the same class as its
own pixel. Where they differ, the pixel shows something else than the near thing.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array

_SHIFT = 1
"""Cells have sides of a power of two, since dividing whole numbers takes long: of 2 px at least."""

_CELL = 1 << _SHIFT

_EVERY = 5
"""Of the lines of cells, those in which gaps are measured."""

_SHARE = 0.8
"""Of the gaps between neighbours: those inside a surface, not those from one to the next."""

_WIDEST = 40
"""px; gaps beyond it are between surfaces."""

_REACH = 1.0
"""Of a gap that a point reaches to each side: the upper edge of a thing may lie a whole gap above the line that meets it."""

_LEAST = 1.5
"""px; no patch reaches less."""


def gaps(column: AnyArray, row: AnyArray, size: tuple[int, int]) -> tuple[float, float]:
    """Return the distances (px) of neighbouring points along x and along y.

    Args:
        column: (N,) whole pixels.
        row: (N,) whole pixels.
        size: (H, W) of the image.
    """
    height, width = size[0] // _CELL + 1, size[1] // _CELL + 1
    taken = np.zeros(height * width, np.bool_)
    taken[(row >> _SHIFT) * width + (column >> _SHIFT)] = True
    grid = taken.reshape(height, width)
    return _gap(grid[::_EVERY]), _gap(grid[:, ::_EVERY].T)


def _gap(lines: npt.NDArray[np.bool_]) -> float:
    """Return the distance (px) of most neighbours along the lines (L, M) of cells."""
    widest = _WIDEST // _CELL
    # Between two lines lies more than the widest gap.
    apart = np.zeros((lines.shape[0], lines.shape[1] + widest), np.bool_)
    apart[:, : lines.shape[1]] = lines
    steps = np.diff(np.flatnonzero(apart))
    counts = np.bincount(steps[steps <= widest])
    if not counts.size:
        return float(_CELL)
    return float(_CELL * np.searchsorted(np.cumsum(counts), _SHARE * counts.sum()))


def hidden(
    column: AnyArray,
    row: AnyArray,
    near: Float32Array,
    label: ByteArray,
    size: tuple[int, int],
    focal: float,
) -> npt.NDArray[np.bool_]:
    """Return which points are hidden; all arguments (N,) of points that fall into the image.

    Args:
        column: Whole pixels.
        row: Whole pixels.
        near: Inverse distances along the camera's axis, 1/m.
        label: Class ids of the pixels that the points fall on.
        size: (H, W) of the image.
        focal: Focal length, px.
    """
    if not column.size:
        return np.zeros(0, np.bool_)
    reach = [max(_LEAST, _REACH * gap) for gap in gaps(column, row, size)]
    # Two cells to a reach or more: a patch is as exact as a quarter of it.
    shift = [max(_SHIFT, int(np.log2(side / 2))) for side in reach]
    cell = [1 << places for places in shift]
    around = [max(1, round(side / step)) for side, step in zip(reach, cell, strict=True)]
    shape = size[0] // cell[1] + 1, size[1] // cell[0] + 1
    present = np.flatnonzero(cv2.calcHist([label], [0], None, [256], [0, 256]))
    layer = np.zeros(256, np.int32)
    layer[present] = np.arange(len(present))
    index = (row >> shift[1]) * shape[1]
    index += column >> shift[0]
    index *= len(present)
    if len(present) > 1:
        index += layer[label]
    # Numpy would convert each index in each use.
    index = index.astype(np.intp)
    nearest = np.zeros(shape[0] * shape[1] * len(present), np.float32)
    np.maximum.at(nearest, index, near)
    kernel = np.ones((2 * around[1] + 1, 2 * around[0] + 1), np.uint8)
    spread = np.asarray(cv2.dilate(nearest.reshape(*shape, len(present)), kernel))
    # The ground 1 m below a camera comes nearer by this from one end of a patch to the other: one surface.
    slack = np.float32(max((count + 0.5) * step for count, step in zip(around, cell, strict=True)) / focal)
    return np.asarray(spread.reshape(-1)[index] - near > slack)
