"""A bag check in words for a terminal, and as plain data for JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.recordings.check import LARGEST_OFFSET, BagCheck, CameraCheck
from rgbt_seg_ros.recordings.delay import Delay
from rgbt_seg_ros.recordings.faults import RecordedFault
from rgbt_seg_ros.recordings.pairing_preview import BINS, PairingPreview
from rgbt_seg_ros.recordings.statistics import GAP, LISTED, ClockLag
from rgbt_seg_ros.words import counted

_BAR = 40


def plain(value: Any) -> Any:
    """Return dataclasses as dictionaries, tuples as lists, floats to 6 digits after the point, and nan as None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def to_json(value: Any) -> str:
    """Return plain data as JSON: the same bytes for the same data."""
    return json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n"


def as_dict(path: str, check: BagCheck) -> dict[str, Any]:
    """Return a check as plain data; times in s, all but the counts rounded to µs."""
    delay = check.delay
    return {
        "bag": path,
        "usable": check.usable,
        "rgb": _camera_dict(check.rgb),
        "thermal": _camera_dict(check.thermal),
        "pairing": _pairing_dict(check.pairing),
        "no_pairs": check.no_pairs,
        "clock_difference": check.clocks,
        "recorded_later": check.recorded_later,
        "delay": delay_dict(delay),
        "suggested": {
            "sync.thermal_offset": None if check.suggested is None else check.suggested.thermal_offset,
            "sync.slop": delay.slop,
            "pairing": None if check.suggested is None else _pairing_dict(check.suggested),
        },
        "problems": list(problems(check)),
    }


def delay_dict(delay: Delay) -> dict[str, Any]:
    """Return a delay, and how it was found, as plain data; times in s."""
    return {
        "seconds": delay.seconds,
        "uncertainty": delay.uncertainty,
        "source": delay.source,
        "reason": delay.reason,
        "candidates": delay.candidates,
        "stamps": None if delay.phase is None else {**asdict(delay.phase), "locked": delay.phase.locked},
        "motion": None if delay.motion is None else asdict(delay.motion),
    }


def _camera_dict(camera: CameraCheck) -> dict[str, Any]:
    return {
        "topic": camera.topic.name,
        "type": camera.topic.type,
        **asdict(camera.stream),
        "images": asdict(camera.images),
        "faults": [{**asdict(each), "fault": str(each.fault)} for each in camera.faults],
    }


def _pairing_dict(pairing: PairingPreview) -> dict[str, Any]:
    edges = [pairing.slop * index / BINS for index in range(BINS + 1)]
    return {
        **asdict(pairing),
        "dropped": dict(pairing.dropped),
        "histogram": {"edges": edges, "counts": pairing.histogram},
    }


