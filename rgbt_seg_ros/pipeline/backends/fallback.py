"""A chain of engines: the first that works runs, and one that fails gives way to the next with one warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.backends.base import Backend, BackendError, Inference
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
    def name(self) -> str:
        """Return the engine that runs, its device and precision."""
        return self._backend.name

    @property
    def running(self) -> Backend:
        """Return the engine that runs."""
        return self._backend

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
                # What the failed one holds may be what the next one needs. It may be too broken to give it back.
                with suppress(Exception):
                    self._backend.close()
                self._backend = self._open_next(str(error))

    def close(self) -> None:
        """Close the engine that runs."""
        self._backend.close()
