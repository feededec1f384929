"""Read a bag in a thread of its own, some megabytes ahead of the reader of its messages."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType

from rgbt_seg_ros.data.bags.reader import RawMessage

LIMIT = 64 << 20
"""Bytes that are read ahead by default: about two seconds of two VGA cameras."""


class ReadAhead:
    """A context manager that holds messages ready; what waits never exceeds ``limit`` bytes by more than one message."""

    def __init__(self, source: Callable[[], Iterable[RawMessage]], limit: int = LIMIT) -> None:
        """Begin to read.

        Args:
            source: Opens the bag and returns its messages; called and consumed in the thread, as a bag's files belong to one.
            limit: Bytes of messages that may wait.
        """
        self._source = source
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[RawMessage] = deque()
        self._bytes = 0
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="bag reader", daemon=True)
        self._thread.start()

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _read(self) -> None:
        try:
            for message in self._source():
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._bytes < self._limit)
                    if self._closed:
                        return
                    self._waiting.append(message)
                    self._bytes += len(message.data)
                    self._changed.notify_all()
        except BaseException as error:  # handed to the reader: nothing catches it in a thread
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def get(self, timeout: float) -> RawMessage | None:
        """Return the next message; None: none came within ``timeout`` seconds, or there are no more, see ``exhausted``.

        Raises:
            BagError: What reading ended with, after the messages before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout)
            if self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message.data)
                self._changed.notify_all()
                return message
            if self._error is not None:
                raise self._error
            return None

    @property
    def exhausted(self) -> bool:
        """Return whether every message was handed out and no more will come."""
        with self._changed:
            return self._ended and not self._waiting and self._error is None
