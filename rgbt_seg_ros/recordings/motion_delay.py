"""Time-delay estimation from what both cameras saw move.

Generalised cross-correlation (Knapp and Carter 1976) of many channels, in the time domain, since neither camera samples evenly:
the RGB camera's motion is integrated to a path X(t); a thermal camera whose stamps are late by d measures, from stamp s to
stamp e, X(e - d) - X(s - d), times a gain of its optics. The d of the largest likelihood is sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray, IntArray
from rgbt_seg_ros.recordings.motion import Motion

STEP = 0.004
"""Lags that are tried lie so far apart (s); the peak among them is refined by a parabola."""

FINE = 0.002
"""Spacing (s) of the integrated motion of the RGB camera."""

TREND = 0.7
"""Half width (s) of the running mean that is taken away from both cameras' motion.

A steady drive looks alike at every lag, and nearer things move more in one camera than in the other.
"""

GROUP = 8.0
"""Seconds over which gains and noise are taken to stay as they are; the likelihoods of groups add up."""

LEAST_SECONDS = 2.0
LEAST_ROWS = 16
BLOCK = 1.0
"""Seconds that are resampled as one, since the noise of neighbouring steps is related."""

RESAMPLES = 300
LARGEST_UNCERTAINTY = 0.02
"""Standard deviation (s) above which an answer is of no use: half a period of a 25 Hz camera."""

RIVALS = 0.05
"""Share of resamples with another peak, from which on the answer is ambiguous."""

SIGNIFICANCE = 0.95
"""Share of resamples with random signs whose best likelihood has to be exceeded."""

_S = 1e-9


@dataclass(frozen=True)
class MotionDelay:
    """What motion says.

    Attributes:
        delay: By how much thermal stamps are late (s); None: cannot be told.
        uncertainty: Standard deviation of ``delay`` (s), from resampling stretches of time.
        correlation: Of both cameras' motion at the delay, 0..1, over all channels by what they tell.
        seconds: Time that was used.
        reason: Why no delay was found; else empty.
    """

    delay: float | None
    uncertainty: float
    correlation: float
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class _Rows:
    """Thermal steps that can be compared at every lag: times in s, block of time of each, stretch of each."""

    start: FloatArray
    end: FloatArray
    displacement: FloatArray
    stretch: IntArray


@dataclass(frozen=True)
class _Sums:
    """Sums over blocks of a group of rows: predicted² and predicted · measured (B, L, C), measured² (B, C)."""

    rows: int
    squares: FloatArray
    products: FloatArray
    own: FloatArray


def motion_delay(rgb: Motion, thermal: Motion, largest: float = 0.3) -> MotionDelay:
    """Estimate by how much thermal stamps are late.

    Args:
        rgb: Motion of the RGB camera.
        thermal: Of the thermal camera, with the same channels; cells need not show exactly the same.
        largest: Delays from minus to plus this are tried (s).
    """
    if len(rgb.start) < 2 or len(thermal.start) < 2:
        return _refusal("too few images to see motion", 0.0)
    epoch = int(rgb.start[0])
    rows = _usable(rgb, thermal, epoch, largest)
    seconds = float(np.sum(rows.end - rows.start))
    if len(rows.start) < LEAST_ROWS or seconds < LEAST_SECONDS:
        return _refusal(
            f"too short: {seconds:.1f} s of motion seen by both cameras, {LEAST_SECONDS:g} s needed", seconds
        )
    count = int(np.ceil(largest / STEP))
    lags: FloatArray = np.arange(-count, count + 1) * np.float64(STEP)
    return _decide(lags, _group_sums(_predicted(rgb, rows, epoch, lags), rows), seconds)


def _refusal(reason: str, seconds: float, correlation: float = 0.0) -> MotionDelay:
    return MotionDelay(None, float("nan"), correlation, seconds, reason)


def _usable(rgb: Motion, thermal: Motion, epoch: int, largest: float) -> _Rows:
    """Return the thermal steps about which, at every lag, neither camera saw another scene or lost frames."""
    start, end = (thermal.start - epoch) * _S, (thermal.end - epoch) * _S
    starts, ends = (rgb.start - epoch) * _S, (rgb.end - epoch) * _S
    keep = (start - largest >= starts[0]) & (end + largest <= ends[-1])
    for motion, begins, finishes in ((rgb, starts, ends), (thermal, start, end)):
        bad = ~motion.valid | _too_long(finishes - begins)
        bad[:-1] |= finishes[:-1] < begins[1:]
        before = np.concatenate(((0,), np.cumsum(bad)))
        first = np.searchsorted(begins, start - largest, "right") - 1
        last = np.searchsorted(begins, end + largest, "left")
        keep &= before[last] == before[np.maximum(first, 0)]
    index = np.flatnonzero(keep)
    broken = (np.diff(index) > 1) | (end[index[:-1]] < start[index[1:]])
    stretch = np.concatenate(((0,), np.cumsum(broken)))[: len(index)]
    long = np.bincount(stretch, end[index] - start[index]) >= TREND if len(index) else np.zeros(0, bool)
    chosen = long[stretch] if len(index) else np.zeros(0, bool)
    index, stretch = index[chosen], stretch[chosen]
    return _Rows(start[index], end[index], thermal.displacement[index], stretch)


def _too_long(steps: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(steps > 2.5 * np.median(steps))


def _predicted(rgb: Motion, rows: _Rows, epoch: int, lags: FloatArray) -> FloatArray:
    """Return (L, N, C): what the thermal camera would have measured at each lag, were it the RGB camera."""
    times, path = _smooth_path(rgb, epoch)
    begin, finish = rows.start - lags[:, None], rows.end - lags[:, None]
    result = np.empty((*begin.shape, path.shape[1]))
    for channel in range(path.shape[1]):
        curve = path[:, channel]
        result[..., channel] = np.interp(finish, times, curve) - np.interp(begin, times, curve)
    return result


def _smooth_path(rgb: Motion, epoch: int) -> tuple[FloatArray, FloatArray]:
    """Return even times (T,) and where each channel has gone by then (T, C).

    Between two frames linear interpolation averages the noise of the flow, at a frame it does not: the likelihood would favour
    lags between frames. Two running means as long as a frame (together a cubic B-spline) make the noise nearly even.
    """
    knots = np.append((rgb.start - epoch) * _S, (rgb.end[-1] - epoch) * _S)
    period = float(np.median(np.diff(knots)))
    times = np.arange(-2 * period, knots[-1] + 2 * period, FINE)
    half = max(1, round(period / FINE / 2))
    window = np.ones(2 * half + 1) / (2 * half + 1)
    window = np.convolve(window, window)
    path = np.concatenate((np.zeros((1, rgb.displacement.shape[1])), np.cumsum(rgb.displacement, 0)))
    columns = [np.convolve(np.interp(times, knots, curve), window, "same") for curve in path.T]
    return times, np.stack(columns, 1)


def _detrended(values: FloatArray, rows: _Rows) -> FloatArray:
    """Take away the running mean along the rows, the last axis but one, within each stretch."""
    middle = (rows.start + rows.end) / 2
    # Stretches are moved apart, so that no window reaches from one into the next.
    apart = middle + rows.stretch * (4 * TREND)
    low, high = np.searchsorted(apart, apart - TREND, "left"), np.searchsorted(apart, apart + TREND, "right")
    total = np.concatenate((np.zeros((*values.shape[:-2], 1, values.shape[-1])), np.cumsum(values, -2)), -2)
    mean = (total[..., high, :] - total[..., low, :]) / (high - low)[:, None]
    return np.asarray(values - mean)


def _group_sums(predicted: FloatArray, rows: _Rows) -> list[_Sums]:
    """Return the sums of each group of rows."""
    measured, predicted = _detrended(rows.displacement, rows), _detrended(predicted, rows)
    # Of each stretch, blocks and groups are parts of nearly equal length.
    block = np.empty(len(rows.start), np.int64)
    group = np.empty(len(rows.start), np.int64)
    blocks = groups = 0
    for stretch in np.unique(rows.stretch):
        chosen = rows.stretch == stretch
        passed = rows.start[chosen] - rows.start[chosen][0]
        whole = passed[-1] + 1e-6
        parts, wholes = max(1, round(whole / BLOCK)), max(1, round(whole / GROUP))
        number = np.floor(passed / whole * parts).astype(np.int64)
        block[chosen] = blocks + number
        group[chosen] = groups + number * wholes // parts
        blocks, groups = blocks + parts, groups + wholes
    result = []
    for number in range(groups):
        chosen = group == number
        first = np.flatnonzero(np.append(True, np.diff(block[chosen]) > 0))
        own, other = measured[chosen], predicted[:, chosen]
        result.append(
            _Sums(
                int(chosen.sum()),
                np.add.reduceat(other**2, first, 1).swapaxes(0, 1),
                np.add.reduceat(other * own, first, 1).swapaxes(0, 1),
                np.add.reduceat(own**2, first, 0),
            )
        )
    return result


def _gains(
    groups: Sequence[_Sums], weights: Sequence[FloatArray], signs: Sequence[FloatArray] | None = None
) -> FloatArray:
    """Return log-likelihoods over no relation at all (G, R, L): Gaussian noise, in each group a gain above 0 of each channel.

    Args:
        groups: G groups, of B blocks each.
        weights: For each group (R, B): how often a block counts.
        signs: For each group (R, B): a factor of the products; none: 1.
    """
    result = []
    for index, group in enumerate(groups):
        weight = weights[index]
        factor = weight if signs is None else weight * signs[index]
        squares = np.tensordot(weight, group.squares, 1)
        products = np.tensordot(factor, group.products, 1)
        scale = np.sqrt(np.maximum(squares * (weight @ group.own)[:, None], 1e-12))
        correlation = np.clip(products / scale, 0.0, 0.999)
        result.append(-0.5 * group.rows * np.sum(np.log1p(-(correlation**2)), -1))
    return np.stack(result)


def _trust(lags: FloatArray, gains: FloatArray, resampled: FloatArray) -> FloatArray:
    """Return a factor 0..1 for each group's likelihood (G,).

    Errors of neighbouring steps and cells are related, so that likelihoods claim more than they know: here the variance that the
    curvature at a group's peak claims is compared with that of its resampled peaks.
    """
    factors = []
    for own, others in zip(gains, resampled, strict=True):
        middle = int(np.clip(np.argmax(own), 1, len(lags) - 2))
        bend = -(own[middle - 1] - 2 * own[middle] + own[middle + 1]) / STEP**2
        spread = float(np.mean((_peak(lags, others)[0] - _peak(lags, own[None])[0]) ** 2))
        claim = float(bend) * max(spread, 1e-8)
        factors.append(1 / claim if claim > 1 else 1.0)
    return np.array(factors)


def _peak(lags: FloatArray, gain: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the lag of the largest value of each row of (R, L), refined by a parabola, and its index."""
    index = np.argmax(gain, -1)
    inner = np.clip(index, 1, len(lags) - 2)
    left, mid, right = (np.take_along_axis(gain, (inner + step)[:, None], -1)[:, 0] for step in (-1, 0, 1))
    bend = left - 2 * mid + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    return np.asarray(lags[inner] + STEP * np.clip(shift, -1.0, 1.0)), index


