"""How well two images agree when one is moved: the score of every small shift, cell by cell.

Normalised cross-correlation of orientation channels (``registration.orientation``), so that a contrast that is reversed
between RGB and thermal counts as agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.registration.orientation import CHANNELS, lightness, orientation_channels

CELLS = 4
"""Cells along a side."""

LEAST_CELL = 8
"""px along a side of a cell."""

_RIM = 4
"""px beside what is not valid that count as not valid: smoothing carries the fill's edge so far."""


@dataclass(frozen=True)
class ShiftScores:
    """Sums from which the score of a shift follows, of K cells and of shifts (dx, dy) up to ``reach``; they add up over pairs.

    Attributes:
        products: (K, 2·reach + 1, 2·reach + 1) float64, Σ moved · fixed; row dy + reach, column dx + reach.
        fixed: The same shape, Σ fixed² where the moved cell then lies.
        moved: (K,) float64, Σ moved².
        centres: (K, 2) float64, (x, y) of the cells' middles from the image's middle, px.
        reach: px.
    """

    products: FloatArray
    fixed: FloatArray
    moved: FloatArray
    centres: FloatArray
    reach: int

    def __add__(self, other: ShiftScores) -> ShiftScores:
        """Return the sums over both; they have to be of images of one size."""
        return ShiftScores(
            self.products + other.products,
            self.fixed + other.fixed,
            self.moved + other.moved,
            self.centres,
            self.reach,
        )


def fits(size: tuple[int, int], reach: int) -> bool:
    """Return whether images of (height, width) are large enough for cells and shifts."""
    return min(size) - 2 * reach >= CELLS * LEAST_CELL


def shift_scores(rgb: ByteArray, thermal: ByteArray, valid: npt.NDArray[np.bool_] | None, reach: int) -> ShiftScores:
    """Compare an aligned pair at every shift of the thermal image.

    Args:
        rgb: (H, W, 3) uint8.
        thermal: (H, W) uint8, aligned to it.
        valid: (H, W) bool, false where the thermal image shows nothing; None: all valid.
        reach: px, the largest shift along an axis; ``fits`` has to hold.

    Returns:
        Sums of the ``CELLS``² cells of the image without a margin of ``reach``. A shift (dx, dy) scores well where what the
        thermal image shows at (x, y) lies at (x + dx, y + dy) in the RGB image.
    """
    height, width = thermal.shape
    seen = np.ones((height, width), np.uint8) if valid is None else valid.astype(np.uint8)
    side = 2 * _RIM + 1
    seen = np.asarray(cv2.erode(seen, np.ones((side, side), np.uint8), borderValue=1), np.uint8)
    fixed = orientation_channels(lightness(rgb))
    moved = orientation_channels(lightness(thermal), seen)
    power, mask = np.sum(fixed * fixed, 0), seen.astype(np.float32)
    rows, columns = (np.linspace(reach, end - reach, CELLS + 1).astype(int) for end in (height, width))
    products, energies, own, centres = [], [], [], []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            cell = np.s_[..., top:bottom, left:right]
            around = np.s_[..., top - reach : bottom + reach, left - reach : right + reach]
            products.append(sum(_correlate(fixed[around][c], moved[cell][c]) for c in range(CHANNELS)))
            energies.append(_correlate(power[around], mask[cell]))
            own.append(float(np.sum(moved[cell].astype(np.float64) ** 2)))
            centres.append(((left + right - width) / 2, (top + bottom - height) / 2))
    return ShiftScores(np.stack(products), np.stack(energies), np.array(own), np.array(centres), reach)


def _correlate(image: Float32Array, template: Float32Array) -> FloatArray:
    found = cv2.matchTemplate(np.ascontiguousarray(image), np.ascontiguousarray(template), cv2.TM_CCORR)
    return np.asarray(found, np.float64)
