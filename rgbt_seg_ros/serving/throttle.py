"""Bounds what is logged or done because of what others send: a few at once, then one in a while, and a count of the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

_LARGEST = 256
"""Keys that are remembered; beyond it the counts start again."""


class Throttle:
    """Lets ``burst`` events of a key pass at once, and then one per ``period`` seconds. For any thread."""

    def __init__(self, period: float, burst: int = 1) -> None:
        """Take the seconds between two events that pass, and how many pass before that counts."""
        self._period, self._burst = period, burst
        self._lock = threading.Lock()
        self._keys: dict[Hashable, tuple[float, float, int]] = {}

    def passes(self, key: Hashable = None) -> int | None:
        """Return how many of this key were held back since the last one that passed; None: this one is held back, too."""
        now = time.monotonic()
        with self._lock:
            if len(self._keys) >= _LARGEST and key not in self._keys:
                self._keys.clear()
            left, since, held = self._keys.get(key, (float(self._burst), now, 0))
            left = min(float(self._burst), left + (now - since) / self._period)
            passes = left >= 1.0
            self._keys[key] = (left - 1.0, now, 0) if passes else (left, now, held + 1)
        return held if passes else None


def with_count(sentence: str, held: int) -> str:
    """Return a sentence for the log that says how many like it were left out before it."""
    return f"{sentence} ({held} more like it were not logged)" if held else sentence
