"""Everything that the results of a bag depend on: an interrupted run goes on only where all of it is the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rgbt_seg_ros import __version__
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.evaluation.bags.job import Job
from rgbt_seg_ros.network.model_file import resolve_model


def sha256(path: Path) -> str:
    """Return the hash of an existing file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _files(path: Path) -> list[list[Any]]:
    """Return name, size and time of change (ns) of a file, or of the files in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[entry.name, entry.stat().st_size, entry.stat().st_mtime_ns] for entry in files]


def identity_of(job: Job, bag: Bag, engine: str) -> dict[str, Any]:
    """Return what the results depend on, as plain data.

    Args:
        job: What to evaluate.
        bag: The job's bag, open.
        engine: Variant, engine, device and precision, as the segmenter names them.
    """
    labels: list[Any] = [job.labels, *(_files(Path(job.labels)) if Path(job.labels).is_dir() and job.labels else [])]
    calibration = job.parameters["alignment.calibration"]
    return {
        "bag": [str(job.bag.absolute()), bag.message_count, *_files(job.bag)],
        "engine": engine,
        "model": sha256(resolve_model(job.model)),
        "compare": sha256(resolve_model(job.compare)) if job.compare else None,
        "parameters": {name: value for name, value in job.parameters.items() if name != "model.file"},
        "calibration": sha256(Path(calibration)) if calibration else None,
        "labels": labels,
        "topics": [job.rgb_topic, job.thermal_topic],
        "batch": job.batch,
        "version": __version__,
    }
