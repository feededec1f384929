"""SIGINT and SIGTERM for commands that end in an orderly way."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any

# How long a sleep may go on after the signal; each slice costs one wake-up.
_SLICE = 20_000_000


class StopSignals:
    """A context manager in which SIGINT and SIGTERM only set ``received``; for the main thread."""

    def __init__(self) -> None:
        """Begin with no signal received."""
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            # `ros2 launch` sends a second SIGINT to the whole process group: the first one is enough.
            signal.signal(number, signal.SIG_IGN if self.received else before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True

    def sleep_until(self, due: int) -> bool:
        """Sleep until ``time.monotonic_ns()`` is ``due``, or a signal came; return whether none has."""
        while not self.received:
            left = due - time.monotonic_ns()
            if left <= 0:
                break
            time.sleep(min(left, _SLICE) / 1e9)
        return not self.received
