"""Nonlinear least squares of a few parameters, and how certain it leaves them (Levenberg 1944, Marquardt 1963)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import FloatArray

Residuals = Callable[[FloatArray], FloatArray]

_STEPS = 50
_SMALLEST_GAIN = 1e-12


@dataclass(frozen=True)
class Solution:
    """Where a sum of squares has its minimum.

    Attributes:
        parameters: (P,) float64.
        residuals: (M,) float64 there.
        jacobian: (M, P) float64 there: derivatives of the residuals.
    """

    parameters: FloatArray
    residuals: FloatArray
    jacobian: FloatArray

    @property
    def variance(self) -> float | None:
        """Variance of a residual, Σr² / (M − P); None where there are as many parameters as residuals."""
        freedom = len(self.residuals) - len(self.parameters)
        return float(self.residuals @ self.residuals) / freedom if freedom > 0 else None

    def covariance(self, variance: float) -> FloatArray | None:
        """Return the (P, P) covariance ``variance``·(JᵀJ)⁻¹; None where the residuals do not determine the parameters."""
        return inverse_information(self.jacobian.T @ self.jacobian, variance)


def inverse_information(information: FloatArray, variance: float) -> FloatArray | None:
    """Return ``variance`` times the inverse of JᵀJ (P, P); None where it has none."""
    # Parameters of very different units: without this the inverse of a good problem would lose its digits.
    scale = np.sqrt(np.diag(information))
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        return None
    unit = information / np.outer(scale, scale)
    if np.linalg.cond(unit) > 1e13:
        return None
    return np.asarray(np.linalg.inv(unit) * variance / np.outer(scale, scale))


def numeric_jacobian(function: Residuals, at: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the (M, P) derivatives of a function of (P,) by central differences of (P,) steps."""
    columns = []
    for index, step in enumerate(steps):
        move = np.zeros_like(at)
        move[index] = step
        columns.append((function(at + move) - function(at - move)) / (2 * step))
    return np.stack(columns, 1)


def minimise(function: Residuals, start: FloatArray, steps: FloatArray) -> Solution:
    """Return the minimum of the sum of squares nearest to a start.

    Args:
        function: Turns (P,) parameters into (M,) residuals; where it gives NaN, it is not defined, and is not gone to.
        start: (P,) parameters where it is defined; where it is not, they are returned.
        steps: (P,) steps for its derivatives, in the units of the parameters.
    """
    at = np.array(start, np.float64)
    residuals = function(at)
    damping = 1e-3
    jacobian = numeric_jacobian(function, at, steps)
    for _ in range(_STEPS):
        if not (np.isfinite(residuals).all() and np.isfinite(jacobian).all()):
            break
        normal, slope = jacobian.T @ jacobian, jacobian.T @ residuals
        cost = float(residuals @ residuals)
        moved = False
        while damping < 1e12:
            damped = normal + damping * np.diag(np.maximum(np.diag(normal), 1e-300))
            step = np.linalg.lstsq(damped, -slope, rcond=None)[0]
            tried = function(at + step)
            new = float(tried @ tried)
            if np.isfinite(new) and new <= cost:
                moved = True
                break
            damping *= 10
        if not moved:
            break
        at, residuals, damping = at + step, tried, max(damping / 10, 1e-12)
        jacobian = numeric_jacobian(function, at, steps)
        if cost - new <= _SMALLEST_GAIN * max(cost, 1e-30):
            break
    return Solution(at, residuals, jacobian)
