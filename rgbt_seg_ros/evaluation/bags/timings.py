"""How long an evaluation took, stage by stage. Kept apart from the metrics, which are the same every time."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def timings_of(pairs: int, seconds: float, device: str, stages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return what ``timings.json`` holds.

    Args:
        pairs: How many were segmented.
        seconds: How long that took.
        device: Variant, engine, device and precision.
        stages: As ``read_timings``; may be empty.
    """
    rate = pairs / seconds if seconds > 0 else None
    return {"stages": stages, "wall_s": seconds, "pairs": pairs, "pairs_per_second": rate, "device": device}


def read_timings(path: Path) -> dict[str, dict[str, float]]:
    """Return mean, median, 95th percentile and maximum (s) by stage, of a file with one line a pair.

    A pair that was begun twice, before and after an interruption, counts twice; a line that was not finished does not.
    """
    stages: dict[str, array[float]] = defaultdict(lambda: array("d"))
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            for stage, seconds in json.loads(line).items():
                if stage != "index":
                    stages[stage].append(float(seconds))
    return {stage: _summary(np.array(values)) for stage, values in stages.items()}


def durations_by_pair(path: Path) -> dict[int, dict[str, float]]:
    """Return the seconds by stage of each pair; of one that was begun twice, those of the second time."""
    result: dict[int, dict[str, float]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            content = json.loads(line)
            result[content.pop("index")] = content
    return result


def _summary(seconds: Any) -> dict[str, float]:
    return {
        "mean_s": float(seconds.mean()),
        "median_s": float(np.median(seconds)),
        "p95_s": float(np.percentile(seconds, 95)),
        "max_s": float(seconds.max()),
    }
