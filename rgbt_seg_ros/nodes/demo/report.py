"""What the demo shows: the picture strip and the table of one run."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.evaluation.confusion import Scores, confusion_matrix, scores
from rgbt_seg_ros.evaluation.report import cell
from rgbt_seg_ros.msg import FrameReport
from rgbt_seg_ros.network import ClassInfo, read_spec
from rgbt_seg_ros.nodes.camera_status import MADE_OF
from rgbt_seg_ros.nodes.demo.shots import Shot
from rgbt_seg_ros.pipeline.images import to_rgb, view
from rgbt_seg_ros.pipeline.rendering import heat, overlay, strip
from rgbt_seg_ros.pipeline.report import MODALITIES
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise


@dataclass
class Received:
    """Messages of the node by the stamp of their pair, in ns."""

    masks: dict[int, Image] = field(default_factory=dict)
    confidence: dict[int, Image] = field(default_factory=dict)
    overlay: dict[int, Image] = field(default_factory=dict)
    reports: dict[int, FrameReport] = field(default_factory=dict)

    def has_all_of(self, stamp: int) -> bool:
        """Return whether everything about the pair of this stamp has come."""
        return all(stamp in found for found in (self.masks, self.confidence, self.overlay, self.reports))


@dataclass(frozen=True)
class Run:
    """One sequence that went through the node.

    Attributes:
        frames: What was sent, in order; with label masks where the truth is known.
        stamps: The stamp of each, in ns.
        received: What came back.
        before: The report of the last probe, whose counters the sequence starts from.
        rate: Pairs per second.
        what: The sequence in words.
        model: The model file, or ``demo``.
        shots: What was sent of each frame, where a camera failed; empty: all of it.
    """

    frames: Sequence[Sample]
    stamps: Sequence[int]
    received: Received
    before: FrameReport
    rate: float
    what: str
    model: str
    shots: Sequence[Shot] = ()

    @property
    def due(self) -> set[int]:
        """The stamps of which a mask can be made."""
        unanswered = {stamp for stamp, shot in zip(self.stamps, self.shots, strict=False) if not shot.answered}
        return set(self.stamps) - unanswered

    def drops(self) -> dict[str, int]:
        """Return how many frames and pairs of the sequence were dropped, by reason."""
        if not self.received.reports:
            return {}
        last = max(self.received.reports.values(), key=lambda report: report.processed)
        earlier = dict(zip(self.before.drop_reason, self.before.drop_count, strict=True))
        counts = zip(last.drop_reason, last.drop_count, strict=True)
        return {reason: count - earlier.get(reason, 0) for reason, count in counts if count > earlier.get(reason, 0)}


def grey_mask(message: Image, name: str) -> npt.NDArray[np.uint8]:
    """Return a received mono8 mask as (H, W) uint8."""
    return np.asarray(view(message, name, 1, np.uint8), dtype=np.uint8)


def truth_scores(run: Run) -> tuple[Scores, int] | None:
    """Return the scores of the masks that have a true label mask, and how many those are; None: there is none."""
    known = [
        (frame.label, grey_mask(run.received.masks[stamp], "mask"))
        for frame, stamp in zip(run.frames, run.stamps, strict=True)
        if frame.label is not None and stamp in run.received.masks
    ]
    if not known:
        return None
    count = len(read_spec(run.model).classes)
    return scores(np.sum([confusion_matrix(label, mask, count) for label, mask in known], axis=0)), len(known)


def _truth_row(run: Run) -> list[tuple[str, str]]:
    result = truth_scores(run)
    if result is None:
        return []
    found, count = result
    classes = zip(read_spec(run.model).classes, found.iou, strict=True)
    per_class = ", ".join(f"{entry.name} {iou:.2f}" for entry, iou in classes if np.isfinite(iou))
    return [(f"mIoU of {count} masks against the true labels", f"{found.miou:.3f} ({per_class})")]


def _milliseconds(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{statistics.median(values) * 1e3:.1f} / {float(np.percentile(values, 99)) * 1e3:.1f} ms"


def table(run: Run) -> str:
    """Return the table of a run in Markdown."""
    received, stamps = run.received, run.stamps
    reports = [received.reports[stamp] for stamp in stamps if stamp in received.reports]
    last = max(received.reports.values(), key=lambda report: report.processed)
    made = Counter(report.modality for report in reports)
    stages = [dict(zip(r.stage, r.stage_duration, strict=True)) for r in reports]
    medians = {name: statistics.median(s[name] for s in stages) * 1e3 for name in (stages[0] if stages else ())}
    rows = [
        ("sequence", run.what),
        ("model", last.model),
        ("pairs in", f"{len(stamps)} at {run.rate:.1f} per second"),
        ("masks out", str(sum(stamp in received.masks for stamp in stamps))),
        ("masks by modality", ", ".join(f"{name} {made[MODALITIES[modality]]}" for modality, name in MADE_OF.items())),
        *_truth_row(run),
        ("drops by reason", ", ".join(f"{reason} {count}" for reason, count in run.drops().items()) or "none"),
        ("latency, median / p99", _milliseconds([report.latency for report in reports])),
        ("of it the network", _milliseconds([stage["network"] for stage in stages])),
        ("node overhead, median / p99", _milliseconds([report.overhead for report in reports])),
        ("stages, median ms", ", ".join(f"{name} {value:.2f}" for name, value in medians.items())),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {cell(value)} |" for name, value in rows)])


def _rows(run: Run, classes: Sequence[ClassInfo], caption: str) -> list[npt.NDArray[np.uint8]]:
    received = run.received
    whole = [i for i, stamp in enumerate(run.stamps) if stamp in received.overlay and stamp in received.confidence]
    rows = []
    for index in whole[:: max(1, len(whole) // 4)][:4]:
        frame, stamp = run.frames[index], run.stamps[index]
        shot = run.shots[index] if run.shots else Shot(frame.rgb, frame.thermal)
        nothing = np.zeros(frame.rgb.shape[:2], np.uint8)
        grey = nothing if shot.thermal is None else normalise(shot.thermal, ThermalSettings("percentile"))
        rgb = nothing if shot.rgb is None else shot.rgb
        tiles = [
            (f"RGB {index}" if shot.rgb is not None else f"RGB {index}: none", rgb),
            ("thermal" if shot.thermal is not None else "thermal: none", grey),
        ]
        if frame.label is not None:
            tiles.append(("true labels", overlay(frame.rgb, frame.label, classes)))
        tiles.append((caption, to_rgb(received.overlay[stamp], "overlay")))
        tiles.append(("confidence", heat(grey_mask(received.confidence[stamp], "confidence"))))
        rows.append(strip(tiles))
    return rows


def write(run: Run, output: Path) -> None:
    """Write ``strip.png`` and ``table.md`` into a folder, beside their places and then renamed."""
    text = table(run)
    spec = read_spec(run.model)
    caption = "overlay" if spec.provenance.trained else "overlay, UNTRAINED weights"
    rows = _rows(run, spec.classes, caption)
    output.mkdir(parents=True, exist_ok=True)
    if rows:
        width = min(row.shape[1] for row in rows)
        write_image(output / "strip.png", np.concatenate([row[:, :width] for row in rows]))
    write_text(output / "table.md", text + "\n")
