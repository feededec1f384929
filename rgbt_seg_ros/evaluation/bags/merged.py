"""The metrics of many bags together: their sums, and a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rgbt_seg_ros.evaluation.bags.job import Job, Result
from rgbt_seg_ros.evaluation.bags.metrics import agreement_metrics, label_metrics, mask_metrics
from rgbt_seg_ros.evaluation.bags.timings import timings_of
from rgbt_seg_ros.evaluation.bags.totals import Sums

_SAME = ("model", "title", "temperature", "provenance", "engine", "version", "parameters", "classes", "score")


def merge(folder: Path, command: str, jobs: Sequence[Job], results: Sequence[Result]) -> dict[str, Any]:
    """Return the metrics of all bags, in the order given, whichever was done first.

    Args:
        folder: Of the bags, as it was named.
        command: The command line without its output paths.
        jobs: One a bag, with the same model and parameters.
        results: One a job.
    """
    first = results[0].metrics
    names = list(first["classes"])
    sums = Sums.none(len(names))
    for result in results:
        sums.merge(result.sums)
    compare = first["compare"]
    other = None if compare is None else {key: compare[key] for key in ("model", "title")}
    return {
        "bag": str(folder),
        **{key: first[key] for key in _SAME},
        "command": command,
        "topics": first["topics"],
        "compare": agreement_metrics(sums, names, other),
        "duration_s": sum(result.metrics["duration_s"] for result in results),
        "received": _added(result.metrics["received"] for result in results),
        "dropped": _added(result.metrics["dropped"] for result in results),
        "skipped": _added(result.metrics["skipped"] for result in results),
        "labels_refused": _added(result.metrics["labels_refused"] for result in results),
        "pairs": sums.pairs,
        "processed": sums.pairs - sums.skipped,
        **mask_metrics(sums, names),
        **label_metrics(sums, names),
        "bags": [_line(job, result) for job, result in zip(jobs, results, strict=True)],
    }


def _added(parts: Any) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for part in parts:
        counted.update(part)
    return dict(sorted(counted.items()))


def _line(job: Job, result: Result) -> Mapping[str, Any]:
    keys = ("pairs", "processed", "miou", "mean_confidence", "coverage", "flips_per_pixel_second")
    metrics = {key: result.metrics[key] for key in keys}
    return {"bag": job.bag.name, **metrics, "link": f"{job.output.name}/report.html"}


def merged_timings(results: Sequence[Result], wall: float) -> dict[str, Any]:
    """Return how long all bags took together (s), and the rate; the stages are in the bags' own reports."""
    pairs = sum(int(result.timings["pairs"]) for result in results)
    return timings_of(pairs, wall, results[0].timings["device"], {})
