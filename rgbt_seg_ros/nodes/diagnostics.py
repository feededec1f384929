"""The state of the node: one diagnostic status per camera pair, once a second (diagnostic_msgs/DiagnosticArray)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode

from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.resources import fastdds_variable
from rgbt_seg_ros.serving.engine_state import EngineState

NAV2_LIMIT = 0.33
"""Seconds after which Nav2's semantic segmentation layer ignores a mask."""


class Diagnostics:
    """Compare the counters with those of a second ago and say in words what is wrong."""

    def __init__(self, node: LifecycleNode) -> None:
        """Publish on ``/diagnostics``, in every state of the node."""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._last: dict[str, dict[str, int]] = {}

    def judge(self, pair: CameraPair | None, engine: EngineState) -> tuple[bytes, str]:
        """Return level and message.

        Args:
            pair: The camera pair in the active session, or None.
            engine: What is the same for every pair.
        """
        if engine.problem:
            return DiagnosticStatus.ERROR, engine.problem
        if pair is None:
            return (
                (DiagnosticStatus.WARN, engine.building) if engine.building else (DiagnosticStatus.STALE, "not active")
            )
        new = self._news(pair)
        if engine.stalled:
            return DiagnosticStatus.ERROR, f"engine has not answered for {engine.stalled:.0f} s"
        if engine.building:
            return DiagnosticStatus.WARN, engine.building
        if engine.stuck:
            return DiagnosticStatus.ERROR, engine.stuck
        for stream in pair.streams:
            if not new[stream.topic]:
                why = "no publisher" if not stream.publishers else f"{stream.publishers} publisher(s), nothing arrives"
                return DiagnosticStatus.WARN, f"no images on {stream.topic}: {why}"
        if new["lost"] > 0:
            return DiagnosticStatus.WARN, (
                f"{new['lost']} images lost between the processes: set {fastdds_variable()} to this package's "
                "config/fastdds.xml in the camera drivers too"
            )
        if waiting_for := pair.configured.aligner.waiting_for:
            return DiagnosticStatus.WARN, f"no calibration yet: waiting for {waiting_for}"
        for reason, text in (
            (DropReason.PAIR_NOT_ALIGNED, "pairs cannot be aligned; the log says why"),
            (DropReason.PAIR_OUT_OF_MEMORY, "pairs are dropped because GPU memory ran out; the log says more"),
            (DropReason.PAIR_ERROR, "pairs cannot be segmented; the log says why"),
        ):
            if new.get(f"drop {reason}", 0) > 0:
                return DiagnosticStatus.ERROR, text
        if not pair.enabled:
            return DiagnosticStatus.OK, "disabled by ~/enable"
        if new.get(f"drop {DropReason.PAIR_NO_DEPTH}", 0) > 0 and not new["processed"]:
            return DiagnosticStatus.WARN, "pairs have no depth image: compare stamps with alignment.depth_slop"
        if any(new.get(f"drop {DropReason.INVALID.of(stream)}", 0) > 0 for stream in ("rgb", "thermal", "depth")):
            return DiagnosticStatus.ERROR, "images are refused; the log says why"
        if not new["processed"] and not new.get(f"drop {DropReason.PAIR_OVER_MAX_RATE}", 0):
            if engine.busy or any(new.get(f"drop {reason}", 0) > 0 for reason in DropReason if reason.is_of_pair):
                return DiagnosticStatus.WARN, "segmenting a pair takes longer than a second"
            return DiagnosticStatus.WARN, "images arrive but none are paired: compare stamps with sync.slop"
        if engine.warning:
            return DiagnosticStatus.WARN, engine.warning
        if pair.latency > NAV2_LIMIT:
            return DiagnosticStatus.WARN, f"latency {pair.latency:.2f} s; Nav2 drops masks older than {NAV2_LIMIT} s"
        return DiagnosticStatus.OK, "segmenting"

    def _news(self, pair: CameraPair) -> dict[str, int]:
        """Return by how much each counter has grown since the last look."""
        now = {
            **{stream.topic: stream.received for stream in pair.streams},
            "processed": pair.processed,
            "lost": sum(stream.lost for stream in pair.streams),
            **{f"drop {reason}": count for reason, count in pair.dropped().items()},
        }
        last = self._last.get(pair.name, {})
        self._last[pair.name] = now
        return {key: count - last.get(key, 0) for key, count in now.items()}

    def publish(self, names: Sequence[str], pairs: Sequence[CameraPair], engine: EngineState) -> None:
        """Publish one status for each camera pair.

        Args:
            names: The names of the camera pairs, active or not.
            pairs: Those that are active.
            engine: What is the same for every pair.
        """
        active = {pair.name: pair for pair in pairs}
        message = DiagnosticArray(status=[self._status(name, active.get(name), engine) for name in names])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _status(self, name: str, pair: CameraPair | None, engine: EngineState) -> Any:
        level, text = self.judge(pair, engine)
        values = dict(engine.facts)
        if pair is not None:
            values.update(
                {
                    "received rgb": str(pair.rgb.received),
                    "received thermal": str(pair.thermal.received),
                    "processed": str(pair.processed),
                    "thermal frames used again": str(pair.reused),
                    "latency (s)": f"{pair.latency:.4f}",
                    "rgb qos": pair.rgb.reliability,
                    "thermal qos": pair.thermal.reliability,
                    **(
                        {"received depth": str(pair.depth.received), "depth qos": pair.depth.reliability}
                        if pair.depth is not None
                        else {}
                    ),
                    **{f"dropped {reason}": str(count) for reason, count in pair.dropped().items()},
                }
            )
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: segmentation {name}".rstrip(),
            message=text,
            hardware_id="rgbt_seg_ros",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
