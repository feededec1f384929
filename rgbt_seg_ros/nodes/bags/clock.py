"""The time of a bag that is being played: when a message is due, and ``/clock``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rgbt_seg_ros.data.bags.reader import NANOSECONDS


@dataclass(frozen=True)
class Pace:
    """How the bag's time runs by the machine's.

    Attributes:
        begin: Steady time (ns, ``time.monotonic_ns``) at which playing began.
        first: Log time (ns) that belongs to it.
        rate: Bag seconds per second, above 0.
    """

    begin: int
    first: int
    rate: float

    def due(self, log_time: int) -> int:
        """Return the steady time (ns) of a log time (ns)."""
        return self.begin + round((log_time - self.first) / self.rate)

    def time(self, steady: int) -> int:
        """Return the bag's time (ns) at a steady time (ns)."""
        return self.first + round((steady - self.begin) * self.rate)


class Ticker:
    """Tells the bag's time at a steady rate; never backwards within one pass through the bag."""

    def __init__(self, tell: Callable[[int], None], hz: float) -> None:
        """Hold a ticker; it ticks once it is started.

        Args:
            tell: Takes the bag's time (ns).
            hz: Ticks per second of the machine's time.
        """
        self._tell = tell
        self._period = round(NANOSECONDS / hz)
        self._pace: Pace | None = None
        self._told = 0
        self.next = 0
        """Steady time (ns) of the next tick."""

    def start(self, pace: Pace) -> None:
        """Begin a pass; its first tick is due at once."""
        self._pace, self._told, self.next = pace, 0, pace.begin

    def tick(self, now: int) -> None:
        """Tell the time where a tick is due at the steady time ``now`` (ns)."""
        if self._pace is None or now < self.next:
            return
        # Ticks that were missed are not made up for: each would tell a time that has passed.
        self.next = max(self.next + self._period, now + self._period // 2)
        self._say(self._pace.time(now))

    def finish(self, log_time: int) -> None:
        """Tell the log time (ns) of the last message, unless it has passed, and stop."""
        self._say(log_time)
        self._pace = None

    def _say(self, time: int) -> None:
        if time > self._told:
            self._told = time
            self._tell(time)
