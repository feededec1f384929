"""What the engine does at this moment, for other threads: since when it runs, or what it is built for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rgbt_seg_ros.pipeline.backends import Build
from rgbt_seg_ros.pipeline.segmenter import Segmenter


class EngineWatch:
    """One thread marks what it does; any other may look."""

    def __init__(self, limit: float = 0.0) -> None:
        """Start idle.

        Args:
            limit: Seconds after which a run of a warm-up no longer counts as building: the engine does not answer; 0: no limit.
        """
        self._limit = limit
        self._busy: tuple[float, Segmenter] | None = None
        self._making: Build | None = None
        self.ended_at = -math.inf
        """When (time.monotonic, s) the last run or build ended; -inf: none has ended yet."""

    @contextmanager
    def running(self, segmenter: Segmenter) -> Iterator[None]:
        """Mark one run of the engine of a segmenter."""
        self._busy = (time.monotonic(), segmenter)
        try:
            yield
        finally:
            # In this order: another thread that sees no run must see when it ended.
            self.ended_at = time.monotonic()
            self._busy = None

    @contextmanager
    def making(self, size: tuple[int, int]) -> Iterator[None]:
        """Mark that an engine is opened, or built for masks of (H, W) and warmed up; its runs in there are marked as such."""
        self._making = Build(size, time.monotonic())
        try:
            yield
        finally:
            self.ended_at = time.monotonic()
            self._making = None

    @property
    def building(self) -> Build | None:
        """What the engine is opened, built or warmed up for; None: for nothing, or a run of the warm-up does not return."""
        busy, making = self._busy, self._making
        if making is None:
            return None if busy is None else busy[1].building
        since = self.busy_since
        overdue = self._limit and since is not None and time.monotonic() - since > self._limit
        return None if overdue else making

    @property
    def busy_since(self) -> float | None:
        """When (time.monotonic, s) the run began that the engine has not returned from; None between runs.

        A run in which the engine is built begins when that is done: a build may take minutes, and a run may not.
        """
        busy = self._busy
        if busy is None or busy[1].building is not None:
            return None
        return max(busy[0], busy[1].built_at)
