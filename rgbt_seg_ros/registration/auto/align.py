"""Find the model that lays thermal images over RGB images, and how far to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray, IntArray
from rgbt_seg_ros.registration.auto.coarse import Limits, moved_by, search
from rgbt_seg_ros.registration.auto.confidence import Evidence, corner_deviation, halves_apart
from rgbt_seg_ros.registration.auto.fit import Basis, make_basis, maximise
from rgbt_seg_ros.registration.auto.models import HomographyModel, Model, RotationModel, Size
from rgbt_seg_ros.registration.auto.surfaces import Surface, cell_surfaces
from rgbt_seg_ros.registration.auto.warping import Prepared, level_size, prepare, rgb_channels, thermal_channels
from rgbt_seg_ros.registration.image_pairs import ImagePair, SourceError, common_sizes

WORKING = 640
"""px; longer sides of RGB images are brought down to this."""

_SMALLEST = 96
"""px; a side of an RGB image below it leaves too few cells to compare."""

_COARSE = 4
"""The global search works on images that many times smaller."""


@dataclass(frozen=True)
class _Level:
    shrink: int
    reach: int
    cell: int
    blurs: tuple[float, ...]


_LEVELS = (
    _Level(2, 8, 16, (3.0, 1.5, 0.7)),
    _Level(2, 6, 16, (1.0, 0.7)),
    _Level(1, 4, 32, (1.0, 0.7)),
)


@dataclass(frozen=True)
class Alignment:
    """What was found.

    Attributes:
        model: For images of the sizes given.
        evidence: Why it may be believed; lengths in px of the RGB images given.
    """

    model: HomographyModel | RotationModel
    evidence: Evidence


@dataclass(frozen=True)
class _Measured:
    """The surfaces of all pairs at one level; cells of one pair after those of the other.

    Attributes:
        surfaces: (P·N, side, side).
        basis: Of all P·N cells.
        blocks: (P·N,) int64, numbers of the blocks of neighbouring cells that count as independent.
        halves: (P·N,) bool, which half a cell belongs to: of the image, or of the pairs where there are four.
    """

    surfaces: Surface
    basis: Basis
    blocks: IntArray
    halves: npt.NDArray[np.bool_]


def align(
    pairs: Sequence[ImagePair], start: HomographyModel | RotationModel, limits: Limits | None = None, field: bool = True
) -> Alignment:
    """Find the model, from one pair or from several of the same cameras at once.

    Args:
        pairs: Of equal sizes.
        start: Where to search around; for images of the sizes of the pairs.
        limits: How far from the start to search; None: as by default.
        field: Whether to allow for lens distortion and parallax, which the model cannot express.

    Returns:
        The best model there is, whether good or bad: ``evidence.confidence`` tells.

    Raises:
        SourceError: No pair, pairs of different sizes, or RGB images of less than 96 px on a side.
    """
    size, _ = common_sizes(pairs)
    ratio = max(1.0, max(size) / WORKING)
    work: Size = (max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio)))
    if min(work) < _SMALLEST:
        raise SourceError(
            f"{pairs[0].name}: RGB images of {size[1]}x{size[0]} pixels (width x height) are too small, or too narrow, to align; "
            f"expected at least {_SMALLEST} on each side"
        )
    given = limits or Limits()
    prepared = prepare(pairs, work)
    model: Any = start.resized(work)
    similarity = search(
        prepared, model, level_size(work, _COARSE), Limits(given.shift / ratio, given.rotation, given.scale)
    )
    model = moved_by(model, similarity)
    corners = _corners(work)
    offset = np.zeros(0)
    apart = np.inf
    for index, level in enumerate(_LEVELS):
        measured = _measure(prepared, model, level, field)
        if not len(offset):
            offset = np.zeros(measured.basis.matrix.shape[2])
        ones = np.ones(len(measured.surfaces))
        none = np.zeros_like(offset)
        fit = maximise(measured.surfaces, measured.basis, level.shrink, ones, none, offset, level.blurs)
        own = measured.basis.model
        at_corners = model.basis(corners)
        if index == 0:
            apart = halves_apart(
                measured.surfaces, measured.basis, level.shrink, measured.halves, offset, level.blurs, at_corners
            )
        if index == len(_LEVELS) - 1:
            deviation = corner_deviation(
                measured.surfaces, measured.basis, level.shrink, measured.blocks, fit.parameters, offset, at_corners
            )
        model = model.moved(fit.parameters[:own])
        offset[:own] += fit.parameters[:own]
    evidence = Evidence(
        correlation=fit.correlation,
        halves=apart * ratio,
        deviation=deviation * ratio,
        unit=ratio * work[1] / 640,
        pairs=len(pairs),
    )
    return Alignment(_restored(model, start), evidence)


def _restored(model: HomographyModel | RotationModel, start: HomographyModel | RotationModel) -> Any:
    """Return a model of working size for the images of the start."""
    if isinstance(model, RotationModel) and isinstance(start, RotationModel):
        from dataclasses import replace

        return RotationModel(
            replace(start.calibration, t_rgb_thermal=model.calibration.t_rgb_thermal, h_rgb_thermal=None)
        )
    return model.resized(start.rgb_size)


def _measure(pairs: Sequence[Prepared], model: Model, level: _Level, field: bool) -> _Measured:
    size = level_size(model.rgb_size, level.shrink)
    surfaces, blocks, halves = [], [], []
    for number, pair in enumerate(pairs):
        cells = cell_surfaces(rgb_channels(pair, size), thermal_channels(pair, model, size), level.cell, level.reach)
        surfaces.append(cells.surfaces)
        y, x = np.mgrid[0 : cells.grid[0], 0 : cells.grid[1]]
        row, column = y.ravel() // 3, x.ravel() // 3
        blocks.append((number * 64 + row) * 64 + column)
        halves.append(np.full(len(row), number % 2 == 0) if len(pairs) >= 4 else (row + column) % 2 == 0)
    # Pixels of a level are larger: the middle of its first one is not that of the image's first one.
    centres = (cells.centres + 0.5) * level.shrink - 0.5
    basis = make_basis(model, centres, field)
    return _Measured(
        np.concatenate(surfaces),
        Basis(np.concatenate([basis.matrix] * len(pairs)), basis.precision, basis.model),
        np.concatenate(blocks),
        np.concatenate(halves),
    )


def _corners(size: Size) -> FloatArray:
    height, width = size
    return np.array(((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)), np.float64)
