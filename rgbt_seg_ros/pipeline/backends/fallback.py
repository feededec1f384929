"""A chain of engines: the first that works runs, and one that fails gives way to the next with one warning."""

# What the base class holds as data is the running engine's here, and read from it at every look.
# mypy: disable-error-code="override"

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.backends.base import Build, Engine, EngineError, Images, Inference, reason
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory

Opener = Callable[[], Engine]


class FallbackEngine(Engine):
    """The first engine of a chain that opens, builds and runs."""

    def __init__(self, chain: Sequence[Opener], log: logging.Logger) -> None:
        """Open the first that opens.

        Args:
            chain: Opens one engine each, the preferred first.
            log: Takes a warning for every engine that gives way: why, and what runs instead.

        Raises:
            UserError: The last one cannot be opened either; its own sentence.
        """
        self._rest = list(chain)
        self._log = log
        self._opening: Build | None = None
        self._opened_at = -math.inf
        self.running = self._open_next("")

    def _open_next(self, failure: str) -> Engine:
        while True:
            opener = self._rest.pop(0)
            try:
                engine = opener()
            except Exception as error:  # libraries that do not fit each other raise anything when they are imported
                if not self._rest or is_out_of_memory(error):
                    raise
                failure = f"{failure}; {reason(error)}" if failure else reason(error)
                continue
            if failure:
                self._log.error(f"{failure}; {engine.name} runs instead")
            return engine

    @property
    def backend(self) -> str:
        """The value of runtime.backend that the running engine serves."""
        return self.running.backend

    @property
    def device(self) -> str:
        """The running engine's device."""
        return self.running.device

    @property
    def precision(self) -> str:
        """The running engine's precision."""
        return self.running.precision

    @property
    def name(self) -> str:
        """The running engine, its device and precision in words."""
        return self.running.name

    @property
    def building(self) -> Build | None:
        """What the running engine is being built for, or another one opened in its place; None: neither."""
        return self._opening or self.running.building

    @property
    def built_at(self) -> float:
        """When the last of these ended, time.monotonic, s; -inf: there was none."""
        return max(self._opened_at, self.running.built_at)

    def infer(self, pairs: Sequence[Images], output_size: tuple[int, int]) -> list[Inference]:
        """Segment pairs of one size; see ``Engine.infer``.

        Raises:
            UserError: The last engine of the chain fails too, or one runs out of GPU memory: the next would need as much, and
                the caller may go on with fewer pairs at a time.
        """
        while True:
            try:
                return self.running.infer(pairs, output_size)
            except (EngineError, SettingError) as error:
                if not self._rest or is_out_of_memory(error):
                    raise
                self._opening = Build(output_size, time.monotonic())
                try:
                    # What the failed one holds may be what the next one needs. It may be too broken to give it back.
                    with suppress(Exception):
                        self.running.close()
                    self.running = self._open_next(str(error))
                finally:
                    self._opened_at = time.monotonic()
                    self._opening = None

    def close(self) -> None:
        """Close the engine that runs."""
        self.running.close()
