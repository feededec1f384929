"""The lifecycle of the node: what each transition makes and destroys (managed nodes, design.ros2.org)."""

from __future__ import annotations

import time
from copy import copy
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult

# clock_type is a module of its own only since Kilted.
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from rgbt_seg_ros.errors import in_words, name_settings
from rgbt_seg_ros.nodes.bond import LifecycleBond
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.nodes.diagnostics import Diagnostics
from rgbt_seg_ros.nodes.outputs import vision_msgs
from rgbt_seg_ros.nodes.parameters import NodeParameters
from rgbt_seg_ros.nodes.points_output import check_points
from rgbt_seg_ros.nodes.qos import unused_overrides
from rgbt_seg_ros.nodes.rim import GuardedNode
from rgbt_seg_ros.nodes.runtime import collect_all
from rgbt_seg_ros.nodes.session import Session
from rgbt_seg_ros.parameters.table import PARAMETER_OF, ParameterError
from rgbt_seg_ros.serving.engine_state import engine_state
from rgbt_seg_ros.serving.watchdog import Watchdog

_STOP_TIMEOUT = 10.0
_LEAST_STOP_TIMEOUT = 2.0
"""s; deactivate waits at least this long for a run, however little the watchdog allows."""


class SegmentationNode(GuardedNode):
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
        self._bond = LifecycleBond(self)
        self.add_on_set_parameters_callback(self._on_set)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # A steady clock: with use_sim_time and no /clock, diagnostics must still say that nothing moves.
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
            settings = self._own.read()
            for sentence in self._own.unknown():
                self.get_logger().warning(sentence)
            with name_settings(PARAMETER_OF):
                self._configured = Configured(self, settings)
        except Exception as error:
            # Drivers and libraries raise anything, and rclpy would drop it without a word.
            self._say(f"configure refused: {in_words(error)}")
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        self._watchdog.limit = self._configured.served.runtime.watchdog
        trained = self._configured.served.model.spec.provenance.trained
        report = self.get_logger().info if trained else self.get_logger().warning
        report(self._configured.title)
        for pair in self._configured.pairs.values():
            if pair.untrained:
                self.get_logger().warning(
                    f"sync.fallback: masks will be made of the {' or the '.join(pair.untrained)} image alone while the other "
                    "camera fails, and this model was never trained for that: expect worse masks"
                )
                break
        if vision_msgs() is None:
            self.get_logger().warning(
                "vision_msgs is not installed, so segmentation/label_info is not published: Nav2's semantic segmentation layer "
                "crashes on a mask that comes before label_info; install ros-$ROS_DISTRO-vision-msgs, or use the masks without it"
            )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker; refuse where the engine has not returned from the last session."""
        configured = self._configured
        assert configured is not None
        if configured.served.wedged:
            self.get_logger().error(configured.served.wedged_because)
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        try:
            configured.publish_labels()
            configured.served.model.reset()
            self._session = Session(self, configured, self._enabled)
            configured.subscribe()
        except Exception as error:
            self._say(f"activate refused: {in_words(error)}")
            self._end_session(_STOP_TIMEOUT)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        self._bond.start()
        for sentence in unused_overrides(self):
            self.get_logger().warning(sentence)
        topics = ", ".join(stream.topic for pair in self._session.pairs for stream in pair.streams)
        self.get_logger().info(f"active{'' if self._enabled else ', but disabled by ~/enable'}: listening to {topics}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the pair in hand is finished, the one that waits is dropped."""
        pairs = self._session.pairs if self._session is not None else []
        self._bond.end()
        self._end_session(_STOP_TIMEOUT)
        for pair in pairs:
            dropped = ", ".join(f"{count} {reason}" for reason, count in pair.dropped().items())
            pair.log.info(f"deactivated: {pair.processed} pairs segmented; dropped: {dropped or 'nothing'}")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and the publishers."""
        self._problem = ""
        self._release()
        self.get_logger().info("cleaned up: the model is released")
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        self._bond.end()
        self._end_session(_STOP_TIMEOUT)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after a transition that raised, so that the node can be configured again."""
        self._say(f"a transition failed in state {state.label}; the node is unconfigured")
        self._bond.end()
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
        # Do not wait for an engine that takes longer than the watchdog allows.
        limit = self._watchdog.limit or timeout
        ended = session.close(min(timeout, max(limit, _LEAST_STOP_TIMEOUT)))
        if not ended:
            served = configured.served
            self._watchdog.check(served.model.busy_since, time.monotonic())
            served.abandoned = session
            if served.model.building is not None:
                self.get_logger().warning(served.wedged_because)
            elif served.model.busy_since is not None:
                self.get_logger().error("the engine has not returned from its last run, and is given up")
            else:
                self.get_logger().error("preparing or publishing the last pair has not ended, and is given up")
        return ended

    def _release(self) -> None:
        configured, self._configured = self._configured, None
        if configured is None:
            return
        if not configured.served.loader.busy:
            # Before the parameter counts again: the next configure must not take a model that could not be loaded.
            self._own.put_back("model.file", configured.served.model.loaded.file)
        configured.close()
        del configured
        collect_all()

    def shut_down(self, timeout: float) -> bool:
        """Stop the worker at the end of the process; return whether it ended within ``timeout`` seconds."""
        self._bond.end()
        return self._end_session(timeout)

    def _on_set(self, changes: list[Any]) -> SetParametersResult:
        if self._own.setting:
            return SetParametersResult(successful=True)
        changed = {change.name: change.value for change in changes if self._own.owns(change.name)}
        # What is raised here refuses the change.
        self._own.check(changed)
        if self._configured is not None:
            if fixed := [name for name in changed if not self._own.is_live(name)]:
                raise ParameterError(f"{fixed[0]}: takes effect at configure; deactivate and cleanup the node first")
            self._change(self._configured, changed)
        self._own.accepted(changed)
        return SetParametersResult(successful=True)

    def _change(self, configured: Configured, changed: dict[str, Any]) -> None:
        """Apply parameters while the node is configured.

        Raises:
            UserError: They cannot be used; nothing has changed.
        """
        if "model.file" in changed and len(changed) > 1:
            raise ParameterError("model.file: cannot change together with other parameters; set it by itself")
        if "model.file" in changed:
            self._own.read(changed)
            with name_settings(PARAMETER_OF):
                configured.served.loader.start(changed["model.file"])
        elif changed:
            settings = self._own.read(changed)
            with name_settings(PARAMETER_OF):
                check_points(settings, configured.served.model.spec)
            pairs = self._session.pairs if self._session is not None else ()
            differently = configured.recalibrate(self._own.recalibrated(changed), settings)
            before = configured.tune(settings)
            for pair in pairs:
                if pair.name in differently:
                    pair.restart_pairing()
                elif pair.name in before:
                    pair.tune(before[pair.name])

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        """Return what ``ros2 param describe`` shows: while the node is configured, what then takes no effect is read-only."""
        descriptor: ParameterDescriptor = super().describe_parameter(name)
        if self._configured is None or not self._own.owns(name) or self._own.is_live(name):
            return descriptor
        # The node's own descriptor stays: it lets the answer to a change say what to do.
        shown = copy(descriptor)
        shown.read_only = True
        return shown

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._session is not None
        if self._session is None:
            response.message = "the node is not active"
        else:
            self._enabled = self._session.enabled = bool(request.data)
            response.message = "enabled" if request.data else "disabled"
            self.get_logger().info(f"{response.message} by ~/enable")
        return response

    def _tick(self) -> None:
        configured, pairs = self._configured, self._session.pairs if self._session is not None else []
        self._own.follow()
        if configured is not None:
            if not configured.served.loader.busy:
                # The parameter names what runs, also after a model that could not be loaded.
                self._own.put_back("model.file", configured.served.model.loaded.file)
            if pairs:
                for entry in configured.pairs.values():
                    entry.alignment.try_again()
        for stream in (stream for pair in pairs for stream in pair.streams):
            stream.follow_publisher()
        turn_since = self._session.busy_since if self._session is not None else None
        served = configured.served if configured is not None else None
        engine = engine_state(served, self._watchdog, self._problem, time.monotonic(), turn_since)
        names = list(configured.pairs) if configured is not None else self._own.pairs
        self._diagnostics.publish(names, pairs, engine)
