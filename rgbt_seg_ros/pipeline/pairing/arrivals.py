"""When the frames of a stream come, and from when on the next one is overdue."""

from __future__ import annotations

import math
from collections import deque

from rgbt_seg_ros.pipeline.pairing.gaps import Rhythm

_INTERVALS = 30
_LEAST = 5
"""Intervals that a rhythm needs."""

_SLACK = 0.5
"""Of an interval: by how much a frame may always be later than expected."""

_BEGINNING = 2_000_000_000
"""ns that a stream without a rhythm has for its next frame: a driver that starts is not a fault."""

_MISSED = 2
"""Frames in a row that are overdue before a stream is silent; one alone is a lost frame."""


class Arrivals:
    """The arrivals of one stream, on a clock that only runs forward: the node's steady clock, or the log times of a bag.

    How long a frame is waited for follows from how regularly the frames came so far. Intervals of arrival are used and not those
    of stamps, because a bag may be played at another speed.
    """

    def __init__(self, since: int) -> None:
        """Wait for a first frame from ``since`` (ns) on."""
        self._since = since
        self._last: int | None = None
        self._newest = 0
        self._stamps = Rhythm()
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        # Those of a stream that was silent before each of its newest frames.
        self._slow: list[int] = []

    def observe(self, time: int, now: int) -> None:
        """Take a frame: its time (ns, by its stamp, offset included), and when it came (ns)."""
        if self._last is not None:
            self._learn(max(0, now - self._last), self.is_silent(now))
        if self._last is None or time > self._newest:
            self._stamps.observe(time)
        else:
            # A clock that was set back, or a bag that starts again: its rhythm has to be learned again.
            self._stamps = Rhythm()
            self._stamps.observe(time)
        self._last, self._newest = now, time

    def _learn(self, interval: int, silent: bool) -> None:
        if not silent:
            self._slow.clear()
            self._intervals.append(interval)
            return
        self._slow.append(interval)
        if len(self._slow) == _LEAST and max(self._slow) < _BEGINNING:
            # Slower from now on, as a camera whose exposure has become longer.
            self._intervals.clear()
            self._intervals.extend(self._slow)
            self._slow.clear()
        elif len(self._slow) >= _LEAST:
            del self._slow[0]

    def lead(self, time: int) -> float:
        """Return by how many of its usual intervals the newest frame is ahead of a time (ns)."""
        step = self._stamps.interval
        return (self._newest - time) / step if step else 0.0

    @property
    def _interval(self) -> float:
        """Mean interval of arrival (ns): frames may come in bursts. 0 before there are enough to tell."""
        return sum(self._intervals) / len(self._intervals) if len(self._intervals) >= _LEAST else 0.0

    @property
    def _slack(self) -> float:
        """By how much (ns) a frame may be later than expected: twice what nine of ten frames needed."""
        interval = self._interval
        usual = sorted(self._intervals)[len(self._intervals) * 9 // 10]
        return max(_SLACK * interval, 2.0 * (usual - interval))

    def silent_from(self) -> int:
        """Return the moment (ns) from which on the stream is silent unless a frame comes before."""
        if self._last is None:
            return self._since + _BEGINNING
        interval = self._interval
        return self._last + (math.ceil(_MISSED * interval + self._slack) if interval else _BEGINNING)

    def is_silent(self, now: int) -> bool:
        """Return whether nothing has come for longer than the stream's own rhythm allows."""
        return now >= self.silent_from()

    def overdue_from(self, time: int, came: int) -> int:
        """Return the moment (ns) from which on the partner of a frame is overdue.

        Args:
            time: Of the frame (ns).
            came: When it came (ns): where that was later than it should have been, its partner may be late as well.
        """
        interval, step = self._interval, self._stamps.interval
        if self._last is None or not interval or not step:
            return self.silent_from()
        # The frames to come are expected at newest + 1, 2, ... steps; the first that is not clearly earlier decides.
        steps = max(1, math.ceil((time - self._newest) / step - 0.25))
        expected = min(self.silent_from(), self._last + math.ceil(steps * interval + self._slack))
        return max(expected, came + math.ceil(self._slack))
