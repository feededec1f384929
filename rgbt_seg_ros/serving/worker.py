"""One thread that works on the newest pair of each camera pair in turn, and never on a queue of old ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_ALIVE = 1.0
"""Seconds after its last item in which a slot is still waited for."""


class FairWorker(Generic[Item]):
    """Run ``work`` on the newest item of each slot; what is put meanwhile replaces what waits, so latency cannot grow.

    An item that is put while the thread has nothing to do is as good as taken, although the thread takes a moment to wake up:
    of two that come in quick succession, the second waits for the first and does not replace it.
    The slot served longest ago comes first. Others that wait share its turn where ``together`` says so.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        work: Callable[[list[tuple[int, Item]]], None],
        failed: Callable[[list[tuple[int, Item]], Exception], None],
        together: Callable[[int], Hashable | None] = lambda slot: None,
        largest: Callable[[], int] = lambda: 1,
        wait: float = 0.0,
        begin: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the thread.

        Args:
            name: The name of the thread.
            slots: How many; items of slot 0..slots-1 take turns.
            work: Called with the items that get their turn, at most one a slot.
            failed: Called with them and an exception of ``work``; the loop continues.
            together: Says of a slot what its next item can share a turn by: equal values do, None never does.
            largest: Says how many may share a turn.
            wait: Seconds from its arrival that an item waits for those that could share its turn.
            begin: Called first thing in the thread.
        """
        self._begin = begin
        self._work, self._failed, self._together, self._largest, self._wait = work, failed, together, largest, wait
        self._condition = threading.Condition()
        self._waiting: dict[int, tuple[Item, float]] = {}
        # Whether the thread waits for something to do; the slot of the item that woke it up; what came after that to this slot.
        self._idle = False
        self._handed: int | None = None
        self._behind: tuple[Item, float] | None = None
        self._calls: list[Callable[[], object]] = []
        self._last_put = [float("-inf")] * slots
        self._turn = 0
        self._served = [0] * slots
        self._running = True
        self.busy_since: float | None = None
        """When (time.monotonic, s) the turn began that has not ended; None between turns."""
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item, slot: int = 0) -> bool:
        """Hand over an item; return whether one of its slot that waited was dropped for it."""
        now = time.monotonic()
        with self._condition:
            self._last_put[slot] = now
            if slot == self._handed:
                superseded = self._behind is not None
                self._behind = (item, now)
                return superseded
            superseded = slot in self._waiting
            # The wait for others counts from the first item: one that replaces it does not restart the wait.
            since = self._waiting[slot][1] if superseded else now
            self._waiting[slot] = (item, since)
            if self._idle:
                self._idle, self._handed = False, slot
            self._condition.notify()
        return superseded

    def call(self, work: Callable[[], object]) -> None:
        """Run something in the thread before items that are put later, once if it already waits; ``failed`` gets an exception."""
        with self._condition:
            if work not in self._calls:
                self._calls.append(work)
            self._idle = False
            self._condition.notify()

    def _companions(self, first: int) -> list[int]:
        """Return the slots that could share the turn of the first, those served longest ago first."""
        key = self._together(first)
        if key is None or self._largest() < 2:
            return []
        others = [slot for slot in range(len(self._served)) if slot != first and self._together(slot) == key]
        return sorted(others, key=lambda slot: self._served[slot])

    def _first(self) -> int:
        if self._handed is not None:
            return self._handed
        return min(self._waiting, key=lambda slot: (self._served[slot], slot))

    def _missing(self) -> float:
        """Return for how many seconds more those that could share the turn are waited for."""
        first = self._first()
        companions = self._companions(first)
        ready = sum(slot in self._waiting for slot in companions)
        now = time.monotonic()
        absent = [slot for slot in companions if slot not in self._waiting and now - self._last_put[slot] < _ALIVE]
        if not absent or ready + 1 >= self._largest():
            return 0.0
        return max(0.0, self._waiting[first][1] + self._wait - now)

    def _take(self) -> list[tuple[int, Item]]:
        first = self._first()
        chosen = [first, *(slot for slot in self._companions(first) if slot in self._waiting)][
            : max(1, self._largest())
        ]
        self._turn += 1
        for slot in chosen:
            self._served[slot] = self._turn
        taken = [(slot, self._waiting.pop(slot)[0]) for slot in chosen]
        if self._handed is not None and self._behind is not None:
            self._waiting[self._handed] = self._behind
        self._handed = self._behind = None
        return taken

    def _loop(self) -> None:
        self._begin()
        while True:
            with self._condition:
                self._idle = not (self._calls or self._waiting)
                self._condition.wait_for(lambda: self._calls or self._waiting or not self._running)
                self._idle = False
                while self._wait and self._running and not self._calls and (left := self._missing()) > 0:
                    if self._behind is None:
                        # It is awake: what comes while it waits for others replaces what came before.
                        self._handed = None
                    self._condition.wait(left)
                if not self._running:
                    return
                call = self._calls.pop(0) if self._calls and self._handed is None else None
                items = [] if call is not None else self._take()
            self.busy_since = time.monotonic()
            try:
                if call is not None:
                    call()
                else:
                    self._work(items)
            except Exception as error:
                self._failed(items, error)
            self.busy_since = None
            # The names would hold the images until the next pair comes.
            del items

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or is still inside ``work`` after it was stopped."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> bool:
        """Drop what waits, let the work in hand finish; return whether it did within ``timeout`` seconds."""
        with self._condition:
            self._running = False
            self._condition.notify()
        self._thread.join(timeout)
        return not self.alive
