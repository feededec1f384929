"""The metrics of an evaluation as plain data: what the JSON file holds and every report shows.

nan stands for a metric that does not exist (a class with no pixel) and is written to JSON as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rgbt_seg_ros.evaluation.boundary import boundary_iou
from rgbt_seg_ros.evaluation.confusion import scores
from rgbt_seg_ros.evaluation.counts import Counts
from rgbt_seg_ros.evaluation.evaluator import Evaluation
from rgbt_seg_ros.evaluation.reliability import brier_score, expected_calibration_error, reliability
from rgbt_seg_ros.network import ClassInfo

LABEL_METRICS = ("miou", "miou_nan_as_zero", "macc", "pixel_accuracy", "boundary_iou", "ece", "brier")
"""One number each, 0..1; of data with label masks."""


@dataclass(frozen=True)
class Run:
    """What was evaluated, and all that is needed to repeat it.

    Attributes:
        model: The model file, as it was named.
        title: Variant and class count in words.
        temperature: The softmax temperature used.
        provenance: Where the model's weights came from, as its file says.
        data: The words that name the data.
        engine: Variant, engine, device and precision.
        command: The command line without its output paths.
        version: Of this package.
    """

    model: str
    title: str
    temperature: float
    provenance: Mapping[str, Any]
    data: str
    engine: str
    command: str
    version: str


def _label_metrics(counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    if not counts.labelled:
        return {**dict.fromkeys(LABEL_METRICS), "per_class": None}
    result = scores(counts.matrix)
    edges = boundary_iou(counts.boundary)
    known = edges[~np.isnan(edges)]
    per_class = {
        name: {
            "iou": float(result.iou[index]),
            "accuracy": float(result.accuracy[index]),
            "pixels": int(result.pixels[index]),
            "boundary_iou": float(edges[index]),
        }
        for index, name in enumerate(names)
    }
    values = {
        "miou": result.miou,
        "miou_nan_as_zero": result.miou_nan_as_zero,
        "macc": result.macc,
        "pixel_accuracy": result.pixel_accuracy,
        "boundary_iou": float(known.mean()) if known.size else math.nan,
        "ece": expected_calibration_error(reliability(counts.levels)),
        "brier": brier_score(counts.levels),
    }
    return {**{key: values[key] for key in LABEL_METRICS}, "per_class": per_class}


def _box_metrics(counts: Counts, names: Sequence[str], annotated: Sequence[int]) -> dict[str, Any]:
    boxes = counts.boxes
    rates, stray = boxes.hit_rate, boxes.stray_share
    return {
        "hit_rate": {names[index]: float(rates[index]) for index in annotated},
        "stray": {names[index]: float(stray[index]) for index in annotated},
        "boxes": {names[index]: int(boxes.boxes[index]) for index in annotated},
        "objects": {
            names[index]: {
                "found": int(boxes.found[index]),
                "matched": int(boxes.matched[index]),
                "precision": float(boxes.object_precision[index]),
                "recall": float(boxes.object_recall[index]),
            }
            for index in annotated
        },
        "empty_boxes": boxes.empty,
    }


def metrics_of(counts: Counts, names: Sequence[str], annotated: Sequence[int]) -> dict[str, Any]:
    """Return the metrics of some frames.

    Args:
        counts: Of these frames.
        names: The model's class names by id.
        annotated: Class ids whose objects are annotated with boxes; only these get box metrics.

    Returns:
        ``miou`` to ``brier`` and ``per_class`` (None without label masks), ``hit_rate``, ``stray``, ``boxes`` and
        ``objects`` by class name (absent without boxes), ``frames``.
    """
    result = {**_label_metrics(counts, names), "frames": counts.frames}
    if counts.boxed:
        result |= _box_metrics(counts, names, annotated)
    return result


def evaluation_metrics(evaluation: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of all frames, those of each group under ``groups``, and the matrix and the reliability bins.

    A class has box metrics if the data says that it annotates it, or has a box of it.
    """
    total = evaluation.total
    annotated = sorted({*evaluation.box_classes, *np.flatnonzero(total.boxes.boxes).tolist()})
    result = metrics_of(total, names, annotated)
    result["groups"] = {group: metrics_of(counts, names, annotated) for group, counts in evaluation.groups.items()}
    if total.labelled:
        result["reliability"] = [asdict(entry) for entry in reliability(total.levels)]
        result["confusion_matrix"] = total.matrix.tolist()
    return result


def all_metrics(
    run: Run, evaluations: Mapping[str, Evaluation], classes: Sequence[ClassInfo], frames: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all metrics of a run.

    Args:
        run: What was evaluated.
        evaluations: By modality; the metrics of the first are those of the run.
        classes: The model's.
        frames: Which frames were best, median and worst.

    Returns:
        Plain data. With more than one modality ``modalities`` holds the metrics of each.
    """
    names = [entry.name for entry in classes]
    modalities = {name: evaluation_metrics(evaluation, names) for name, evaluation in evaluations.items()}
    first = next(iter(modalities))
    result = {**modalities[first], "modality": first, **asdict(run), "classes": names, "frame_examples": dict(frames)}
    if len(modalities) > 1:
        result["modalities"] = modalities
    return result


def _text(value: str) -> str:
    """Return text that every reader of JSON takes: bytes of a file name that are not UTF-8 are spelt out."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, str):
        return _text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(metrics: Mapping[str, Any]) -> str:
    """Return strict JSON, nan as null; the same metrics give the same text."""
    return json.dumps(_plain(metrics), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
