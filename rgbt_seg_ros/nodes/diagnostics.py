"""The state of the node: one diagnostic status per camera pair, once a second, and in the log whenever it changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.utilities import get_rmw_implementation_identifier

from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.nodes.camera_status import MADE_OF, Verdict, camera_statuses, camera_verdict
from rgbt_seg_ros.nodes.rim import GuardedNode
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, other_stream
from rgbt_seg_ros.resources import fastdds_profile, fastdds_variable
from rgbt_seg_ros.serving.engine_state import EngineState
from rgbt_seg_ros.serving.throttle import Throttle

_OTHER_CLOCK = 60.0
"""s; stamps that are further apart are not of one clock."""

# Numbers that stand by themselves: "3 s so far", but not the 2 of /camera2/image_raw.
_NUMBER = re.compile(r"(?<![\w/])\d[\d.]*(?![\w/])")


def transport_remedy(middleware: str) -> str:
    """Return what helps against images that are lost between processes, for a middleware such as ``rmw_fastrtps_cpp``."""
    if "fastrtps" in middleware:
        return f"set {fastdds_variable()} to {fastdds_profile()} for the camera drivers too, not only for this node"
    if "cyclonedds" in middleware:
        return f"{middleware} sends images in UDP fragments: raise net.core.rmem_max and SocketReceiveBufferSize"
    return f"see how to send large messages with {middleware}, or let the camera drivers publish reliably"


class StateLog:
    """Logs the message of a camera pair when it has changed and stayed so for two looks; numbers that change do not count."""

    def __init__(self) -> None:
        """Begin with nothing logged."""
        self._seen: dict[str, str] = {}
        self._logged: dict[str, str] = {}
        # A state that comes and goes: what is left out is logged if it is still so later.
        self._throttle = Throttle(10.0, 6)

    def look(self, log: RcutilsLogger, name: str, verdict: Verdict) -> None:
        """Take what the diagnostics say about a camera pair now."""
        kind = _NUMBER.sub("#", verdict.text)
        steady, self._seen[name] = self._seen.get(name) == kind, kind
        if not steady or self._logged.get(name) == kind:
            return
        if verdict.level == DiagnosticStatus.STALE or verdict.logged:
            # The next state counts as a change.
            self._logged[name] = kind
        elif self._throttle.passes(name) is not None:
            self._logged[name] = kind
            if verdict.level == DiagnosticStatus.ERROR:
                log.error(verdict.text)
            elif verdict.level == DiagnosticStatus.WARN:
                log.warning(verdict.text)
            else:
                log.info(verdict.text)


class Diagnostics:
    """Compare the counters with those of a second ago and say in words what is wrong."""

    def __init__(self, node: GuardedNode) -> None:
        """Publish on ``/diagnostics``, in every state of the node."""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._last: dict[str, dict[str, int]] = {}
        self._log = StateLog()

    def judge(self, pair: CameraPair | None, engine: EngineState) -> Verdict:
        """Return what the status of a camera pair says.

        Args:
            pair: The camera pair in the active session, or None.
            engine: What is the same for every pair.
        """
        error, warn, ok = DiagnosticStatus.ERROR, DiagnosticStatus.WARN, DiagnosticStatus.OK
        building = Verdict(warn, engine.building, logged=True, code="engine_building")
        if engine.problem:
            return Verdict(error, engine.problem, logged=True, code="refused")
        if pair is None:
            # Inactive is a state that somebody asked for; STALE would read as a node that has died.
            return building if engine.building else Verdict(ok, "not active", code="inactive")
        new = self._news(pair)
        if engine.stalled:
            return Verdict(error, f"engine has not answered for {engine.stalled:.0f} s", code="engine_stalled")
        if engine.building:
            return building
        if engine.stuck:
            return Verdict(error, engine.stuck, code="stuck")
        if not pair.enabled:
            return Verdict(ok, "disabled by ~/enable", logged=True, code="disabled")
        if new["processed"] and (alone := _alone(pair, new)):
            return alone
        silent = [s for s in pair.streams if not new[s.topic]]
        if silent:
            text = "; ".join(f"no images on {s.topic}: {s.absence()}" for s in silent)
            both = {"rgb", "thermal"} <= {s.name for s in silent}
            # Cameras that start after the node are not at fault.
            gone = both and any(s.received for s in silent)
            return Verdict(error if gone else warn, text, code="no_images" if both else f"{silent[0].name}_silent")
        if new["lost"] > 0:
            remedy = transport_remedy(get_rmw_implementation_identifier())
            text = f"{new['lost']} images lost between the processes: {remedy}"
            return Verdict(warn, text, code="lost_in_transport")
        if waiting_for := pair.configured.aligner.waiting_for:
            return Verdict(warn, f"no calibration yet: waiting for {waiting_for}", code="no_calibration")
        if unusable := pair.configured.alignment.unusable:
            return Verdict(warn, unusable, logged=True, code="calibration_refused")
        for reason, text in (
            (DropReason.PAIR_NOT_ALIGNED, "pairs cannot be aligned; the log says why"),
            (DropReason.PAIR_OUT_OF_MEMORY, "pairs are dropped because GPU memory ran out; the log says more"),
            (DropReason.PAIR_ERROR, "pairs cannot be segmented; the log says why"),
        ):
            if new.get(f"drop {reason}", 0) > 0:
                return Verdict(error, text, logged=True, code=str(reason))
        if new.get(f"drop {DropReason.PAIR_UNFIT}", 0) > 0 and not new["processed"]:
            said = "; ".join(f"{stream}: {found.detail}" for stream, found in pair.judgements.items() if not found.fit)
            return Verdict(error, f"no image is fit to be segmented: {said}", code=str(DropReason.PAIR_UNFIT))
        if new.get(f"drop {DropReason.PAIR_UNWANTED}", 0) > 0 and not new["processed"]:
            return Verdict(ok, "resting: nobody subscribes to its outputs (runtime.lazy)", code="resting")
        if new.get(f"drop {DropReason.PAIR_NO_DEPTH}", 0) > 0 and not new["processed"]:
            text = "pairs have no depth image: compare stamps with alignment.depth_slop"
            return Verdict(warn, text, code=str(DropReason.PAIR_NO_DEPTH))
        if any(new.get(f"drop {DropReason.INVALID.of(stream)}", 0) > 0 for stream in ("rgb", "thermal", "depth")):
            return Verdict(error, "images are refused; the log says why", logged=True, code="invalid")
        if not new["processed"] and not new.get(f"drop {DropReason.PAIR_OVER_MAX_RATE}", 0):
            if engine.busy or any(new.get(f"drop {reason}", 0) > 0 for reason in DropReason if reason.is_of_pair):
                return Verdict(warn, "segmenting a pair takes longer than a second", code="slow")
            return Verdict(warn, f"images arrive but none are paired: {_unpaired(pair)}", code="unpaired")
        if pair.findings:
            return Verdict(warn, str(pair.findings[0]), logged=True, code=str(pair.findings[0].code))
        if engine.warning:
            return Verdict(warn, engine.warning, logged=True, code="engine_warning")
        limit = pair.configured.settings.max_latency
        if pair.latency > _OTHER_CLOCK:
            what = "the stamps are not of this node's clock; a bag needs use_sim_time and its clock"
            return Verdict(warn, f"latency {pair.latency:.2f} s: {what}", code="other_clock")
        if limit and pair.latency > limit:
            text = f"latency {pair.latency:.2f} s, and diagnostics.max_latency is {limit:g} s"
            return Verdict(warn, text, code="latency")
        return Verdict(ok, "segmenting")

    def _news(self, pair: CameraPair) -> dict[str, int]:
        """Return by how much each counter has grown since the last look."""
        now = {
            **{stream.topic: stream.received for stream in pair.streams},
            "processed": pair.processed,
            **{f"made {modality}": count for modality, count in pair.made.items()},
            "lost": sum(stream.lost for stream in pair.streams),
            **{f"drop {reason}": count for reason, count in pair.dropped().items()},
        }
        last = self._last.get(pair.name, {})
        self._last[pair.name] = now
        new = {key: count - last.get(key, 0) for key, count in now.items()}
        if pair.debugs:
            pair.log.debug("since the last look: " + ", ".join(f"{count} {key}" for key, count in new.items() if count))
        return new

    def publish(self, names: Sequence[str], pairs: Sequence[CameraPair], engine: EngineState) -> None:
        """Publish one status for each camera pair.

        Args:
            names: The names of the camera pairs, active or not.
            pairs: Those that are active.
            engine: What is the same for every pair.
        """
        active = {pair.name: pair for pair in pairs}
        message = DiagnosticArray(status=[self._status(name, active.get(name), engine) for name in names])
        node = self._node.get_fully_qualified_name()
        message.status += [status for name in names for status in camera_statuses(node, name, active.get(name))]
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _status(self, name: str, pair: CameraPair | None, engine: EngineState) -> Any:
        verdict = self.judge(pair, engine)
        log = self._node.get_logger()
        self._log.look(pair.log if pair is not None else log, name, verdict)
        values = {"code": verdict.code, **engine.facts, "exceptions in callbacks": str(self._node.caught)}
        if pair is not None:
            values.update(
                {
                    "received rgb": str(pair.rgb.received),
                    "received thermal": str(pair.thermal.received),
                    "processed": str(pair.processed),
                    **{f"masks of {MADE_OF[modality]}": str(pair.made[modality]) for modality in MADE_OF},
                    "thermal frames used again": str(pair.reused),
                    "latency (s)": f"{pair.latency:.4f}",
                    "rgb qos": pair.rgb.reliability,
                    "thermal qos": pair.thermal.reliability,
                    "content": ", ".join(sorted({str(finding.code) for finding in pair.findings})) or "ok",
                    **(
                        {"received depth": str(pair.depth.received), "depth qos": pair.depth.reliability}
                        if pair.depth is not None
                        else {}
                    ),
                    **{f"dropped {reason}": str(count) for reason, count in pair.dropped().items()},
                }
            )
        return DiagnosticStatus(
            level=verdict.level,
            name=f"{self._node.get_fully_qualified_name()}: segmentation {name}".rstrip(),
            message=verdict.text,
            hardware_id="rgbt_seg_ros",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _alone(pair: CameraPair, new: dict[str, int]) -> Verdict | None:
    """Return the verdict where masks of the last second were made of one camera alone; None: they were not."""
    for stream in STREAMS:
        if new.get(f"made {stream}", 0) > new.get("made rgbt", 0):
            missing = other_stream(stream)
            cause = camera_verdict(missing, pair)
            why = cause.text if cause.level != DiagnosticStatus.OK else "its images found no partner"
            text = f"masks are made of the {stream} image alone; {missing}: {why}"
            return Verdict(DiagnosticStatus.WARN, text, code=f"{stream}_alone")
    return None


def _unpaired(pair: CameraPair) -> str:
    """Return why frames of both streams arrive and find no partner, as far as their stamps say."""
    slop, difference = pair.configured.pairing.slop, pair.stamp_difference()
    if difference is None or difference <= slop:
        return "compare stamps with sync.slop"
    clocks = "; the drivers stamp with different clocks" if difference > _OTHER_CLOCK else ""
    return f"their stamps are {difference:.3f} s apart or more, and sync.slop is {slop:g} s{clocks}"
