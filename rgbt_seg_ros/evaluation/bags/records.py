"""One pair on disk: a line of ``frames.jsonl``, from which all metrics of a bag are summed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.evaluation.bags.consistency import Flips
from rgbt_seg_ros.evaluation.boxes import BoxCounts
from rgbt_seg_ros.evaluation.counts import Counts
from rgbt_seg_ros.evaluation.reliability import LEVELS
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.pipeline.preparation import ThermalFacts


@dataclass(frozen=True)
class Record:
    """One pair.

    Attributes:
        index: Of the pair in its plan.
        rgb_stamp: Stamp (ns).
        thermal_stamp: Stamp as published (ns).
        offset: thermal + thermal_offset - rgb (s).
        completed: Log time (ns) of the message that completed the pair.
        size: (H, W) of the masks.
        pixels: Pixels per class id of the model.
        confidence: Sum of the confidence (0..255) over the pixels of each class.
        unlabeled: Pixels that are 255.
        thermal: What was found in the thermal image.
        flips: Against the pair before; None: not compared.
        counts: Against the true label mask; None without one.
        agreement: (K, K) pixels by class of this model (column) and of the other one (row); None without another model.
        skipped: Why the pair has no masks; ``size`` and all that depends on it is then empty.
        note: Why its label mask was not used; empty: it was, or the pair has none.
        modality: Which images went through the network.
    """

    index: int
    rgb_stamp: int
    thermal_stamp: int
    offset: float
    completed: int
    size: tuple[int, int] = (0, 0)
    pixels: tuple[int, ...] = ()
    confidence: tuple[int, ...] = ()
    unlabeled: int = 0
    thermal: ThermalFacts = field(default_factory=ThermalFacts)
    flips: Flips | None = None
    counts: Counts | None = None
    agreement: IntArray | None = None
    skipped: str = ""
    note: str = ""
    modality: Modality = "rgbt"


def _sparse(matrix: IntArray) -> list[list[int]]:
    return [[*map(int, where), int(matrix[tuple(where)])] for where in np.argwhere(matrix)]


def _dense(entries: Any, shape: tuple[int, int]) -> IntArray:
    matrix = np.zeros(shape, np.int64)
    for row, column, count in entries:
        matrix[row, column] = count
    return matrix


def to_line(record: Record) -> str:
    """Return a record as one line of JSON; the same record gives the same bytes."""
    content: dict[str, Any] = {
        "index": record.index,
        "rgb_stamp": record.rgb_stamp,
        "thermal_stamp": record.thermal_stamp,
        "offset_s": record.offset,
        "completed": record.completed,
        "modality": record.modality,
    }
    if record.skipped:
        content["skipped"] = record.skipped
    else:
        content |= {
            "size": list(record.size),
            "pixels": list(record.pixels),
            "confidence": list(record.confidence),
            "unlabeled": record.unlabeled,
            "thermal": asdict(record.thermal),
        }
    if record.flips is not None:
        content["flips"] = [record.flips.changed, record.flips.compared, record.flips.step_ns]
    if record.counts is not None:
        counts = record.counts
        content |= {"matrix": _sparse(counts.matrix), "levels": _sparse(counts.levels)}
        content["boundary"] = counts.boundary.tolist()
    if record.agreement is not None:
        content["agreement"] = _sparse(record.agreement)
    if record.note:
        content["note"] = record.note
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n"


def _facts(content: Mapping[str, Any]) -> ThermalFacts:
    # JSON knows no tuple.
    range_k = content.get("temperature")
    return ThermalFacts(**{**content, "temperature": None if range_k is None else tuple(range_k)})


def from_line(line: str, num_classes: int) -> Record:
    """Read what ``to_line`` wrote; raises ValueError, KeyError or TypeError for any other text."""
    content: Mapping[str, Any] = json.loads(line)
    square = (num_classes, num_classes)
    counts = None
    if "matrix" in content:
        counts = Counts(
            _dense(content["matrix"], square),
            _dense(content["levels"], (LEVELS, 2)),
            np.array(content["boundary"], np.int64),
            BoxCounts.none(num_classes),
            1,
            1,
        )
    height, width = content.get("size", (0, 0))
    return Record(
        index=content["index"],
        rgb_stamp=content["rgb_stamp"],
        thermal_stamp=content["thermal_stamp"],
        offset=content["offset_s"],
        completed=content["completed"],
        modality=content.get("modality", "rgbt"),
        size=(height, width),
        pixels=tuple(content.get("pixels", ())),
        confidence=tuple(content.get("confidence", ())),
        unlabeled=content.get("unlabeled", 0),
        thermal=_facts(content.get("thermal", {})),
        flips=Flips(*content["flips"]) if "flips" in content else None,
        counts=counts,
        agreement=_dense(content["agreement"], square) if "agreement" in content else None,
        skipped=content.get("skipped", ""),
        note=content.get("note", ""),
    )


def read_records(path: Path, num_classes: int) -> Iterator[Record]:
    """Yield the records of a file, one at a time, up to the first line that was not finished."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            yield from_line(line, num_classes)
