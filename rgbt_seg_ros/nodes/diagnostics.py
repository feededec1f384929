"""The node's state in one diagnostic status a second (diagnostic_msgs/DiagnosticArray)."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rgbt_seg_ros.nodes.session import Session

NAV2_LIMIT = 0.33
"""Seconds after which Nav2's semantic segmentation layer ignores a mask."""


class Diagnostics:
    """Compare the counters with those of a second ago and say in words what is wrong."""

    def __init__(self, node: Any) -> None:
        """Publish on ``/diagnostics``, in every state of the node."""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._last: dict[str, int] = {}

    def judge(self, session: Session | None, problem: str) -> tuple[bytes, str]:
        """Return level and message.

        Args:
            session: The active session, or None.
            problem: Why the last configure was refused; empty if it was not.
        """
        if problem:
            return DiagnosticStatus.ERROR, problem
        if session is None:
            return DiagnosticStatus.STALE, "not active"
        now = {
            **{stream.topic: stream.received for stream in session.streams},
            "processed": session.processed,
            "lost": sum(stream.lost for stream in session.streams),
            **{f"drop {reason}": count for reason, count in session.dropped().items()},
        }
        new = {key: count - self._last.get(key, 0) for key, count in now.items()}
        self._last = now
        for stream in session.streams:
            if not new[stream.topic]:
                why = "no publisher" if not stream.publishers else f"{stream.publishers} publisher(s), nothing arrives"
                return DiagnosticStatus.WARN, f"no images on {stream.topic}: {why}"
        if new["lost"] > 0:
            return DiagnosticStatus.WARN, (
                f"{new['lost']} images lost between the processes: set FASTDDS_DEFAULT_PROFILES_FILE to this package's "
                "config/fastdds.xml in the camera drivers too"
            )
        if session.waiting_for:
            return DiagnosticStatus.WARN, f"no calibration yet: waiting for {session.waiting_for}"
        if new.get("drop pair_not_aligned", 0) > 0:
            return DiagnosticStatus.ERROR, "pairs cannot be aligned; the log says why"
        if new.get("drop pair_error", 0) > 0:
            return DiagnosticStatus.ERROR, "pairs cannot be segmented; the log says why"
        if not session.enabled:
            return DiagnosticStatus.OK, "disabled by ~/enable"
        if new.get("drop pair_no_depth", 0) > 0 and not new["processed"]:
            return DiagnosticStatus.WARN, "pairs have no depth image: compare stamps with alignment.depth_slop"
        if not new["processed"]:
            return DiagnosticStatus.WARN, "images arrive but none are paired: compare stamps with sync.slop"
        if session.latency > NAV2_LIMIT:
            return (
                DiagnosticStatus.WARN,
                f"latency {session.latency:.2f} s; Nav2 drops masks older than {NAV2_LIMIT} s",
            )
        return DiagnosticStatus.OK, "segmenting"

    def publish(self, session: Session | None, problem: str, facts: dict[str, str]) -> None:
        """Publish one status; ``facts`` (model, device) go into its values."""
        level, text = self.judge(session, problem)
        values = dict(facts)
        if session is not None:
            values.update(
                {
                    "received rgb": str(session.rgb.received),
                    "received thermal": str(session.thermal.received),
                    "processed": str(session.processed),
                    "latency (s)": f"{session.latency:.4f}",
                    "rgb qos": session.rgb.reliability,
                    "thermal qos": session.thermal.reliability,
                    **(
                        {"received depth": str(session.depth.received), "depth qos": session.depth.reliability}
                        if session.depth is not None
                        else {}
                    ),
                    **{f"dropped {reason}": str(count) for reason, count in session.dropped().items()},
                }
            )
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: segmentation",
            message=text,
            hardware_id="rgbt_seg_ros",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
