"""The diagnostic status of one camera: whether its images come, and whether they show anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream

_RECENT = 1.5
"""s for which a refused image counts: a little longer than from one status to the next."""

MADE_OF: Mapping[Modality, str] = {"rgbt": "pairs", "rgb": "rgb alone", "thermal": "thermal alone"}
"""What masks are made of, in the words of the status."""


class Verdict(NamedTuple):
    """A diagnostic status: level, message, whether the log has it already from where it arose, and a code for programs."""

    level: bytes
    text: str
    logged: bool = False
    code: str = "ok"


def camera_verdict(stream: Stream, pair: CameraPair) -> Verdict:
    """Return what the status of a camera says: the most specific cause that is known."""
    if not pair.enabled:
        return Verdict(DiagnosticStatus.OK, "disabled by ~/enable", code="disabled")
    images = pair.rgb if stream == "rgb" else pair.thermal
    fault = pair.fault(stream)
    if time.monotonic() - pair.refused_at.get(stream, -_RECENT) < _RECENT:
        return Verdict(
            DiagnosticStatus.ERROR, "its images are refused; the log says why", code=str(StreamFault.INVALID)
        )
    if fault is StreamFault.DECLARED:
        return Verdict(
            DiagnosticStatus.WARN, f"its driver says that its images are not valid ({stream}/valid)", code=fault
        )
    if fault is StreamFault.SILENT:
        level = DiagnosticStatus.ERROR if images.received else DiagnosticStatus.WARN
        return Verdict(level, f"no images on {images.topic}: {images.absence()}", code=str(fault))
    if fault is not None:
        return Verdict(DiagnosticStatus.WARN, fault.meaning, code=str(fault))
    judged = pair.judgements.get(stream)
    if judged is not None and judged.fault is not None:
        text = f"{judged.detail} (confidence {judged.confidence:.2f})"
        return Verdict(DiagnosticStatus.WARN, text, code=str(judged.fault))
    return Verdict(DiagnosticStatus.OK, "images come")


def camera_statuses(node: str, name: str, pair: CameraPair | None) -> Iterator[DiagnosticStatus]:
    """Yield a status for each camera of a pair.

    Args:
        node: Full name of the node.
        name: Of the camera pair.
        pair: It, in the active session, or None.
    """
    for stream in STREAMS:
        verdict = Verdict(DiagnosticStatus.OK, "not active", code="inactive")
        values = {}
        if pair is not None:
            verdict = camera_verdict(stream, pair)
            images = pair.rgb if stream == "rgb" else pair.thermal
            dropped = pair.dropped()
            values = {
                "topic": images.topic,
                "received": str(images.received),
                "refused": str(dropped.get(DropReason.INVALID.of(stream), 0)),
                **{
                    f"unfit {key.removeprefix(stream).strip()}": str(count)
                    for key, count in sorted(pair.faults.items())
                    if key.startswith(f"{stream} ")
                },
            }
        yield DiagnosticStatus(
            level=verdict.level,
            name=f"{node}: {stream} camera {name}".rstrip(),
            message=verdict.text,
            hardware_id="rgbt_seg_ros",
            values=[KeyValue(key=key, value=value) for key, value in {"code": str(verdict.code), **values}.items()],
        )
