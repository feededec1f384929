"""The lifecycle of the node: what each transition makes and destroys (managed nodes, design.ros2.org)."""

from __future__ import annotations

import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult

# clock_type is a module of its own only since Kilted.
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.nodes.diagnostics import Diagnostics, engine_state
from rgbt_seg_ros.nodes.parameters import NodeParameters
from rgbt_seg_ros.nodes.runtime import collect_all
from rgbt_seg_ros.nodes.session import Session
from rgbt_seg_ros.nodes.watchdog import Watchdog
from rgbt_seg_ros.parameters.table import ParameterError

_STOP_TIMEOUT = 10.0
_LEAST_STOP_TIMEOUT = 2.0
"""Seconds that a run is waited for at deactivate, however little the watchdog allows."""


class SegmentationNode(LifecycleNode):
    """Unconfigured: parameters may change. Inactive: the model is loaded. Active: pairs become masks."""

    def __init__(self, **arguments: Any) -> None:
        """Declare parameters and start diagnostics; ``start`` brings the node up."""
        super().__init__("rgbt_segmentation", **arguments)
        self._own = NodeParameters(self)
        self._configured: Configured | None = None
        self._session: Session | None = None
        self._watchdog = Watchdog()
        self._problem = ""
        self._enabled = True
        self._diagnostics = Diagnostics(self)
        self.add_on_set_parameters_callback(self._on_set)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # A steady clock: with use_sim_time and no /clock, this is what still tells that nothing moves.
        self.create_timer(1.0, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Configure and activate if ``autostart`` is true; a refusal is logged and the node stays unconfigured."""
        wanted = self.get_parameter("autostart").value
        if wanted and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the model and warm it up; refuse with one sentence where something is wrong."""
        try:
            self._own.follow()
            if self._own.refused:
                raise ParameterError(next(iter(self._own.refused.values())))
            self._configured = Configured(self, self._own.read())
        except Exception as error:
            # Drivers and libraries raise anything, and rclpy would drop it without a word.
            self._say(f"configure refused: {_words(error)}")
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        self._watchdog.limit = self._configured.runtime.watchdog
        trained = self._configured.model.spec.provenance.trained
        report = self.get_logger().info if trained else self.get_logger().warning
        report(self._configured.title)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker; refuse where the engine never came back from the last session."""
        configured = self._configured
        assert configured is not None
        if configured.wedged:
            self.get_logger().error(configured.wedged_because)
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        try:
            configured.publish_labels()
            configured.model.reset()
            self._session = Session(self, configured, self._enabled)
            configured.subscribe()
        except Exception as error:
            self._say(f"activate refused: {_words(error)}")
            self._end_session(_STOP_TIMEOUT)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the pair in hand is finished, the one that waits is dropped."""
        self._end_session(_STOP_TIMEOUT)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the model and the publishers back."""
        self._problem = ""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, from any state."""
        self._end_session(_STOP_TIMEOUT)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back after a transition that raised, so that the node can be configured again."""
        self._say(f"a transition failed in state {state.label}; the node is unconfigured")
        self._end_session(_STOP_TIMEOUT)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _say(self, problem: str) -> None:
        self._problem = problem
        self.get_logger().error(problem)

    def _end_session(self, timeout: float) -> bool:
        session, self._session = self._session, None
        configured = self._configured
        if session is None or configured is None:
            return True
        configured.unsubscribe()
        # An engine that takes longer than the watchdog allows is not waited for.
        limit = self._watchdog.limit or timeout
        ended = session.close(min(timeout, max(limit, _LEAST_STOP_TIMEOUT)))
        if not ended:
            self._watchdog.check(configured.model.busy_since, time.monotonic())
            configured.abandoned = session
            if configured.model.building is not None:
                self.get_logger().warning(configured.wedged_because)
            elif configured.model.busy_since is not None:
                self.get_logger().error("the engine has not returned from its last run, and is given up")
            else:
                self.get_logger().error("preparing or publishing the last pair has not ended, and is given up")
        return ended

    def _release(self) -> None:
        configured, self._configured = self._configured, None
        if configured is None:
            return
        if not configured.loader.busy:
            # Before the parameter counts again: a model that could not be loaded is not what the next configure takes.
            self._own.put_back("model.file", configured.model.loaded.file)
        configured.close()
        del configured
        collect_all()

    def shut_down(self, timeout: float) -> bool:
        """Stop the worker at the end of the process; return whether it ended within ``timeout`` seconds."""
        return self._end_session(timeout)

    def _on_set(self, changes: list[Any]) -> SetParametersResult:
        if self._own.setting:
            return SetParametersResult(successful=True)
        changed = {change.name: change.value for change in changes if self._own.owns(change.name)}
        if self._configured is not None:
            fixed = [name for name in changed if not self._own.is_live(name)]
            if fixed:
                reason = f"{fixed[0]}: takes effect at configure; deactivate and cleanup the node first"
                return SetParametersResult(successful=False, reason=reason)
            try:
                self._change(self._configured, changed)
            except UserError as error:
                return SetParametersResult(successful=False, reason=str(error))
        self._own.accepted(changed)
        return SetParametersResult(successful=True)

    def _change(self, configured: Configured, changed: dict[str, Any]) -> None:
        """Take parameters over while the node is configured.

        Raises:
            UserError: They cannot be used; nothing has changed.
        """
        calibrations = [name for name in changed if name != "model.file"]
        if calibrations and len(calibrations) < len(changed):
            raise ParameterError("model.file: set it by itself, and calibrations before or after it")
        if "model.file" in changed:
            configured.loader.start(changed["model.file"])
        elif calibrations:
            settings = self._own.read(changed)
            differently = configured.recalibrate(self._own.concerned(calibrations), settings)
            for pair in self._session.pairs if self._session is not None else ():
                if pair.name in differently:
                    pair.pair_anew()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._session is not None
        if self._session is None:
            response.message = "the node is not active"
        else:
            self._enabled = self._session.enabled = bool(request.data)
            response.message = "enabled" if request.data else "disabled"
        return response

    def _tick(self) -> None:
        try:
            self._look()
        except Exception as error:
            # Out of a timer it would end the node, masks and all.
            self.get_logger().error(f"diagnostics: {_words(error)}", throttle_duration_sec=60.0)

    def _look(self) -> None:
        configured, pairs = self._configured, self._session.pairs if self._session is not None else []
        self._own.follow()
        if configured is not None:
            if not configured.loader.busy:
                # The parameter names what runs, also after a model that could not be loaded.
                self._own.put_back("model.file", configured.model.loaded.file)
            if pairs:
                for entry in configured.pairs.values():
                    entry.alignment.try_again()
        for stream in (stream for pair in pairs for stream in pair.streams):
            stream.follow_publisher()
        turn_since = self._session.busy_since if self._session is not None else None
        engine = engine_state(configured, self._watchdog, self._problem, time.monotonic(), turn_since)
        names = list(configured.pairs) if configured is not None else self._own.pairs
        self._diagnostics.publish(names, pairs, engine)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
