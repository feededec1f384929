"""The rhythm of a stream, and where it falls silent: nothing came for longer than the rhythm allows."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.stream import FaultInterval

SILENT_INTERVALS = 2.5
"""Intervals without a frame from which a stream is silent: two frames were lost, not one."""

_FEWEST = 3
"""Intervals from which a rhythm is known."""

_REMEMBERED = 31


class Rhythm:
    """Follows the interval of one live stream."""

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._intervals: deque[int] = deque(maxlen=_REMEMBERED)

    def see(self, stamp: int) -> None:
        """Take the stamp (ns) of the next frame; an earlier one than the last begins the stream again."""
        if self._stamp is not None and stamp < self._stamp:
            self._intervals.clear()
        elif self._stamp is not None and stamp > self._stamp:
            self._intervals.append(stamp - self._stamp)
        self._stamp = stamp

    @property
    def interval(self) -> int | None:
        """Return the usual time (ns) from one frame to the next; None: not known yet."""
        return round(statistics.median(self._intervals)) if len(self._intervals) >= _FEWEST else None

    @property
    def patience(self) -> int | None:
        """Return for how long (ns) nothing may come; None: not known yet."""
        return None if self.interval is None else round(SILENT_INTERVALS * self.interval)


def silences(stamps: Sequence[int]) -> list[FaultInterval]:
    """Return where a recorded stream was silent: from the last frame before to the first one after.

    Args:
        stamps: ns, in order of time.
    """
    gaps = [after - before for before, after in pairwise(stamps) if after > before]
    if len(gaps) < _FEWEST:
        return []
    longest = SILENT_INTERVALS * statistics.median(gaps)
    return [
        FaultInterval(StreamFault.SILENT, before, after)
        for before, after in pairwise(stamps)
        if after - before > longest
    ]
