"""What stamps alone tell of the delay between two cameras.

Where one camera triggers the other, or both follow one clock, the stamps of the slower lie at one phase between those of the
faster; that phase is the delay, but for whole periods. Free-running cameras show every phase, and nothing follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray

LOCKED = 0.7
"""Mean resultant length (Mardia and Jupp 2000) above which phases count as one: jitter of 0.13 periods, uniform phases give 0."""

LEAST_STAMPS = 20


@dataclass(frozen=True)
class StampPhase:
    """Where the stamps of the slower stream lie between those of the faster.

    Attributes:
        period: Median interval of the faster stream (s).
        phase: Circular mean of thermal minus RGB stamps, 0 to below ``period`` (s).
        concentration: Mean resultant length of the phases: 0 even, 1 all the same.
        jitter: Circular standard deviation of the phases (s).
        count: Stamps that were compared.
    """

    period: float
    phase: float
    concentration: float
    jitter: float
    count: int

    @property
    def locked(self) -> bool:
        """Whether the phases are one phase with some jitter."""
        return self.concentration >= LOCKED

    def candidates(self, centre: float, largest: float) -> tuple[float, ...]:
        """Return the delays (s) that the stamps allow, within ``largest`` of ``centre``; none where they are not locked."""
        if not self.locked:
            return ()
        first = math.ceil((centre - largest - self.phase) / self.period)
        last = math.floor((centre + largest - self.phase) / self.period)
        return tuple(self.phase + turn * self.period for turn in range(first, last + 1))


def increasing(stamps: IntArray) -> IntArray:
    """Return the stamps (ns) that are later than all before them."""
    if not len(stamps):
        return stamps
    newest = np.maximum.accumulate(stamps)
    return np.asarray(stamps[np.append(True, newest[1:] > newest[:-1])])


def stamp_phase(rgb: IntArray, thermal: IntArray) -> StampPhase | None:
    """Compare the stamps of two streams.

    Args:
        rgb: Stamps (ns), in the order of recording.
        thermal: Stamps of the thermal frames (ns), in the order of recording.

    Returns:
        None where fewer than ``LEAST_STAMPS`` of the slower stream lie between two of the faster.
    """
    rgb, thermal = increasing(rgb), increasing(thermal)
    if min(len(rgb), len(thermal)) < 2:
        return None
    swapped = bool(np.median(np.diff(thermal)) < 0.9 * np.median(np.diff(rgb)))
    grid, points = (thermal, rgb) if swapped else (rgb, thermal)
    steps = np.diff(grid)
    period = float(np.median(steps))
    after = np.searchsorted(grid, points, "right")
    inside = (after > 0) & (after < len(grid))
    points, after = points[inside], after[inside]
    step = steps[after - 1]
    # Where a frame of the faster stream is missing, the interval says nothing of its rhythm.
    whole = (step > 0.5 * period) & (step < 1.5 * period)
    if int(whole.sum()) < LEAST_STAMPS:
        return None
    turns = (points - grid[after - 1])[whole] / step[whole]
    mean = complex(np.mean(np.exp(2j * np.pi * (-turns if swapped else turns))))
    length = min(abs(mean), 1.0)
    seconds = period * 1e-9
    jitter = math.sqrt(abs(2 * math.log(length))) / (2 * math.pi) * seconds if length > 0 else math.inf
    phase = math.atan2(mean.imag, mean.real) / (2 * math.pi) % 1.0 * seconds
    return StampPhase(seconds, phase, length, jitter, int(whole.sum()))
