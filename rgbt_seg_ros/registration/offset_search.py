"""By how much an aligned thermal image is off, and whether that can be told at all.

The shift, turn and scale of the largest score are sought. How sure that is, resampling tells (bootstrap, Efron 1979): cells of
the image are drawn again and again, and images that have nothing in common then agree somewhere else each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.registration.shift_scores import ShiftScores

RESAMPLES = 100

NEAR = 1 / 128
"""Of the image's width: resamples so near to the answer agree with it (5 px of 640)."""

LEAST_SHARE = 0.6
"""Of the resamples that have to agree; images of different scenes reach 0.4."""

LEAST_SCORE = 0.05
"""Flat or noisy images agree less even at their best."""

_STEPS = 6
"""Turns and scales that are tried to each side."""


@dataclass(frozen=True)
class Offset:
    """By how much the thermal image is off, px of the images that were compared.

    Attributes:
        told: Whether the images tell it.
        reason: Why not; empty where they do.
        dx: px that the thermal image would have to move to the right, in the middle.
        dy: px that it would have to move down.
        scale: By what it would have to grow about the middle, less 1.
        turn: rad, by what it would have to turn about the middle, from x to y.
        off: px, RMS over the image of all that.
        spread: px, standard deviation of that, from resampling.
        agreeing: Share of the resamples that agree, 0..1.
        score: As it is, -1..1.
        best: The largest score.
        limited: Whether the answer lies at the border of what was tried, so that it may be more.
    """

    told: bool
    reason: str
    dx: float
    dy: float
    scale: float
    turn: float
    off: float
    spread: float
    agreeing: float
    score: float
    best: float
    limited: bool


@dataclass(frozen=True)
class _Found:
    """The best of each draw: (D, 4) dx, dy, scale, turn; (D,) scores; the score of the first draw without a change."""

    change: FloatArray
    best: FloatArray
    still: float


def find_offset(scores: ShiftScores, width: int) -> Offset:
    """Seek the change that makes the images agree most.

    Args:
        scores: Summed over all pairs. A third of their reach is kept for what turn and scale move the outer cells by.
        width: Of the images, px.
    """
    count = len(scores.moved)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    found = _search(scores, np.vstack((np.ones((1, count)), draws)))
    moves = _moves(found.change, scores.centres)
    off = _rms(moves[0])
    apart = np.sqrt(np.mean(np.sum((moves[1:] - moves[0]) ** 2, -1), -1))
    near = apart <= NEAR * width
    agreeing = float(near.mean())
    dx, dy, scale, turn = (float(value) for value in found.change[0])
    limit = scores.reach - _local(scores)
    reason = ""
    if found.best[0] < LEAST_SCORE or not found.best[0] > 0:
        reason = "the images share no edges"
    elif agreeing < LEAST_SHARE:
        reason = "parts of the images agree at different offsets, as those of unrelated images do"
    return Offset(
        told=not reason,
        reason=reason,
        dx=dx,
        dy=dy,
        scale=scale,
        turn=turn,
        off=off,
        spread=float(np.sqrt(np.mean(apart[near] ** 2))) if near.any() else math.inf,
        agreeing=agreeing,
        score=found.still,
        best=float(found.best[0]),
        limited=max(abs(dx), abs(dy)) >= limit - 0.5,
    )


def _local(scores: ShiftScores) -> int:
    return scores.reach // 3


def _search(scores: ShiftScores, weights: FloatArray) -> _Found:
    local = _local(scores)
    limit = scores.reach - local
    side = 2 * limit + 1
    farthest = float(np.hypot(*scores.centres.T).max())
    steps = np.arange(-_STEPS, _STEPS + 1) * (local / _STEPS / farthest)
    weights = weights.astype(np.float32)
    own = weights @ scores.moved
    change = np.zeros((len(weights), 4))
    best = np.full(len(weights), -np.inf)
    still = 0.0
    for scale in steps:
        for turn in steps:
            if math.hypot(scale, turn) * farthest > local + 1e-6:
                continue
            moves = np.rint(_moves(np.array(((0.0, 0.0, scale, turn),)), scores.centres)[0]).astype(int) + local
            products, energies = (
                np.stack([values[y : y + side, x : x + side] for values, (x, y) in zip(table, moves, strict=True)])
                .reshape(len(moves), -1)
                .astype(np.float32)
                for table in (scores.products, scores.fixed)
            )
            scored = (weights @ products) / np.sqrt(np.maximum((weights @ energies) * own[:, None], 1e-9))
            index = scored.argmax(1)
            top = scored[np.arange(len(weights)), index]
            if scale == 0 and turn == 0:
                still = float(scored[0, side * side // 2])
            better = top > best
            best = np.where(better, top, best)
            dx, dy = _refined(scored.reshape(-1, side, side), index // side, index % side)
            tried = np.stack((dx - limit, dy - limit, np.full_like(dx, scale), np.full_like(dx, turn)), 1)
            change[better] = tried[better]
    return _Found(change, best, still)


def _refined(scored: FloatArray, rows: FloatArray, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the columns and rows of peaks to a part of a pixel, by a parabola along each axis."""
    draws, side = np.arange(len(scored)), scored.shape[1]
    inner_rows, inner_columns = np.clip(rows, 1, side - 2), np.clip(columns, 1, side - 2)
    mid = scored[draws, rows, columns]

    def part(before: FloatArray, after: FloatArray, inside: FloatArray) -> FloatArray:
        bend = before - 2 * mid + after
        shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1.0), 0.0)
        return np.where(inside, np.clip(shift, -0.5, 0.5), 0.0)

    dx = part(scored[draws, rows, inner_columns - 1], scored[draws, rows, inner_columns + 1], inner_columns == columns)
    dy = part(scored[draws, inner_rows - 1, columns], scored[draws, inner_rows + 1, columns], inner_rows == rows)
    return columns + dx, rows + dy


def _moves(change: FloatArray, centres: FloatArray) -> FloatArray:
    """Return (D, K, 2): by what changes (D, 4) move cells at (K, 2)."""
    x, y = centres.T
    dx, dy, scale, turn = (change[:, index, None] for index in range(4))
    return np.stack((dx + scale * x - turn * y, dy + turn * x + scale * y), -1)


def _rms(moves: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.sum(moves**2, -1))))
