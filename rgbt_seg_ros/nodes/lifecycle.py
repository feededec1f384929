"""The lifecycle of the node: what each transition makes and destroys (managed nodes, design.ros2.org)."""

from __future__ import annotations

from typing import Any

import torch
from rcl_interfaces.msg import SetParametersResult

# clock_type is a module of its own only since Kilted.
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes import parameters
from rgbt_seg_ros.nodes.alignment_source import AlignmentSource
from rgbt_seg_ros.nodes.diagnostics import Diagnostics
from rgbt_seg_ros.nodes.message_filters_pairing import create_pairer
from rgbt_seg_ros.nodes.outputs import Outputs
from rgbt_seg_ros.nodes.session import Session
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.pairing import Pairer
from rgbt_seg_ros.pipeline.parameters import LIVE, PARAMETERS, NodeSettings, ParameterError

_STOP_TIMEOUT = 10.0


class SegmentationNode(LifecycleNode):
    """Unconfigured: parameters may change. Inactive: the model is loaded. Active: pairs become masks."""

    def __init__(self, **arguments: Any) -> None:
        """Declare parameters and start diagnostics; ``start`` brings the node up."""
        super().__init__("rgbt_segmentation", **arguments)
        self._refused = parameters.declare(self)
        self._settings: NodeSettings | None = None
        self._segmenter: Segmenter | None = None
        self._alignment: AlignmentSource | None = None
        self._outputs: Outputs | None = None
        self._session: Session | None = None
        self._problem = ""
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

    def _make_pairer(self) -> Pairer:
        assert self._settings is not None
        calibration = self._alignment.calibration if self._alignment is not None else None
        return create_pairer(self._settings.policy, self._settings.pairing_with(calibration))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the model and warm it up; refuse with one sentence where something is wrong."""
        try:
            if self._refused:
                raise ParameterError(next(iter(self._refused.values())))
            self._settings = parameters.read(self)
            self._alignment = AlignmentSource(self._settings)
            self._make_pairer()
            if self._settings.threads:
                torch.set_num_threads(self._settings.threads)
            aligner = self._alignment.aligner
            self._segmenter = Segmenter.open(self._settings.model, self._settings.segmenter, aligner)
            self._segmenter.warm_up(runs=self._settings.warm_up)
        except UserError as error:
            self._release()
            self._problem = f"configure refused: {error}"
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        spec = self._segmenter.spec
        self._outputs = Outputs(self, spec, self._settings.overlay_alpha)
        report = self.get_logger().info if spec.provenance.trained else self.get_logger().warning
        report(f"model: {spec.title}; {self._segmenter.name}; alignment: {aligner.mode}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        result = super().on_activate(state)
        assert self._settings is not None
        assert self._segmenter is not None
        assert self._alignment is not None
        assert self._outputs is not None
        self._outputs.publish_labels(self.get_clock().now().to_msg())
        self._segmenter.reset()
        self._session = Session(self, self._settings, self._segmenter, self._outputs, self._make_pairer)
        self._alignment.subscribe(self, self._on_aligner, self._on_no_aligner)
        return result

    def _on_aligner(self, aligner: Aligner) -> None:
        if self._segmenter is not None:
            try:
                self._segmenter.realign(aligner)
            except UserError as error:
                self._on_no_aligner(str(error))
                aligner = Aligner.awaiting(aligner.settings, f"a calibration that can be used ({error})")
                self._segmenter.realign(aligner)
            if not aligner.waiting_for:
                self.get_logger().info(f"calibration of camera_info taken over; alignment: {aligner.mode}")

    def _on_no_aligner(self, problem: str) -> None:
        self.get_logger().error(problem, throttle_duration_sec=5.0)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the pair in hand is finished, the one that waits is dropped."""
        self._end_session(_STOP_TIMEOUT)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the model and the publishers back."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, from any state."""
        self._end_session(_STOP_TIMEOUT)
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _end_session(self, timeout: float) -> bool:
        session, self._session = self._session, None
        if self._alignment is not None:
            self._alignment.close(self)
        return session is None or session.close(timeout)

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self._segmenter = self._settings = self._alignment = None

    def shut_down(self, timeout: float) -> bool:
        """Stop the worker at the end of the process; return whether it ended within ``timeout`` seconds."""
        return self._end_session(timeout)

    def _on_set(self, changes: list[Any]) -> SetParametersResult:
        own = {parameter.name for parameter in PARAMETERS}
        changed = [change for change in changes if change.name in own]
        if self._settings is None:
            for change in changed:
                self._refused.pop(change.name, None)
            return SetParametersResult(successful=True)
        fixed = [change.name for change in changed if change.name not in LIVE]
        if fixed:
            reason = f"{fixed[0]}: takes effect at configure; deactivate and cleanup the node first"
            return SetParametersResult(successful=False, reason=reason)
        if changed:
            try:
                self._recalibrate({change.name: change.value for change in changed})
            except UserError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _recalibrate(self, changes: dict[str, Any]) -> None:
        """Check a calibration that is to be taken over while the node runs, and swap it in between two frames.

        Raises:
            UserError: It cannot be used; nothing has changed.
        """
        assert self._segmenter is not None
        assert self._alignment is not None
        assert self._settings is not None
        pairing = self._settings.pairing_with(self._alignment.calibration)
        settings = parameters.read(self, changes)
        source = self._alignment.changed(settings)
        self._segmenter.realign(source.aligner)
        self._alignment.take_over(source)
        self._settings = settings
        if self._session is not None and settings.pairing_with(source.calibration) != pairing:
            self._session.pair_anew()
        self.get_logger().info(f"calibration changed; alignment: {source.aligner.mode}")

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._session is not None
        if self._session is None:
            response.message = "the node is not active"
        else:
            self._session.enabled = bool(request.data)
            response.message = "enabled" if request.data else "disabled"
        return response

    def _tick(self) -> None:
        facts = {}
        if self._segmenter is not None:
            facts = {"model": self._segmenter.spec.title, "engine": self._segmenter.name}
        if self._session is not None:
            for stream in self._session.streams:
                stream.follow_publisher()
            if self._alignment is not None:
                self._alignment.try_again()
        self._diagnostics.publish(self._session, self._problem, facts)
