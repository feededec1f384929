"""A chain of engines: the first that works runs, and one that fails gives way to the next with one warning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.backends.base import Backend, BackendError, Build, Inference
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory

Opener = Callable[[], Backend]


class FallbackBackend:
    """The first engine of a chain that opens, builds and runs."""

    def __init__(self, chain: Sequence[Opener], report: Callable[[str], None]) -> None:
        """Open the first that opens.

        Args:
            chain: Opens one engine each, the preferred first.
            report: Told in a sentence of every engine that gives way, and what runs instead.

        Raises:
            BackendError: The last one does not open either; its own sentence.
        """
        self._rest = list(chain)
        self._report = report
        self._opening: Build | None = None
        self._opened_at = -math.inf
        self._backend = self._open_next("")

    def _open_next(self, failure: str) -> Backend:
        while True:
            opener = self._rest.pop(0)
            try:
                backend = opener()
            except Exception as error:  # libraries that do not fit each other raise anything when they are imported
                if not self._rest or is_out_of_memory(error):
                    raise
                reason = str(error).strip().splitlines() or [type(error).__name__]
                failure = f"{failure}; {reason[0]}" if failure else reason[0]
                continue
            if failure:
                self._report(f"{failure}; {backend.name} runs instead")
            return backend

    @property
    def device(self) -> str:
        """Return the device of the engine that runs."""
        return self._backend.device

    @property
    def name(self) -> str:
        """Return the engine that runs, its device and precision."""
        return self._backend.name

    @property
    def running(self) -> Backend:
        """Return the engine that runs."""
        return self._backend

    @property
    def building(self) -> Build | None:
        """Return what the engine is being built for, or another opened in its place; None: neither."""
        return self._opening or getattr(self._backend, "building", None)

    @property
    def built_at(self) -> float:
        """Return when the last of these ended, time.monotonic, s; -inf: there was none."""
        return max(self._opened_at, getattr(self._backend, "built_at", -math.inf))

    def infer(
        self,
        pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]],
        output_size: tuple[int, int],
    ) -> list[Inference]:
        """Segment pairs of one size; see ``Backend.infer``.

        Raises:
            BackendError: The last engine of the chain fails too, or one runs out of GPU memory: the next would need no less, and
                the caller may go on with less at a time.
        """
        while True:
            try:
                return self._backend.infer(pairs, output_size)
            except BackendError as error:
                if not self._rest or is_out_of_memory(error):
                    raise
                self._opening = Build(output_size, time.monotonic())
                try:
                    # What the failed one holds may be what the next one needs. It may be too broken to give it back.
                    with suppress(Exception):
                        self._backend.close()
                    self._backend = self._open_next(str(error))
                finally:
                    self._opened_at = time.monotonic()
                    self._opening = None

    def close(self) -> None:
        """Close the engine that runs."""
        self._backend.close()


def gave_way(asked: str, backend: Backend) -> bool:
    """Return whether torch runs in the place of an engine: its masks are right, but figures of it are not that engine's.

    Args:
        asked: The one of ``BACKENDS`` that ``open_backend`` was asked for.
        backend: What it returned.
    """
    return asked not in ("auto", "torch") and backend.name.startswith("torch ")
