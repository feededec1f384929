"""The tables of a report, as text cells, for every format alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EVERYTHING = "all"

_COLUMNS = {
    "miou": "mIoU",
    "miou_nan_as_zero": "mIoU, nan as 0",
    "macc": "mAcc",
    "pixel_accuracy": "pixel accuracy",
    "boundary_iou": "boundary IoU",
    "ece": "ECE",
    "brier": "Brier",
}


@dataclass(frozen=True)
class Table:
    """A table of text: the first cell of a row names it.

    Attributes:
        title: What it shows.
        header: One cell a column.
        rows: As many cells each.
        note: One sentence below it; may be empty.
        kind: ``numbers``, ``text``, or ``reliability`` and ``frames``, which stand beside a plot and pictures.
        shades: For each row, how dark (0..1) each cell after the first is; empty: no cell is.
        links: For each row, the path that its first cell leads to, relative to the report; empty, or an empty path: none.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    kind: str = "numbers"
    shades: tuple[tuple[float, ...], ...] = ()
    links: tuple[str, ...] = ()


def show(value: float | int | None, digits: int = 4) -> str:
    """Return a number as text: whole numbers as such, fractions with ``digits`` decimals, nan as ``nan``, None as ``–``."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return str(value)
    return "nan" if math.isnan(value) else f"{value:.{digits}f}"


def _parts(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {EVERYTHING: metrics, **metrics["groups"]}


def _modalities(metrics: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return metrics.get("modalities") or {metrics["modality"]: metrics}


def _headline(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (name, *(show(part[key]) for key in _COLUMNS), show(part["frames"])) for name, part in _parts(metrics).items()
    )
    return Table(
        "Metrics",
        ("frames of", *_COLUMNS.values(), "frames"),
        rows,
        f"Over all pixels with a label, class 0 included; {metrics['modality']} given to the network.",
    )


def _classes(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (name, show(entry["iou"]), show(entry["accuracy"]), show(entry["boundary_iou"]), show(entry["pixels"]))
        for name, entry in metrics["per_class"].items()
    )
    return Table("Classes", ("class", "IoU", "accuracy", "boundary IoU", "true pixels"), rows, "nan: no such pixel.")


def _class_groups(metrics: Mapping[str, Any]) -> Table:
    parts = _parts(metrics)
    rows = tuple(
        (name, *(show(part["per_class"][name]["iou"] if part["per_class"] else None) for part in parts.values()))
        for name in metrics["classes"]
    )
    return Table("IoU by group", ("class", *parts), rows)


def _ablation(metrics: Mapping[str, Any], key: str, title: str) -> Table:
    modalities = _modalities(metrics)
    rows = tuple(
        (name, *(show(part[key]) for part in _parts(modality).values())) for name, modality in modalities.items()
    )
    return Table(title, ("given to the network", *_parts(metrics)), rows)


def _boxes(metrics: Mapping[str, Any]) -> Table:
    modalities = _modalities(metrics)
    rows = tuple(
        (
            f"{name}, {group}, {modality}",
            show(part["boxes"][name]),
            show(part["hit_rate"][name]),
            show(part["stray"][name]),
            show(part["objects"][name]["found"]),
            show(part["objects"][name]["precision"]),
            show(part["objects"][name]["recall"]),
        )
        for name in metrics["hit_rate"]
        for modality, results in modalities.items()
        for group, part in _parts(results).items()
        if "hit_rate" in part
    )
    return Table(
        "Boxes",
        ("class, frames of, modality", "boxes", "hit rate", "stray", "objects", "precision", "recall"),
        rows,
        "Hit: at least 30 % of a box's pixels carry its class. Stray: share of the class's pixels outside all its boxes grown "
        "by 10 % on each side. Objects: connected areas of at least 50 pixels; one is right where its box and an annotated one "
        f"have an IoU of 0.5 or more, each used once. Boxes without a pixel, left out: {metrics['empty_boxes']}.",
    )


def _confusion(metrics: Mapping[str, Any]) -> Table:
    names: Sequence[str] = metrics["classes"]
    rows, shades = [], []
    for name, counts in zip(names, metrics["confusion_matrix"], strict=True):
        total = sum(counts)
        shares = [count / total if total else math.nan for count in counts]
        rows.append((name, *(show(share, 3) for share in shares)))
        shades.append(tuple(0.0 if math.isnan(share) else share for share in shares))
    return Table(
        "Confusion matrix",
        ("truth \\ prediction", *names),
        tuple(rows),
        "Shares of the true class's pixels: each row sums to 1.",
        shades=tuple(shades),
    )


def _reliability(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            f"{entry['low']:.3f} to {entry['high']:.3f}",
            show(entry["pixels"]),
            show(entry["confidence"]),
            show(entry["accuracy"]),
        )
        for entry in metrics["reliability"]
    )
    return Table(
        "Reliability",
        ("confidence", "pixels", "mean confidence", "share right"),
        rows,
        "Blue: share right. Red: its gap to the mean confidence. ECE is the mean gap, weighted by pixels.",
        "reliability",
    )


def _frames(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (kind, frame["name"], frame["group"] or "–", show(frame["score"]))
        for kind, frames in metrics["frame_examples"].items()
        for frame in frames
    )
    return Table(
        "Best, median and worst frames", ("", "frame", "group", "score"), rows, _score_words(metrics), "frames"
    )


def _score_words(metrics: Mapping[str, Any]) -> str:
    if metrics["per_class"] is not None:
        return "Score: mIoU of the frame over the classes present in it."
    return "Score: share of the frame's boxes that were hit."


def provenance_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a model file says of where its weights came from, a row a fact."""
    rows = []
    for key, value in metrics["provenance"].items():
        if value not in ("", {}):
            text = ", ".join(f"{name} {number:g}" for name, number in value.items()) if key == "metrics" else str(value)
            rows.append((f"provenance: {key}", text))
    return rows


def _facts(metrics: Mapping[str, Any]) -> Table:
    rows = [
        ("model", f"{metrics['model']} ({metrics['title']})"),
        ("temperature", f"{metrics['temperature']:g}"),
        ("data", f"{metrics['data']}, {metrics['frames']} frames"),
        ("engine", metrics["engine"]),
        ("rgbt_seg_ros", metrics["version"]),
        ("command", metrics["command"]),
        *provenance_rows(metrics),
    ]
    return Table("Where this comes from", ("", ""), tuple(rows), kind="text")


def label_scores(metrics: Mapping[str, Any]) -> list[Table]:
    """Return the tables of metrics that data with label masks have; none where ``per_class`` is None."""
    if metrics["per_class"] is None:
        return []
    result = [_headline(metrics)]
    if "modalities" in metrics:
        result += [_ablation(metrics, "miou", "mIoU by modality"), _ablation(metrics, "ece", "ECE by modality")]
    result.append(_classes(metrics))
    if metrics["groups"]:
        result.append(_class_groups(metrics))
    return result


def label_details(metrics: Mapping[str, Any]) -> list[Table]:
    """Return reliability and confusion matrix of data with label masks; none where ``per_class`` is None."""
    return [] if metrics["per_class"] is None else [_reliability(metrics), _confusion(metrics)]


def tables(metrics: Mapping[str, Any]) -> list[Table]:
    """Return every table that the metrics (``metrics.all_metrics``) have something to fill with, in reading order."""
    result = label_scores(metrics)
    if "hit_rate" in metrics:
        result.append(_boxes(metrics))
    result += label_details(metrics)
    if any(metrics["frame_examples"].values()):
        result.append(_frames(metrics))
    return [*result, _facts(metrics)]
