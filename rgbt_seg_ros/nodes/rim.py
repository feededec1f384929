"""The rim of the node: no callback lets an exception out, also one that rclpy registered.

rclpy ends the process for an exception in a callback. Some of them are not this package's: the parameter services and the
subscription to ``/clock`` belong to rclpy itself, and raise for what a stranger sends.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode

from rgbt_seg_ros.errors import UserError, in_words
from rgbt_seg_ros.serving.throttle import Throttle, with_count

_PERIOD = 60.0
"""s between two lines in the log of one cause."""


class GuardedNode(LifecycleNode):
    """A lifecycle node that outlives every exception of a callback: it is logged once a minute for each cause, and counted."""

    def __init__(self, name: str, **arguments: Any) -> None:
        """Make the node."""
        # Before rclpy registers callbacks of its own.
        self.caught = 0
        """Exceptions of callbacks so far."""
        self._throttle = Throttle(_PERIOD)
        super().__init__(name, **arguments)

    def catch(self, where: str, error: Exception) -> None:
        """Count an exception that a callback raised, and log it."""
        self.caught += 1
        frames = traceback.extract_tb(error.__traceback__)
        line = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "no line known"
        held = self._throttle.passes((where, type(error), line))
        if held is not None:
            self.get_logger().error(with_count(f"{where}: {in_words(error)[:500]} ({line}); the node goes on", held))

    def spin_once(self, executor: Executor, timeout: float) -> None:
        """Run what is ready, or wait for it for ``timeout`` seconds."""
        try:
            executor.spin_once(timeout_sec=timeout)
        except Exception as error:
            # What is registered below the methods here, such as rclpy's lifecycle services.
            self.catch("a callback of rclpy", error)
            # What raises before it waits would otherwise take a whole core.
            time.sleep(0.01)

    def _guarded(self, callback: Callable[..., Any], where: str, answer: Callable[..., Any] | None = None) -> Any:
        # rclpy looks at the signature, which wraps() keeps.
        @wraps(callback)
        def guarded(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:
                self.catch(where, error)
                return answer(*arguments, in_words(error)) if answer is not None else None

        return guarded

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, *rest: Any, **more: Any) -> Any:
        """Subscribe, as of rclpy."""
        return super().create_subscription(msg_type, topic, self._guarded(callback, topic), *rest, **more)

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, *rest: Any, **more: Any) -> Any:
        """Offer a service, as of rclpy; a request that raises is answered too."""
        return super().create_service(srv_type, srv_name, self._guarded(callback, srv_name, _refusal), *rest, **more)

    def create_timer(self, timer_period_sec: float, callback: Any, *rest: Any, **more: Any) -> Any:
        """Start a timer, as of rclpy."""
        return super().create_timer(timer_period_sec, self._guarded(callback, "timer"), *rest, **more)

    def add_on_set_parameters_callback(self, callback: Callable[[list[Any]], SetParametersResult]) -> None:
        """Judge changes of parameters, as of rclpy; what the callback raises refuses them, and a UserError is no fault."""

        def guarded(changes: list[Any]) -> SetParametersResult:
            try:
                return callback(changes)
            except UserError as error:
                reason = str(error)
            except Exception as error:
                self.catch("parameters", error)
                reason = in_words(error)
            return SetParametersResult(successful=False, reason=reason)

        super().add_on_set_parameters_callback(guarded)


def _refusal(request: Any, response: Any, reason: str) -> Any:
    """Return the answer to a request that could not be served."""
    if isinstance(response, SetParameters.Response):
        # Those before the one that raised are set, and answered.
        rest = request.parameters[len(response.results) :]
        at = f"{rest[0].name}: {reason}" if rest else reason
        response.results.extend(SetParametersResult(successful=False, reason=at) for _ in rest)
    elif isinstance(response, SetParametersAtomically.Response):
        response.result = SetParametersResult(successful=False, reason=reason)
    elif hasattr(response, "message"):
        response.success, response.message = False, reason
    return response
