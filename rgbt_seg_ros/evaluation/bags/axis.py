"""The axis of time of everything that is shown over a recording."""

from __future__ import annotations

from dataclasses import dataclass

from rgbt_seg_ros.data.bags.reader import NANOSECONDS

BINS = 600
"""At most so many points on it."""


@dataclass(frozen=True)
class Axis:
    """Bins of whole seconds from the first message of a camera on.

    Attributes:
        start: Log time (ns) of the first message of either camera.
        end: Log time (ns) of the last.
        seconds_per_bin: At least 1, so that there are at most ``BINS``.
    """

    start: int
    end: int
    seconds_per_bin: int

    @property
    def bins(self) -> int:
        """How many there are."""
        return (self.end - self.start) // (self.seconds_per_bin * NANOSECONDS) + 1

    def bin_of(self, log_time: int) -> int:
        """Return the bin of a log time (ns)."""
        return min(max(0, log_time - self.start) // (self.seconds_per_bin * NANOSECONDS), self.bins - 1)


def axis_of(start: int, end: int) -> Axis:
    """Return an axis over log times (ns)."""
    return Axis(start, end, max(1, -(-(end - start + 1) // (BINS * NANOSECONDS))))
