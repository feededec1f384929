"""By how much the thermal camera's stamps are late, from stamps and motion together, and the ``sync`` values that follow.

Stamps of locked cameras are exact, but know the delay only up to whole periods; motion knows which period, but is less exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.recordings.motion import Motion
from rgbt_seg_ros.recordings.motion_delay import MotionDelay, motion_delay
from rgbt_seg_ros.recordings.stamp_phase import StampPhase, increasing, stamp_phase

LARGEST = 0.3
"""Delays are sought from minus to plus this (s), unless told otherwise."""

SIGMAS = 3.0
LEAST_SPREAD = 0.002
"""Of the motion estimate (s), when it is compared with the stamps: below that its own errors are not known."""

MARGIN = 1.25
LEAST_SLOP = 0.001
_S = 1e-9


@dataclass(frozen=True)
class Delay:
    """The delay, and how it was found.

    Attributes:
        seconds: By how much thermal stamps are late (s); None: cannot be told.
        uncertainty: Standard deviation of ``seconds`` (s); nan without a delay.
        source: ``stamps and motion``, ``motion``, or empty.
        reason: Why no delay, or no more exact one, was found; may be empty.
        candidates: Delays that the stamps allow (s); none where the cameras are not locked.
        phase: What stamps say; None: too few.
        motion: What images say; None: they were not looked at.
        slop: Suggested ``sync.slop`` (s), once the delay is taken off; None: too few stamps.
    """

    seconds: float | None
    uncertainty: float
    source: str
    reason: str
    candidates: tuple[float, ...]
    phase: StampPhase | None
    motion: MotionDelay | None
    slop: float | None

    @property
    def thermal_offset(self) -> float | None:
        """Suggested ``sync.thermal_offset`` (s)."""
        return None if self.seconds is None else -self.seconds


def estimate_delay(
    rgb: IntArray,
    thermal: IntArray,
    motions: tuple[Motion, Motion] | None = None,
    largest: float = LARGEST,
    centre: float = 0.0,
) -> Delay:
    """Estimate by how much thermal stamps are late.

    Args:
        rgb: Stamps of all RGB frames (ns), in the order of recording.
        thermal: Likewise.
        motions: Motion of the RGB and of the thermal camera; None: stamps alone, which give candidates at best.
        largest: Delays are sought within this of ``centre`` (s, above 0).
        centre: Where about the delay is (s): a difference of clocks that is known otherwise.
    """
    phase = stamp_phase(rgb, thermal)
    candidates = phase.candidates(centre, largest) if phase else ()
    motion = None
    if motions is not None:
        motion = motion_delay(motions[0], shifted(motions[1], centre), largest)
        if motion.delay is not None:
            motion = MotionDelay(
                motion.delay + centre, motion.uncertainty, motion.correlation, motion.seconds, motion.reason
            )
    seconds, uncertainty, source, reason = _combine(phase, candidates, motion)
    slop = suggested_slop(rgb, thermal, seconds if source == "stamps and motion" else None)
    return Delay(seconds, uncertainty, source, reason, candidates, phase, motion, slop)


def shifted(motion: Motion, seconds: float) -> Motion:
    """Return a motion whose stamps are earlier by some seconds."""
    step = round(seconds / _S)
    return Motion(motion.start - step, motion.end - step, motion.displacement, motion.valid)


def _combine(
    phase: StampPhase | None, candidates: tuple[float, ...], motion: MotionDelay | None
) -> tuple[float | None, float, str, str]:
    if motion is None:
        return None, math.nan, "", "stamps alone cannot tell by how many whole periods the cameras are apart"
    if motion.delay is None:
        return None, math.nan, "", motion.reason
    if phase is None or not candidates:
        why = "too few stamps to compare" if phase is None else "the cameras are not locked to each other"
        return motion.delay, motion.uncertainty, "motion", why
    spread = SIGMAS * math.hypot(motion.uncertainty, LEAST_SPREAD, phase.jitter / math.sqrt(phase.count))
    near = [candidate for candidate in candidates if abs(candidate - motion.delay) <= spread]
    if len(near) == 1:
        return near[0], phase.jitter / math.sqrt(phase.count), "stamps and motion", ""
    why = (
        "several of the stamps' candidates fit the motion" if near else "none of the stamps' candidates fits the motion"
    )
    return motion.delay, motion.uncertainty, "motion", why


def suggested_slop(rgb: IntArray, thermal: IntArray, locked_delay: float | None) -> float | None:
    """Return a slop (s, at least 1 ms) that loses no frame of the slower camera, once the delay is taken off.

    Args:
        rgb: Stamps (ns).
        thermal: Likewise.
        locked_delay: Delay of cameras that are locked to each other (s): then the slop is the 99.9th percentile of what is
            left, and a quarter more. None: half a period of the faster camera, and its jitter.
    """
    rgb, thermal = increasing(rgb), increasing(thermal)
    if min(len(rgb), len(thermal)) < 3:
        return None
    steps = [np.diff(stamps) * _S for stamps in (rgb, thermal)]
    fast = steps[0] if np.median(steps[0]) <= np.median(steps[1]) else steps[1]
    period = float(np.median(fast))
    if locked_delay is None:
        jitter = 1.4826 * float(np.median(np.abs(fast - period))) / math.sqrt(2)
        return max(LEAST_SLOP, math.ceil((period / 2 + SIGMAS * jitter) * 1000) / 1000)
    points, grid = (
        (thermal - round(locked_delay / _S), rgb) if fast is steps[0] else (rgb + round(locked_delay / _S), thermal)
    )
    after = np.clip(np.searchsorted(grid, points), 1, len(grid) - 1)
    left = np.minimum(np.abs(points - grid[after - 1]), np.abs(grid[after] - points)) * _S
    # A missing partner must not widen the slop until it takes another frame.
    left = left[left <= period / 2]
    reach = MARGIN * float(np.quantile(left, 0.999)) if len(left) else period / 2
    return max(LEAST_SLOP, math.ceil(reach * 10_000) / 10_000)
