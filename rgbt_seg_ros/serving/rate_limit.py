"""Thin a stream of pairs to a rate, by their stamps alone."""

from __future__ import annotations


class RateLimit:
    """Decides by the stamp of each pair whether it is segmented.

    Wanted moments lie one period apart; a pair is taken that comes at most a quarter of a period before the next one. Since the
    next moment counts from the last moment and not from the pair that was taken, the rate is exact on average wherever the
    camera is faster: 30 Hz limited to 15 gives 15 and not 10, limited to 20 gives 20.
    """

    def __init__(self, rate: float) -> None:
        """Take the limit in Hz; 0 lets everything pass."""
        self._rate = rate
        self._last: int | None = None
        self._origin = 0
        self._taken = 0

    def _moment(self, number: float) -> int:
        # From the origin each time: sums of a rounded period would drift, and floats cannot hold ns since 1970.
        return self._origin + round(number * 1e9 / self._rate)

    def accepts(self, stamp: int) -> bool:
        """Return whether the pair of this stamp (ns) is segmented. A jump back in time restarts the limit."""
        if not self._rate:
            return True
        last, self._last = self._last, stamp
        # A whole period without a pair: a burst must not make up for what was missed.
        if last is None or stamp < last or stamp >= self._moment(self._taken + 1):
            self._origin, self._taken = stamp, 1
            return True
        if stamp < self._moment(self._taken - 0.25):
            return False
        self._taken += 1
        return True
