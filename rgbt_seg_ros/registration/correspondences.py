"""Points seen by both cameras, as a CSV file: ``rgb_x,rgb_y,thermal_x,thermal_y`` and, where known, how far each point is."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.pipeline.calibration.camera import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import rays

PIXELS = ("rgb_x", "rgb_y", "thermal_x", "thermal_y")
POSITION = ("X", "Y", "Z")
DEPTH = ("depth",)

FARTHEST = 1e5
"""m; nothing that two cameras see and that is farther has a place that could be told from the horizon's."""

_MOST_NAMED = 10
"""Malformed rows that one sentence names; of more it gives the number."""


class PointsError(UserError):
    """Points that cannot be used; the sentence names file and line, or what is wrong with the set."""


@dataclass(frozen=True)
class Correspondences:
    """Points seen by both cameras, N of them.

    Attributes:
        rgb: (N, 2) float64, pixels (x, y) of the RGB image as it arrives; (0, 0) is the middle of the top left pixel.
        thermal: (N, 2) float64, the same of the thermal image.
        position: (N, 3) float64, m in the RGB camera's optical frame (REP 103); None: not known.
        depth: (N,) float64, m along the z axis of that frame; None: not known.
        lines: Line of each point in its file, or its number where there is none.
    """

    rgb: FloatArray
    thermal: FloatArray
    position: FloatArray | None = None
    depth: FloatArray | None = None
    lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.rgb)

    @property
    def has_range(self) -> bool:
        """Whether it is known how far the points are."""
        return self.position is not None or self.depth is not None

    def positions(self, rgb: CameraModel) -> FloatArray:
        """Return (N, 3) positions in m in the RGB camera's optical frame; by depth, NaN where a pixel has no ray.

        Raises:
            PointsError: Neither positions nor depths are known.
            CalibrationError: Depths are known and the intrinsics are not.
        """
        if self.position is not None:
            return self.position
        if self.depth is None:
            raise PointsError("the points have neither X, Y, Z nor depth")
        return rays(rgb, self.rgb) * self.depth[:, None]


def read_points(
    path: str | Path,
    rgb_size: tuple[int, int] | None = None,
    thermal_size: tuple[int, int] | None = None,
) -> Correspondences:
    """Read a CSV file with a header line; columns in any order, empty lines and lines that begin with # left out.

    Args:
        path: The file.
        rgb_size: (height, width) of the RGB image; where given, a point outside of it is malformed.
        thermal_size: The same of the thermal image.

    Raises:
        PointsError: The file is not readable or has other columns, or rows are malformed: each is named by its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise PointsError(f"{path}: not a readable file of points ({getattr(error, 'strerror', error)})") from error
    rows = [
        (number, [cell.strip() for cell in next(csv.reader([line]), [])])
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    names = _header(path, rows[0][1] if rows else [])
    problems: list[str] = []
    values: list[list[float]] = []
    lines: list[int] = []
    for number, cells in rows[1:]:
        row, problem = _row(names, cells, {"rgb": rgb_size, "thermal": thermal_size})
        if problem:
            problems.append(f"line {number}: {problem}")
        values.append(row)
        lines.append(number)
    if problems:
        more = f"; and {len(problems) - _MOST_NAMED} lines more" if len(problems) > _MOST_NAMED else ""
        raise PointsError(f"{path}: {'; '.join(problems[:_MOST_NAMED])}{more}")
    table = np.array(values, np.float64).reshape(-1, len(names))
    return Correspondences(
        rgb=_columns(table, names, PIXELS[:2]),
        thermal=_columns(table, names, PIXELS[2:]),
        position=_columns(table, names, POSITION) if "X" in names else None,
        depth=_columns(table, names, DEPTH)[:, 0] if "depth" in names else None,
        lines=tuple(lines),
    )


def _header(path: str | Path, names: list[str]) -> list[str]:
    """Return the names of the columns."""
    expected = f"expected the header {','.join(PIXELS)}, and perhaps {','.join(POSITION)} or {DEPTH[0]}"
    if not names:
        raise PointsError(f"{path}: empty; {expected}")
    missing = [name for name in PIXELS if name not in names]
    unknown = [name for name in names if name not in (*PIXELS, *POSITION, *DEPTH)]
    if missing or unknown or len(set(names)) < len(names):
        wrong = f"no column {missing[0]}" if missing else f"column '{unknown[0]}'" if unknown else "a column twice"
        raise PointsError(f"{path}: line 1: {wrong}; {expected}")
    if 0 < sum(name in names for name in POSITION) < 3:
        raise PointsError(f"{path}: line 1: X, Y and Z were expected together")
    if "X" in names and "depth" in names:
        raise PointsError(f"{path}: line 1: X, Y, Z and depth; one of them was expected")
    return names


def _row(names: list[str], cells: list[str], sizes: dict[str, tuple[int, int] | None]) -> tuple[list[float], str]:
    """Return the numbers of a row, and what is wrong with it; nothing: nothing."""
    if len(cells) != len(names):
        return [], f"{len(cells)} values, {len(names)} expected"
    row = []
    for name, cell in zip(names, cells, strict=True):
        try:
            value = float(cell)
        except ValueError:
            return [], f"{name} '{cell}' is not a number"
        if not math.isfinite(value):
            return [], f"{name} '{cell}' is not a finite number"
        if name in ("depth", "Z") and not 0 < value <= FARTHEST:
            return [], f"{name} {value:g} is not a distance in m above 0, at most {FARTHEST:g}"
        if name in ("X", "Y") and abs(value) > FARTHEST:
            return [], f"{name} {value:g} is more than {FARTHEST:g} m"
        row.append(value)
    for camera, size in sizes.items():
        x, y = (row[names.index(f"{camera}_{axis}")] for axis in "xy")
        if size is not None and not (-0.5 <= x <= size[1] - 0.5 and -0.5 <= y <= size[0] - 0.5):
            return [], f"{camera} point ({x:g}, {y:g}) is outside of the image of {size[1]}x{size[0]}"
    return row, ""


def _columns(table: FloatArray, names: list[str], wanted: tuple[str, ...]) -> FloatArray:
    return np.ascontiguousarray(table[:, [names.index(name) for name in wanted]])


def format_points(rgb: npt.ArrayLike, thermal: npt.ArrayLike) -> str:
    """Return the text of a file of points: (N, 2) pixels of either image, to a hundredth."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(PIXELS)
    pairs = zip(np.reshape(rgb, (-1, 2)), np.reshape(thermal, (-1, 2)), strict=True)
    writer.writerows([f"{value:.2f}" for value in (*first, *second)] for first, second in pairs)
    return out.getvalue()


def write_points(path: str | Path, rgb: npt.ArrayLike, thermal: npt.ArrayLike) -> None:
    """Write a file of points, whole or not at all.

    Raises:
        PointsError: The path cannot be written.
    """
    with replacing(Path(path), failure=PointsError) as (part,):
        part.write_text(format_points(rgb, thermal), encoding="utf-8")
