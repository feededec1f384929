"""The one model that suits the surfaces of all cells together.

No cell is asked for its own best displacement: along an edge it has none. The sum of all surfaces under a common model is
maximised instead (Newton's method, damped as by Levenberg and Marquardt), from blurred surfaces to sharp ones.

Beside the model there is a smooth field of what it cannot express, cubic polynomials that are orthogonal to it over the
image: lens distortion, parallax of the ground. Without it the model would bend to where the structure happens to lie; with it, it
is the best one for the image as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.registration.auto.models import Model, Size, half_width_units
from rgbt_seg_ros.registration.auto.surfaces import Surface, smoothed

_DEGREE = 3
_FIELD = 2.0
"""px of an image 640 wide; how large each part of the field is expected, root mean square over the image."""

_WEIGHT = 4.0
"""Of the sum of correlations against the expectations: 1 / variance of a cell's correlation, neighbours' overlap allowed for."""

_LONGEST_STEP = 2.0
_SETTLED = 0.01
_ROUNDS = 20


@dataclass(frozen=True)
class Basis:
    """How cells move per unit of each parameter: of the model, then of the field.

    Attributes:
        matrix: (N, 2, n) px of the RGB image, of N cells.
        precision: (n, n) px⁻², what is expected of parameters.
        model: How many of the parameters, the first ones, are the model's.
    """

    matrix: FloatArray
    precision: FloatArray
    model: int


@dataclass(frozen=True)
class Fit:
    """A maximum.

    Attributes:
        parameters: (n,) px.
        value: Weighted sum of correlations less what the expectations take off.
        correlation: Mean of the cells' correlations there, -1 to 1.
    """

    parameters: FloatArray
    value: float
    correlation: float


def make_basis(model: Model, centres: FloatArray, field: bool = True) -> Basis:
    """Return the basis of cells in the middle of ``centres`` (N, 2), RGB pixels; with or without the field."""
    own = model.basis(centres)
    precision = model.precision()
    count = own.shape[2]
    if not field:
        return Basis(own, precision, count)
    size = model.rgb_size
    onto_model, normal = _orthogonal(model, size)
    extra = (_polynomials(half_width_units(centres, size)) - own @ onto_model) @ normal
    full = np.zeros((count + extra.shape[2],) * 2)
    full[:count, :count] = precision
    full[range(count, len(full)), range(count, len(full))] = 1 / (_FIELD * size[1] / 640) ** 2
    return Basis(np.concatenate((own, extra), 2), full, count)


def _polynomials(points: FloatArray) -> FloatArray:
    """Return (N, 2, m): all x^i·y^j up to the degree, across and then down."""
    x, y = points.T
    terms = np.stack([x**i * y**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], -1)
    none = np.zeros_like(terms)
    return np.stack((np.concatenate((terms, none), -1), np.concatenate((none, terms), -1)), 1)


def _orthogonal(model: Model, size: Size) -> tuple[FloatArray, FloatArray]:
    """Return what of the polynomials the model can express, and what makes the rest orthonormal over the image."""
    y, x = np.mgrid[0.5:20, 0.5:20] / 20
    points = np.stack((x.ravel() * size[1], y.ravel() * size[0]), -1) - 0.5
    own = model.basis(points)
    rows = len(points) * 2
    flat, terms = own.reshape(rows, -1), _polynomials(half_width_units(points, size)).reshape(rows, -1)
    onto_model = np.linalg.lstsq(flat, terms, rcond=None)[0]
    _, values, axes = np.linalg.svd(terms - flat @ onto_model, full_matrices=False)
    kept = values > 1e-3 * values[0]
    normal = axes[kept].T / values[kept] * np.sqrt(rows / 2)
    return np.asarray(onto_model, np.float64), np.asarray(normal, np.float64)


def maximise(
    surfaces: Surface,
    basis: Basis,
    pixel: float,
    weights: FloatArray,
    start: FloatArray,
    offset: FloatArray,
    blurs: Sequence[float] = (),
) -> Fit:
    """Find the parameters of the greatest sum near ``start``.

    Args:
        surfaces: (N, 2·reach + 1, 2·reach + 1), as of ``Cells``, of all pairs.
        basis: Of the N cells.
        pixel: RGB pixels from one displacement of the surfaces to the next.
        weights: (N,) of the cells, 1 in the mean.
        start: (n,) parameters.
        offset: (n,) what was moved already: expectations are of the sum.
        blurs: Sigmas of surfaces to begin with, in their pixels; none: they are taken as they are.
    """
    fit = Fit(start, -np.inf, 0.0)
    for blur in blurs or (0.0,):
        sharp = smoothed(surfaces, blur) if blur else surfaces
        fit = _newton(_Objective(sharp, basis, pixel, _WEIGHT * weights, offset), fit.parameters)
    return fit


@dataclass(frozen=True)
class _Objective:
    surfaces: Surface
    basis: Basis
    pixel: float
    weights: FloatArray
    offset: FloatArray

    def at(self, parameters: FloatArray) -> tuple[float, FloatArray, FloatArray, float]:
        """Return value, gradient, the positive part of the negative Hessian, and the mean correlation."""
        matrix = self.basis.matrix / self.pixel
        values, slopes, bends = _sample(self.surfaces, matrix @ parameters)
        total = parameters + self.offset
        pull = self.basis.precision @ total
        value = float(self.weights @ values - 0.5 * total @ pull)
        gradient = np.einsum("n,nk,nkp->p", self.weights, slopes, matrix) - pull
        sizes, axes = np.linalg.eigh(-bends)
        curved = np.einsum("nij,nj,nkj->nik", axes, np.maximum(sizes, 0), axes)
        bent = (curved @ matrix) * self.weights[:, None, None]
        count = matrix.shape[2]
        hessian = matrix.reshape(-1, count).T @ bent.reshape(-1, count) + self.basis.precision
        return value, gradient, hessian, float(self.weights @ values / self.weights.sum())


def _newton(objective: _Objective, parameters: FloatArray) -> Fit:
    damping = 1e-2
    matrix = objective.basis.matrix / objective.pixel
    value, gradient, hessian, correlation = objective.at(parameters)
    for _ in range(_ROUNDS):
        length = 0.0
        for _ in range(6):
            damped = hessian + damping * np.diag(np.diag(hessian) + 1e-6)
            step = np.linalg.solve(damped, gradient)
            length = float(np.abs(matrix @ step).max())
            if length > _LONGEST_STEP:
                step *= _LONGEST_STEP / length
            there = objective.at(parameters + step)
            if there[0] > value:
                parameters = parameters + step
                value, gradient, hessian, correlation = there
                damping = max(damping / 4, 1e-4)
                break
            damping *= 8
        else:
            break
        if length < _SETTLED:
            break
    return Fit(parameters, value, correlation)


def _sample(surfaces: Surface, displacements: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values (N,), gradients (N, 2) and Hessians (N, 2, 2) at (N, 2) displacements (x, y), by parabolas through 3x3.

    Beyond the surfaces they go on as their border's parabolas do for 1.5 px.
    """
    reach = surfaces.shape[1] // 2
    nearest = np.clip(np.rint(displacements).astype(np.int64) + reach, 1, 2 * reach - 1)
    rows, columns = np.mgrid[-1:2, -1:2]
    index = np.arange(len(surfaces))[:, None, None]
    part = surfaces[index, nearest[:, 1, None, None] + rows, nearest[:, 0, None, None] + columns].astype(np.float64)
    right = (part[:, :, 2] - part[:, :, 0]).mean(1) / 2
    down = (part[:, 2] - part[:, 0]).mean(1) / 2
    across = (part[:, :, 2] - 2 * part[:, :, 1] + part[:, :, 0]).mean(1)
    along = (part[:, 2] - 2 * part[:, 1] + part[:, 0]).mean(1)
    mixed = (part[:, 2, 2] - part[:, 2, 0] - part[:, 0, 2] + part[:, 0, 0]) / 4
    middle = part.mean((1, 2)) - (across + along) / 3
    x, y = np.clip(displacements - (nearest - reach), -1.5, 1.5).T
    values = middle + right * x + down * y + 0.5 * across * x * x + 0.5 * along * y * y + mixed * x * y
    slopes = np.stack((right + across * x + mixed * y, down + along * y + mixed * x), -1)
    bends = np.stack((np.stack((across, mixed), -1), np.stack((mixed, along), -1)), -2)
    return values, slopes, bends
