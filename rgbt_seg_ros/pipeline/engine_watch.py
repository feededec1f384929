"""What the engine is doing at this moment, for those who ask from another thread: running since when, or being built."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rgbt_seg_ros.pipeline.backends import Build
from rgbt_seg_ros.pipeline.segmenter import Segmenter


class EngineWatch:
    """One thread marks what it does; any other may look."""

    def __init__(self) -> None:
        """Nothing is being done."""
        self._busy: tuple[float, Segmenter] | None = None
        self._warming: Build | None = None

    @contextmanager
    def running(self, segmenter: Segmenter) -> Iterator[None]:
        """Mark a run of the engine of a segmenter."""
        self._busy = (time.monotonic(), segmenter)
        try:
            yield
        finally:
            self._busy = None

    @contextmanager
    def warming(self, segmenter: Segmenter, size: tuple[int, int]) -> Iterator[None]:
        """Mark runs of no pair, by which the engine is built for masks of (H, W) and warmed up."""
        self._warming = Build(size, time.monotonic())
        try:
            with self.running(segmenter):
                yield
        finally:
            self._warming = None

    @property
    def building(self) -> Build | None:
        """What the engine is being built for, or warmed up; None: nothing."""
        busy = self._busy
        return self._warming or (None if busy is None else busy[1].building)

    @property
    def busy_since(self) -> float | None:
        """When (time.monotonic, s) the run began that the engine has not returned from; None between runs.

        A run in which the engine is built begins when that is done: a build may take minutes, and a run may not.
        """
        busy = self._busy
        if busy is None or busy[1].building is not None:
            return None
        return max(busy[0], busy[1].built_at)