def problems(check: BagCheck) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with a recording, the worst first."""
    if check.no_pairs:
        yield f"no pairs: {check.no_pairs}"
    if check.clocks:
        yield (
            f"thermal stamps are {check.clocks:+.3f} s from RGB stamps of the same moment of recording: "
            "the cameras are stamped by different clocks"
        )
    if check.recorded_later:
        yield _recorded_later(check)
    for camera in (check.rgb, check.thermal):
        yield from _camera_problems(camera)


def _recorded_later(check: BagCheck) -> str:
    soon, late = (check.rgb, check.thermal) if check.recorded_later > 0 else (check.thermal, check.rgb)
    lags = [camera.stream.lag.median if camera.stream.lag else math.nan for camera in (soon, late)]
    return (
        f"{late.topic.name}: recorded {lags[1]:.3f} s after its stamps, {soon.topic.name} {lags[0]:.3f} s after its own, "
        f"whose frames have to wait for a partner so long (sync.queue_size)"
    )


def _camera_problems(camera: CameraCheck) -> Iterator[str]:
    name, stream, images = camera.topic.name, camera.stream, camera.images
    if not stream.count and not images.unreadable:
        yield f"{name}: no messages"
    if images.invalid:
        count = counted(images.invalid, "image")
        yield f"{count} cannot be used, the first at {images.invalid_at:.3f} s: {images.first_invalid}"
    yield from images.content
    if images.changes:
        listed = ", ".join(f"{what} at {at:.3f} s" for at, what in images.first_changes)
        more = _more(images.changes, images.first_changes)
        yield f"{name}: images change {counted(images.changes, 'time')}: {images.first}, then {listed}{more}"
    if stream.backwards:
        yield f"{name}: stamps run backwards {counted(stream.backwards, 'time')}, first at {stream.backwards_at:.3f} s"
    if stream.duplicates:
        yield f"{name}: {counted(stream.duplicates, 'stamp')} repeated, the first at {stream.duplicates_at:.3f} s"
    if stream.gaps:
        listed = ", ".join(f"{gap.length:.3f} s at {gap.at:.3f} s" for gap in stream.first_gaps)
        more = _more(stream.gaps, stream.first_gaps)
        yield f"{name}: {counted(stream.gaps, 'gap')} above {GAP:g} median intervals: {listed}{more}"
    for fault in StreamFault:
        yield from _fault(name, [each for each in camera.faults if each.fault is fault])
    if stream.lag is not None and stream.lag.kind != "constant":
        yield f"{name}: {_lag(stream.lag)}"


def _fault(name: str, same: Sequence[RecordedFault]) -> Iterator[str]:
    """Yield the sentence for all faults of one kind; none where there are none."""
    if same:
        listed = ", ".join(f"{each.begin:.3f} to {each.end:.3f} s" for each in same[:LISTED])
        total = sum(each.end - each.begin for each in same)
        more = _more(len(same), tuple(same[:LISTED]))
        yield f"{name}: {same[0].fault} {counted(len(same), 'time')}, for {total:.3f} s in all: {listed}{more}"


def _more(count: int, listed: tuple[Any, ...]) -> str:
    return ", ..." if count > len(listed) else ""


def _lag(lag: ClockLag) -> str:
    if lag.kind == "zero":
        return "every stamp is 0"
    words = f"log time minus stamp {lag.median:.3f} s (5th to 95th percentile: {lag.spread * 1000:.1f} ms apart)"
    if lag.kind == "drifting":
        return f"{words}, drifting by {lag.drift:+.3f} s over the recording"
    return f"{words}, of different clocks" if lag.kind == "other clock" else words


def to_text(path: str, check: BagCheck) -> str:
    """Return a check for a terminal."""
    lines = [path]
    for camera in (check.rgb, check.thermal):
        lines += _camera_text(camera)
    lines += ["", *_pairing_text("pairing", check.pairing)]
    lines += ["", *delay_text(check.delay), *_suggestions(check.delay)]
    if check.suggested is not None and check.suggested.pairs:
        lines += ["", *_pairing_text("pairing as suggested", check.suggested)]
    found = list(problems(check))
    lines += ["", "problems" if found else "no problems", *(f"  {problem}" for problem in found)]
    return "\n".join(lines)


def _camera_text(camera: CameraCheck) -> list[str]:
    stream, unreadable = camera.stream, camera.images.unreadable
    messages = counted(stream.count + unreadable, "message") + (f" ({unreadable} unreadable)" if unreadable else "")
    lines = [
        "",
        f"{camera.topic.name}  {camera.topic.type}, {messages}, {camera.images.first or 'no image'}",
    ]
    if stream.count > 1:
        intervals = (("median", stream.interval_median), ("p99", stream.interval_p99), ("largest", stream.interval_max))
        listed = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in intervals)
        lines.append(f"  {stream.mean_rate_hz:.2f} Hz on average; intervals: {listed}")
    if stream.lag is not None:
        lines.append(f"  {_lag(stream.lag)}")
    return lines


def _pairing_text(title: str, pairing: PairingPreview) -> list[str]:
    lines = [
        f"{title}: sync.slop {pairing.slop:g} s, sync.thermal_offset {pairing.thermal_offset:g} s",
        f"  {pairing.pairs} pairs of {pairing.rgb} RGB and {pairing.thermal} thermal frames; without partner: "
        f"{pairing.rgb - pairing.pairs} RGB, {pairing.thermal - pairing.thermal_paired} thermal",
    ]
    if pairing.pairs > pairing.thermal_paired:
        lines.append(
            f"  {pairing.pairs - pairing.thermal_paired} of them with a thermal frame that another pair has, too"
        )
    if pairing.dropped:
        lines.append("  dropped: " + ", ".join(f"{reason} {count}" for reason, count in pairing.dropped.items()))
    if pairing.pairs:
        lines.append(
            f"  |Δt|: median {pairing.median * 1000:.1f} ms, p99 {pairing.p99 * 1000:.1f} ms, "
            f"largest {pairing.largest * 1000:.1f} ms"
        )
        most = max(pairing.histogram)
        for index, count in enumerate(pairing.histogram):
            low, high = (1000 * pairing.slop * edge / BINS for edge in (index, index + 1))
            bar = "█" * math.ceil(_BAR * count / most)
            lines.append(f"  {low:7.1f} to {high:5.1f} ms {count:7d} {bar}".rstrip())
    return lines


def delay_text(delay: Delay) -> list[str]:
    """Return the lines that tell a delay and what it was found from."""
    phase, motion = delay.phase, delay.motion
    if delay.seconds is None:
        lines = [f"thermal delay: cannot be told: {delay.reason}"]
    else:
        lines = [
            f"thermal delay: {delay.seconds * 1000:.1f} ms ± {delay.uncertainty * 1000:.1f} ms (standard deviation), "
            f"from {delay.source}" + (f"; {delay.reason}" if delay.reason else "")
        ]
    if phase is not None:
        what = "locked to each other" if phase.locked else "not locked to each other"
        lines.append(
            f"  stamps: cameras {what} (concentration {phase.concentration:.2f}"
            + (f", jitter {phase.jitter * 1000:.1f} ms)" if phase.locked else ")")
        )
        if delay.candidates:
            lines.append(
                f"  the stamps allow {phase.phase * 1000:.1f} ms + k · {phase.period * 1000:.1f} ms, k any whole number"
            )
    if motion is not None and motion.delay is not None:
        lines.append(
            f"  motion: {motion.delay * 1000:.1f} ms ± {motion.uncertainty * 1000:.1f} ms "
            f"in {motion.seconds:.1f} s of images, correlation {motion.correlation:.2f}"
        )
    elif motion is not None:
        lines.append(f"  motion: {motion.reason}")
    return lines


def _suggestions(delay: Delay) -> list[str]:
    if delay.slop is None:
        return []
    offset = delay.thermal_offset
    if offset is None:
        return [f"suggested: sync.slop: {delay.slop:.4f} once the offset is known"]
    if abs(offset) > LARGEST_OFFSET:
        return [f"suggested: one clock for both cameras; sync.thermal_offset takes at most {LARGEST_OFFSET:g} s"]
    return [f"suggested: sync.thermal_offset: {offset:.4f}, sync.slop: {delay.slop:.4f}"]
