"""What an epoch gave, for the log and for people."""

from __future__ import annotations

from typing import Any

from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.training.validation import Validation


def log_scores(result: Validation, spec: ModelSpec) -> dict[str, Any]:
    """Return the scores of an evaluation as plain numbers; None where nothing could be counted."""
    record: dict[str, Any] = {}
    for modality, values in result.scores.items():
        suffix = "" if modality == "rgbt" else f"_{modality}"
        record[f"miou{suffix}"] = plain(values.miou)
        if not suffix:
            record |= {"miou_nan_as_zero": plain(values.miou_nan_as_zero), "macc": plain(values.macc)}
            record["iou"] = {entry.name: plain(values.iou[entry.id]) for entry in spec.classes}
    return record


def plain(value: float) -> float | None:
    """Return a number rounded for the log; None for nan, which JSON does not have."""
    return None if value != value else round(float(value), 6)


def summary(record: dict[str, Any], epochs: int) -> str:
    """Return one line of an epoch for people."""
    words = [f"epoch {record['epoch']}/{epochs}", f"loss {record.get('loss', float('nan')):.4f}"]
    for key in ("miou", "miou_rgb", "miou_thermal", "best_miou"):
        if record.get(key) is not None:
            words.append(f"{key} {record[key]:.4f}")
    words.append(f"{record['images_per_second']:.1f} images/s")
    if record["skipped"]:
        words.append(f"{record['skipped']} steps skipped")
    return ", ".join(words)
