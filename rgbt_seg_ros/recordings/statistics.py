"""How regular a stream of stamped messages is: rate, gaps, stamps that run backwards, and stamps against log times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray

GAP = 1.5
"""Intervals above so many median intervals are gaps: a frame is missing. 9 Hz taken out of 30 Hz has intervals of 1 and 4/3."""

LISTED = 5
"""Of gaps and the like, the first so many are named."""

DRIFT = 0.02
"""Change of log time minus stamp (s) over a recording, above which the clocks drift apart."""

OTHER_CLOCK = 5.0
"""Log time minus stamp (s), above which, or below minus a tenth of which, both are of different clocks."""

_S = 1e-9


@dataclass(frozen=True)
class Gap:
    """An interval that is too long: ``at`` seconds after the bag's start, ``length`` seconds."""

    at: float
    length: float


@dataclass(frozen=True)
class ClockLag:
    """Log time minus stamp.

    Attributes:
        median: Over all messages (s): transport and writing where stamps are of the recorder's clock.
        spread: From the 5th to the 95th percentile (s).
        drift: The median of the last fifth of the recording less that of the first (s).
        kind: ``constant``, ``drifting`` or ``other clock``; ``zero``: every stamp is 0.
    """

    median: float
    spread: float
    drift: float
    kind: str


@dataclass(frozen=True)
class StreamStatistics:
    """One stream; times in s, ``*_at`` after the bag's start by log time.

    Attributes:
        count: Messages.
        rate_hz: One over the median interval; nan below two messages.
        mean_rate_hz: Messages over the time from the least to the largest stamp; less where frames are missing.
        interval_median: Of intervals that are above 0 (s).
        interval_p99: Their 99th percentile (s).
        interval_max: The longest (s).
        backwards: Stamps below the one before.
        backwards_at: Index of the first of them; None: the stamps never run backwards.
        duplicates: Stamps equal to the one before.
        duplicates_at: Where the first is.
        gaps: Intervals above ``GAP`` median intervals.
        first_gaps: The first ``LISTED`` of them.
        lag: Log time minus stamp; None without messages.
    """

    count: int
    rate_hz: float
    mean_rate_hz: float
    interval_median: float
    interval_p99: float
    interval_max: float
    backwards: int
    backwards_at: float | None
    duplicates: int
    duplicates_at: float | None
    gaps: int
    first_gaps: tuple[Gap, ...]
    lag: ClockLag | None


def rate_hz(times: IntArray) -> float:
    """Return one over the median of the positive intervals between times (ns); nan without such an interval."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    return float(1e9 / np.median(steps)) if len(steps) else float("nan")


def mean_rate_hz(times: IntArray) -> float:
    """Return intervals over the span of times (ns); nan where all are one."""
    span = int(times.max() - times.min()) * _S if len(times) else 0.0
    return (len(times) - 1) / span if span > 0 else float("nan")


def stream_statistics(stamps: IntArray, log_times: IntArray, start: int) -> StreamStatistics:
    """Describe a stream.

    Args:
        stamps: (N,) stamps (ns) in the order of recording.
        log_times: (N,) when they were recorded (ns).
        start: Log time (ns) that places are counted from.
    """
    steps = np.diff(stamps)
    forward = steps[steps > 0] * _S
    median = float(np.median(forward)) if len(forward) else float("nan")
    where = (log_times[1:] - start) * _S
    back, same = np.flatnonzero(steps < 0), np.flatnonzero(steps == 0)
    gaps = np.flatnonzero(steps * _S > GAP * median) if len(forward) else np.zeros(0, np.int64)
    return StreamStatistics(
        count=len(stamps),
        rate_hz=rate_hz(stamps),
        mean_rate_hz=mean_rate_hz(stamps),
        interval_median=median,
        interval_p99=float(np.quantile(forward, 0.99)) if len(forward) else float("nan"),
        interval_max=float(forward.max()) if len(forward) else float("nan"),
        backwards=len(back),
        backwards_at=float(where[back[0]]) if len(back) else None,
        duplicates=len(same),
        duplicates_at=float(where[same[0]]) if len(same) else None,
        gaps=len(gaps),
        first_gaps=tuple(Gap(float(where[index]), float(steps[index] * _S)) for index in gaps[:LISTED]),
        lag=_clock_lag(stamps, log_times),
    )


def _clock_lag(stamps: IntArray, log_times: IntArray) -> ClockLag | None:
    if not len(stamps):
        return None
    lag = (log_times - stamps) * _S
    fifth = max(1, len(lag) // 5)
    median = float(np.median(lag))
    low, high = (float(value) for value in np.quantile(lag, (0.05, 0.95)))
    drift = float(np.median(lag[-fifth:]) - np.median(lag[:fifth]))
    kind = "constant"
    if not stamps.any():
        kind = "zero"
    elif median > OTHER_CLOCK or median < -OTHER_CLOCK / 10:
        kind = "other clock"
    elif abs(drift) > DRIFT:
        kind = "drifting"
    return ClockLag(median, high - low, drift, kind)
