"""Measurements of networks as rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rgbt_seg_ros.benchmark.agreement import Agreement
from rgbt_seg_ros.benchmark.probe import Fresh
from rgbt_seg_ros.benchmark.timing import Ratio, Summary


@dataclass(frozen=True)
class NetworkRow:
    """One engine at one precision and size.

    Attributes:
        backend: The backend that was asked for.
        precision: The precision that was asked for.
        size: (H, W) in pixels.
        engine: What ran, in words: engine, device and precision; empty where nothing did.
        problem: Why nothing, or not everything, was measured; empty: everything was.
        latency: From two 8-bit images to two 8-bit masks; None: it could not run.
        cpu_ms: Median of the processor's time of all threads together for one pair: more than the latency where several work.
        ratio_to_plain_eager: Of plain eager's time over this one's, both from images to masks.
        ratio_to_plain_forward: The same, of the time that plain eager's network alone takes: all else for nothing.
        agreement: With plain eager's masks.
        open_s: s to open it, in a process that ran other engines; built files may have been there already.
        first_s: s of the first masks at this size after that.
        fresh: In a process of its own, after this run: with whatever it keeps on the disk in place.
    """

    backend: str
    precision: str
    size: tuple[int, int]
    engine: str = ""
    problem: str = ""
    latency: Summary | None = None
    cpu_ms: float | None = None
    ratio_to_plain_eager: Ratio | None = None
    ratio_to_plain_forward: Ratio | None = None
    agreement: Agreement | None = None
    open_s: float | None = None
    first_s: float | None = None
    fresh: Fresh | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return one flat object of numbers and texts; None where a value is missing."""
        ratio, forward, latency = self.ratio_to_plain_eager, self.ratio_to_plain_forward, self.latency
        return {
            "backend": self.backend,
            "precision": self.precision,
            "size": list(self.size),
            "engine": self.engine,
            "problem": self.problem,
            **_latency(latency),
            "cpu_ms": self.cpu_ms,
            "ratio_to_plain_eager": ratio and ratio.median,
            "ratio_to_plain_eager_p10": ratio and ratio.low,
            "ratio_to_plain_eager_p90": ratio and ratio.high,
            "ratio_to_plain_forward": forward and forward.median,
            "label_agreement": self.agreement and self.agreement.labels,
            "label_agreement_worst_scene": self.agreement and self.agreement.worst_scene,
            "confidence_difference_p99": self.agreement and self.agreement.confidence_p99,
            "largest_class": self.agreement and self.agreement.largest_class,
            "scenes": self.agreement and self.agreement.scenes,
            "open_s": self.open_s,
            "first_masks_s": self.first_s,
            **(asdict(self.fresh) if self.fresh else dict.fromkeys(Fresh.__dataclass_fields__)),
        }


def _latency(latency: Summary | None) -> dict[str, Any]:
    return {
        "median_ms": latency and latency.median_ms,
        "p99_ms": latency and latency.p99_ms,
        "frames_per_second": latency and latency.per_second,
        "rounds": latency and latency.rounds,
    }


@dataclass(frozen=True)
class PlainRow:
    """Plain eager at one size: ``latency`` from images to masks, ``forward`` of its network alone, ``cpu_ms`` as of a row."""

    size: tuple[int, int]
    device: str
    latency: Summary
    forward: Summary
    cpu_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Return one flat object."""
        return {
            "size": list(self.size),
            "device": self.device,
            **_latency(self.latency),
            "cpu_ms": self.cpu_ms,
            "forward_median_ms": self.forward.median_ms,
            "forward_p99_ms": self.forward.p99_ms,
        }


@dataclass(frozen=True)
class NetworkReport:
    """All rows of a model, and those of what they are compared with.

    Attributes:
        model: As named on the command line.
        title: Variant and classes in words.
        parameters: Of the network, without the heads of training.
        rows: One an engine, precision and size.
        plain: One a size.
        notes: What the engines said while they were opened.
    """

    model: str
    title: str
    parameters: int
    rows: tuple[NetworkRow, ...]
    plain: tuple[PlainRow, ...]
    notes: tuple[str, ...] = ()
