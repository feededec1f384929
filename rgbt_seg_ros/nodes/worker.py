"""One thread that works on the newest pair and never on a queue of old ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestWorker(Generic[Item]):
    """Run ``work`` on the newest item put; what is put meanwhile replaces what waits, so latency cannot grow."""

    def __init__(self, work: Callable[[Item], None], failed: Callable[[Exception], None]) -> None:
        """Start the thread.

        Args:
            work: Called with each item that gets its turn.
            failed: Called with an exception of ``work``; the loop goes on.
        """
        self._work, self._failed = work, failed
        self._condition = threading.Condition()
        self._waiting: list[Item] = []
        self._running = True
        self._thread = threading.Thread(target=self._loop, name="segmentation", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over an item; return whether one that waited was dropped for it."""
        with self._condition:
            superseded = bool(self._waiting)
            self._waiting[:] = [item]
            self._condition.notify()
        return superseded

    def _loop(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or not self._running)
                if not self._running:
                    return
                item = self._waiting.pop()
            try:
                self._work(item)
            except Exception as error:
                self._failed(error)

    def stop(self, timeout: float) -> bool:
        """Drop what waits, let the item in hand finish; return whether it did within ``timeout`` seconds."""
        with self._condition:
            self._running = False
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()
