"""Wakes a camera pair when a frame has waited long enough for its partner."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

_NEVER = 3600.0
"""s; the timer is cancelled while nothing waits."""


class PairingTimer:
    """One timer that is set to the next moment at which something is to be done; for the thread of callbacks."""

    def __init__(self, node: LifecycleNode, wake: Callable[[], None]) -> None:
        """Take what is called at the moment that was set last."""
        self._node = node
        # Steady, as what is waited for is the arrival of messages: with use_sim_time the clock may stand still.
        self._timer = node.create_timer(_NEVER, wake, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()
        self._moment: int | None = None

    def set(self, moment: int | None) -> None:
        """Wake at a moment (time.monotonic_ns); None: not at all."""
        if moment == self._moment and not (moment is not None and moment <= time.monotonic_ns()):
            return
        self._moment = moment
        if moment is None:
            self._timer.cancel()
            return
        # A frame that is overdue already still gets its turn after the messages that have come meanwhile.
        self._timer.timer_period_ns = max(1_000_000, moment - time.monotonic_ns())
        self._timer.reset()

    def close(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)
