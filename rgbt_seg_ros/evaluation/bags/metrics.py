"""The metrics of a bag as plain data: what ``report.json`` holds and every report shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rgbt_seg_ros.data.bags.reader import NANOSECONDS
from rgbt_seg_ros.evaluation.bags.plan import Plan
from rgbt_seg_ros.evaluation.bags.totals import Sums, Totals
from rgbt_seg_ros.evaluation.confusion import scores
from rgbt_seg_ros.evaluation.metrics import metrics_of
from rgbt_seg_ros.evaluation.reliability import reliability


def mask_metrics(sums: Sums, names: Sequence[str]) -> dict[str, Any]:
    """Return what masks show without true labels: coverage, confidence, class shares, label flips."""
    labelled = int(sums.pixels.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums.pixels / labelled if labelled else np.full(len(names), math.nan)
        confidence = sums.confidence / (255.0 * sums.pixels)
    return {
        "coverage": sums.coverage,
        "mean_confidence": sums.mean_confidence,
        "class_share": {name: float(share[index]) for index, name in enumerate(names)},
        "class_confidence": {name: float(confidence[index]) for index, name in enumerate(names)},
        "flips_per_pixel_second": sums.flip_rate,
        "compared_pairs": sums.flip_pairs,
    }


def label_metrics(sums: Sums, names: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of ``rgbt-seg evaluate``; ``per_class`` is None without true labels."""
    result = {**metrics_of(sums.counts, names, ()), "frames": sums.counts.labelled, "groups": {}}
    if sums.counts.labelled:
        result["reliability"] = [asdict(entry) for entry in reliability(sums.counts.levels)]
        result["confusion_matrix"] = sums.counts.matrix.tolist()
    return result


def agreement_metrics(sums: Sums, names: Sequence[str], other: Mapping[str, str] | None) -> dict[str, Any] | None:
    """Return how alike the masks of both models are; None without a second one."""
    if other is None:
        return None
    matrix = sums.agreement
    result = scores(matrix)
    per_class = {name: float(result.iou[index]) for index, name in enumerate(names)}
    return {**other, "agreement": result.pixel_accuracy, "miou": result.miou, "per_class": per_class}


def _offsets(offsets: Sequence[float]) -> dict[str, float] | None:
    if not offsets:
        return None
    values = np.array(offsets, np.float64)
    size = np.abs(values)
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "p95_abs": float(np.percentile(size, 95)),
        "max_abs": float(size.max()),
    }


def _timeline(plan: Plan, totals: Totals, labelled: bool) -> dict[str, Any]:
    bins = []
    for index, (traffic, sums) in enumerate(zip(plan.traffic, totals.bins, strict=True)):
        entry: dict[str, Any] = {"time_s": index * plan.axis.seconds_per_bin, **asdict(traffic)}
        empty = sums is None or sums.pairs == sums.skipped
        entry |= {"pairs": 0 if sums is None else sums.pairs, "skipped": 0 if sums is None else sums.skipped}
        shown: dict[str, Any] = dict.fromkeys(("mean_confidence", "coverage", "flips", "class_share", "miou"))
        if sums is not None and not empty:
            pixels = int(sums.pixels.sum())
            shown["mean_confidence"], shown["coverage"] = sums.mean_confidence, sums.coverage
            shown["flips"] = sums.flip_rate if sums.flip_pairs else None
            shown["class_share"] = [int(count) / pixels for count in sums.pixels] if pixels else None
            shown["miou"] = sums.miou if labelled and sums.counts.labelled else None
        bins.append({**entry, **shown})
    return {"seconds_per_bin": plan.axis.seconds_per_bin, "bins": bins}


def availability_metrics(plan: Plan, totals: Totals, names: Sequence[str]) -> dict[str, Any]:
    """Return how many moments have a mask, from which images the masks were made, and what each kind is worth.

    A moment is an RGB frame, or a thermal frame that went alone.
    """
    made = {modality: sums.pairs - sums.skipped for modality, sums in totals.made.items()}
    moments = plan.received[0] + sum(pair.rgb < 0 for pair in plan.pairs)
    scored = {}
    for modality, sums in totals.made.items():
        if sums.counts.labelled:
            found = metrics_of(sums.counts, names, ())
            scored[modality] = {"frames": sums.counts.labelled, "miou": found["miou"], "ece": found["ece"]}
    return {
        "availability": sum(made.values()) / moments if moments else math.nan,
        "masks": made,
        "by_modality": scored,
        "faults": [
            {
                "stream": band.stream,
                "fault": str(band.fault),
                "begin_s": (band.begin - plan.axis.start) / NANOSECONDS,
                "end_s": (band.end - plan.axis.start) / NANOSECONDS,
                "pairs": band.pairs,
            }
            for band in plan.faults
        ],
    }


def bag_metrics(
    run: Mapping[str, Any], plan: Plan, totals: Totals, names: Sequence[str], labelled: bool, frames: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all metrics of a bag.

    Args:
        run: What was evaluated, and all that is needed to repeat it; ``compare`` names the other model, or is None.
        plan: Its pairs and what became of every frame.
        totals: What was summed over its pairs.
        names: The model's class names by id.
        labelled: Whether there were true labels.
        frames: Which frames were best, median and worst.
    """
    whole = totals.whole
    return {
        **run,
        "start_s": plan.axis.start / NANOSECONDS,
        "duration_s": (plan.axis.end - plan.axis.start) / NANOSECONDS,
        "received": {"rgb": plan.received[0], "thermal": plan.received[1]},
        "dropped": dict(plan.dropped),
        "pairs": whole.pairs,
        "processed": whole.pairs - whole.skipped,
        **availability_metrics(plan, totals, names),
        "skipped": dict(sorted(totals.reasons.items())),
        "labels_refused": dict(sorted(totals.refused_labels.items())),
        "notes": list(plan.notes),
        "offset_s": _offsets(totals.offsets),
        "classes": list(names),
        **mask_metrics(whole, names),
        "compare": agreement_metrics(whole, names, run["compare"]),
        **label_metrics(whole, names),
        "score": "miou" if labelled else "mean_confidence",
        "timeline": _timeline(plan, totals, labelled),
        "frame_examples": dict(frames),
    }
