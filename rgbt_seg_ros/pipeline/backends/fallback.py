"""A chain of engines: the first that works runs, and one that fails gives way to the next with one warning.

An engine that has run fails for a new size alone: it goes on with the others, and the rest of the chain runs that size.
"""

# What the base class holds as data is the running engine's here, and read from it at every look.
# mypy: disable-error-code="override"

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.pipeline.backends.base import Build, Engine, EngineError, Images, Inference, SizeError, reason
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory
from rgbt_seg_ros.pipeline.backends.sized import FAILED, Shape
from rgbt_seg_ros.words import counted

Opener = Callable[[], Engine]

QUIET = 30.0
"""s between two warnings that a size fails: a camera may send another one with every frame."""


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
        self._opened_at = self._warned_at = -math.inf
        self._quiet = 0
        self._ran: OrderedDict[Shape, None] = OrderedDict()
        self._elsewhere: OrderedDict[Shape, None] = OrderedDict()
        self._others: FallbackEngine | None = None
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
        return self._opening or self.running.building or (self._others.building if self._others else None)

    @property
    def built_at(self) -> float:
        """When the last of these ended, time.monotonic, s; -inf: there was none."""
        others = self._others.built_at if self._others else -math.inf
        return max(self._opened_at, self.running.built_at, others)

    def infer(
        self, pairs: Sequence[Images], output_size: tuple[int, int], scales: Sequence[float] | None = None
    ) -> list[Inference]:
        """Segment pairs of one size; see ``Engine.infer``.

        Raises:
            UserError: No other engine takes the place of the one that fails; or the size is none that an engine takes; or GPU
                memory runs out: the next engine would need as much, and the caller may go on with fewer pairs at a time.
        """
        shape = Shape.of(pairs, output_size)
        while True:
            if self._others is not None and shape in self._elsewhere:
                return self._others.infer(pairs, output_size, scales)
            try:
                found = self.running.infer(pairs, output_size, scales)
            except (EngineError, SettingError) as error:
                last = not self._rest and self._others is None
                if last or isinstance(error, SizeError) or is_out_of_memory(error):
                    raise
                with self._opens(output_size):
                    if self._ran and shape not in self._ran:
                        self._send_elsewhere(shape, error)
                    else:
                        self._replace(error)
            else:
                _note(self._ran, shape)
                return found

    @contextmanager
    def _opens(self, output_size: tuple[int, int]) -> Iterator[None]:
        self._opening = Build(output_size, time.monotonic())
        try:
            yield
        finally:
            self._opened_at = time.monotonic()
            self._opening = None

    def _replace(self, error: UserError) -> None:
        """Let the next engine run in place of the one that failed."""
        # What the failed one holds may be what the next one needs. It may be too broken to give it back.
        with suppress(Exception):
            self.running.close()
        self._ran.clear()
        self._elsewhere.clear()
        if self._others is None:
            self.running = self._open_next(str(error))
            return
        self.running, self._others = self._others, None
        self._log.warning(f"{error}; {self.running.name} runs instead")

    def _send_elsewhere(self, shape: Shape, error: UserError) -> None:
        """Let the rest of the chain run one size, and the engine go on with the others."""
        if self._others is None:
            self._others = FallbackEngine(self._rest, self._log)
            self._rest.clear()
        _note(self._elsewhere, shape)
        if time.monotonic() - self._warned_at < QUIET:
            self._quiet += 1
            return
        others = (
            f" ({counted(self._quiet, 'warning')} of other sizes before this one were left out)" if self._quiet else ""
        )
        self._warned_at, self._quiet = time.monotonic(), 0
        self._log.warning(f"{error}; {self._others.name} runs this size, {self.running.name} the others{others}")

    def close(self) -> None:
        """Close the engines that run."""
        self.running.close()
        if self._others is not None:
            self._others.close()


def _note(shapes: OrderedDict[Shape, None], shape: Shape) -> None:
    """Keep a shape as the latest of a bounded number."""
    shapes[shape] = None
    shapes.move_to_end(shape)
    if len(shapes) > FAILED:
        shapes.popitem(last=False)