def _decide(lags: FloatArray, groups: Sequence[_Sums], seconds: float) -> MotionDelay:
    rng = np.random.default_rng(0)
    blocks = [len(group.own) for group in groups]
    once = [np.ones((1, count)) for count in blocks]
    draws = [rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float) for count in blocks]
    signs = [rng.choice((-1.0, 1.0), (RESAMPLES, count)) for count in blocks]
    gains, resampled = _gains(groups, once), _gains(groups, draws)
    trust = _trust(lags, gains[:, 0], resampled)
    gain = np.tensordot(trust, gains[:, 0], 1)
    peak, indices = _peak(lags, gain[None])
    delay, index = float(peak[0]), int(indices[0])
    observations = float(trust @ [group.rows * group.own.shape[1] for group in groups])
    correlation = float(np.sqrt(-np.expm1(-2 * gain[index] / observations)))
    chance = np.tensordot(trust, _gains(groups, [np.ones_like(sign) for sign in signs], signs), 1).max(-1)
    if gain[index] <= np.quantile(chance, SIGNIFICANCE):
        return _refusal("no motion that both cameras share", seconds, correlation)
    peaks, _ = _peak(lags, np.tensordot(trust, resampled, 1))
    if index in (0, len(lags) - 1):
        return _refusal(f"the motion fits best at {lags[index]:+.3f} s or beyond", seconds, correlation)
    first, last = _lobe(gain, index)
    within = (peaks >= lags[first] - STEP) & (peaks <= lags[last] + STEP)
    if 1 - within.mean() > RIVALS:
        rival = float(np.median(peaks[~within]))
        return _refusal(f"ambiguous: {delay:+.3f} s fits, and so does {rival:+.3f} s", seconds, correlation)
    uncertainty = float(np.sqrt(np.mean((peaks[within] - delay) ** 2)))
    if uncertainty > LARGEST_UNCERTAINTY:
        return _refusal(f"the motion is too slow: {delay:+.3f} s ± {uncertainty:.3f} s", seconds, correlation)
    return MotionDelay(delay, uncertainty, correlation, seconds)


def _lobe(gain: FloatArray, index: int) -> tuple[int, int]:
    """Return the first and the last index of the hill about a peak: down to the valleys beside it."""
    rising = np.diff(gain) > 0
    left = np.flatnonzero(~rising[:index])
    right = np.flatnonzero(rising[index:])
    return (int(left[-1]) + 1 if len(left) else 0), (index + int(right[0]) if len(right) else len(gain) - 1)
