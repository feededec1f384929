"""Calibration boards that both cameras see: a checker, or circles in rows, and the ways to count their points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import FloatArray, IntArray
from rgbt_seg_ros.errors import UserError

KINDS = ("checker", "circles", "acircles")

Order = IntArray

SMALLEST, LARGEST = 3, 50

WIDEST = 1.0
"""m between points: more are millimetres or centimetres."""


class BoardError(UserError):
    """A board that cannot be, or that was not seen well enough; the sentence says what was expected."""


@dataclass(frozen=True)
class Board:
    """A flat board with a grid of points.

    Attributes:
        kind: ``checker`` (points are its inner corners), ``circles`` (rows above each other), ``acircles`` (every other row
            shifted by half, as of OpenCV's asymmetric grid).
        columns: Points in a row.
        rows: Rows.
        spacing: m between neighbouring points; of ``acircles`` between neighbouring rows, half of what lies between the circles
            of a row.

    Raises:
        BoardError: Another kind, a side that is not 3 to 50, or no spacing.
    """

    kind: str
    columns: int
    rows: int
    spacing: float

    def __post_init__(self) -> None:
        """Refuse a board that cannot be."""
        if self.kind not in KINDS:
            raise BoardError(f"board '{self.kind}': expected one of {', '.join(KINDS)}")
        if not all(SMALLEST <= side <= LARGEST for side in (self.columns, self.rows)):
            raise BoardError(f"grid {self.columns}x{self.rows}: {SMALLEST} to {LARGEST} points a side were expected")
        if not 0.001 <= self.spacing <= WIDEST:
            raise BoardError(f"spacing {self.spacing:g}: metres were expected, from 0.001 to {WIDEST:g}")

    def __str__(self) -> str:
        """Return it in words."""
        points = {"checker": "inner corners", "circles": "circles", "acircles": "circles, every other row shifted"}
        return f"{self.columns}x{self.rows} {points[self.kind]}"

    @property
    def points(self) -> FloatArray:
        """(columns · rows, 3) float64 in m, row by row: x along a row, y from row to row, z 0."""
        row, column = np.divmod(np.arange(self.columns * self.rows), self.columns)
        across = 2 * column + row % 2 if self.kind == "acircles" else column
        return np.stack((across, row, np.zeros_like(row)), 1) * self.spacing

    def orders(self) -> list[Order]:
        """Return the ways to count the points that a turn of the board cannot be told from; the first leaves them as they are.

        Returns:
            (N,) indices each: ``pixels[order]`` are the pixels of a board that was turned.
        """
        quarter = np.array(((0.0, -1.0), (1.0, 0.0)))
        turns = [np.linalg.matrix_power(quarter, number) for number in range(4)]
        return [order for order in map(self._order, turns) if order is not None]

    def as_seen_from_the_front(self, pixels: FloatArray) -> FloatArray:
        """Return (N, 2) pixels counted so that they do not mirror the board; as given where that is not possible."""
        if _handedness(self.points, pixels) > 0:
            return pixels
        for mirror in (np.diag((-1.0, 1.0)), np.diag((1.0, -1.0))):
            order = self._order(mirror)
            if order is not None:
                return np.asarray(pixels[order])
        return pixels

    def _order(self, matrix: FloatArray) -> Order | None:
        """Return which point lies where each comes to lie by a (2, 2) turn about the middle; None: not all do."""
        grid = np.rint(self.points[:, :2] / self.spacing * 2)
        middle = (grid.min(0) + grid.max(0)) / 2
        turned = np.rint((grid - middle) @ matrix.T * 2).astype(int)
        places = {tuple(place): index for index, place in enumerate(np.rint((grid - middle) * 2).astype(int).tolist())}
        found = [places.get(tuple(place)) for place in turned.tolist()]
        return None if None in found else np.array(found, np.int64)


def _handedness(points: FloatArray, pixels: FloatArray) -> float:
    """Return the sign of the area that the best affine map of the board to pixels keeps."""
    flat = points[:, :2] - points[:, :2].mean(0)
    affine = np.linalg.lstsq(flat, pixels - pixels.mean(0), rcond=None)[0]
    return float(np.sign(np.linalg.det(affine)))
