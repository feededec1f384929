"""Whether the engine still answers."""

from __future__ import annotations


class Watchdog:
    """Looks at when the engine's present run began, and counts the runs that took too long."""

    def __init__(self, limit: float = 0.0) -> None:
        """Take how many seconds a run may last; 0: no limit. ``limit`` may be changed; the count continues."""
        self.limit = limit
        self.stalls = 0
        self._seen: float | None = None

    def check(self, busy_since: float | None, now: float) -> float:
        """Return for how long (s) the engine has not answered; 0 while that is within the limit.

        Args:
            busy_since: When the run began that the engine has not returned from; None between runs.
            now: The present time of the same clock.
        """
        if not self.limit or busy_since is None or now - busy_since <= self.limit:
            return 0.0
        if self._seen != busy_since:
            self._seen = busy_since
            self.stalls += 1
        return now - busy_since
