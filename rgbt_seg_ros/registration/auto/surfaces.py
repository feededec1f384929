"""How well each cell of the image agrees with the warped thermal image under small displacements of the latter."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import Float32Array, FloatArray
from rgbt_seg_ros.registration.orientation import Channels

_NOISE = 0.1
"""Of the mean energy of the channels: added to a cell's own, so that nearly empty cells say little."""

Surface = Float32Array


@dataclass(frozen=True)
class Cells:
    """Surfaces of N cells.

    Attributes:
        surfaces: (N, 2·reach + 1, 2·reach + 1) float32, correlation -1 to 1 for displacements (y, x) from -reach to reach px of
            the thermal image.
        centres: (N, 2) float64, middles (x, y) of the cells in the pixels of the channels.
        grid: (rows, columns) of the cells, N of them.
    """

    surfaces: Surface
    centres: FloatArray
    grid: tuple[int, int]


def cell_surfaces(rgb: Channels, thermal: Channels, cell: int, reach: int) -> Cells:
    """Correlate the channels of both images (C, H, W), cell by cell.

    Args:
        rgb: Of the RGB image.
        thermal: Of the thermal image, warped to about the same place; 0 where it shows nothing.
        cell: px from a cell to the next; each is two of these wide, so that neighbours overlap by half.
        reach: Largest displacement, px.
    """
    _, height, width = rgb.shape
    rows, columns = max(1, height // cell), max(1, width // cell)
    padded = np.pad(thermal, ((0, 0), (reach, reach), (reach, reach)))
    energy = np.einsum("chw,chw->hw", padded, padded)
    visible = (energy > 0).astype(np.float32)
    own = np.einsum("chw,chw->hw", rgb, rgb)
    floors = [_NOISE * float(values.mean()) + 1e-6 for values in (own, energy)]
    side = 2 * reach + 1
    surfaces = np.zeros((side, side, rows, columns), np.float32)

    def pooled(values: Float32Array) -> Float32Array:
        means = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.boxFilter(means, -1, (2, 2), borderType=cv2.BORDER_CONSTANT), np.float32)

    for down in range(side):
        for right in range(side):
            # What the image shows at x after a displacement d was at x - d before.
            part = np.s_[2 * reach - down : 2 * reach - down + height, 2 * reach - right : 2 * reach - right + width]
            common = pooled(np.einsum("chw,chw->hw", rgb, padded[:, part[0], part[1]]))
            first, second = pooled(own * visible[part]), pooled(energy[part])
            surfaces[down, right] = common / np.sqrt((first + floors[0]) * (second + floors[1]))
    flat = np.ascontiguousarray(surfaces.transpose(2, 3, 0, 1)).reshape(rows * columns, side, side)
    # A window of two covers a cell and the one before it.
    y, x = np.mgrid[0:rows, 0:columns]
    centres = np.stack((x.ravel() * width / columns, y.ravel() * height / rows), -1) - 0.5
    return Cells(flat, centres, (rows, columns))


def smoothed(surfaces: Surface, sigma: float) -> Surface:
    """Blur each surface by a Gaussian of ``sigma`` px, its border continued outwards."""
    side = surfaces.shape[1]
    radius = int(np.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    matrix = np.zeros((side, side), np.float32)
    for row in range(side):
        np.add.at(matrix[row], np.clip(row + offsets, 0, side - 1), kernel)
    return np.asarray(matrix @ surfaces @ matrix.T, np.float32)
