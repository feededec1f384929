"""What layers without ROS log, in the log of the node."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger

from rgbt_seg_ros.serving.throttle import Throttle, with_count

_PERIOD, _BURST = 10.0, 6
"""Lines that one place in the code may log at once, and seconds per line after that: what it says may change with every frame."""


class NodeLogHandler(logging.Handler):
    """Hands records of Python's ``logging`` to the logger of a node."""

    def __init__(self, log: RcutilsLogger) -> None:
        super().__init__()
        self._log = log
        self._throttle = Throttle(_PERIOD, _BURST)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record with the level that it has."""
        held = self._throttle.passes((record.pathname, record.lineno))
        if held is None:
            return
        text = with_count(self.format(record), held)
        # A line each: rclpy refuses a line of code that logs with one level now and with another one later.
        if record.levelno >= logging.ERROR:
            self._log.error(text)
        elif record.levelno >= logging.WARNING:
            self._log.warning(text)
        elif record.levelno >= logging.INFO:
            self._log.info(text)
        else:
            self._log.debug(text)


def python_logger(log: RcutilsLogger) -> logging.Logger:
    """Return a ``logging.Logger`` that logs to a node.

    It is in no hierarchy: two nodes in one process do not share it.
    """
    logger = logging.Logger("rgbt_seg_ros", logging.DEBUG)
    logger.addHandler(NodeLogHandler(log))
    return logger
