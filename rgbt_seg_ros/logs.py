"""Loggers whose messages go to a function of the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable


class _Listener(logging.Handler):
    def __init__(self, info: Callable[[str], None], warn: Callable[[str], None]) -> None:
        super().__init__()
        self._info, self._warn = info, warn

    def emit(self, record: logging.LogRecord) -> None:
        (self._warn if record.levelno >= logging.WARNING else self._info)(record.getMessage())


def logger_to(info: Callable[[str], None], warn: Callable[[str], None] | None = None) -> logging.Logger:
    """Return a logger of its own, outside the tree of ``logging``, that hands each message on.

    Args:
        info: Takes messages below the level WARNING.
        warn: Takes warnings and errors; None: ``info`` takes them too.
    """
    log = logging.Logger("rgbt_seg_ros", logging.INFO)
    log.addHandler(_Listener(info, warn or info))
    return log
