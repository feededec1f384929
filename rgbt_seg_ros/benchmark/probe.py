"""Starts one engine in a process of its own: how long it takes to the first mask, and how much memory it needs at most.

``python -m rgbt_seg_ros.benchmark.probe JOB`` is that process; ``probe`` starts it and reads what it found.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rgbt_seg_ros.benchmark.settings import Candidate, load
from rgbt_seg_ros.benchmark.timing import BenchError
from rgbt_seg_ros.children import python_module

TIME_LIMIT = 1800.0
"""s after which an engine that does not start is given up; some take minutes to build."""

MASKS = 5
"""Pairs that are segmented before the memory is read: the second can still allocate."""


@dataclass(frozen=True)
class Fresh:
    """One engine, started in a fresh process.

    Attributes:
        start_s: s from before the model file is read to the first mask, with Python and torch loaded.
        process_s: s from before the process exists to the first mask.
        peak_memory_mb: MiB, the most main memory that the process ever held, libraries and all.
        libraries_mb: MiB of that which it held before the model file was read.
        device_memory_mb: MiB of the GPU's memory in use after the last mask beyond what the CUDA context takes; None: no GPU.
    """

    start_s: float
    process_s: float
    peak_memory_mb: float
    libraries_mb: float
    device_memory_mb: float | None


def _status_mb(field: str) -> float:
    """Return a field of /proc/self/status, such as VmHWM, in MiB; on a system without it, the peak by getrusage.

    Linux hands ru_maxrss down from the process that started this one, VmHWM it does not.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    line = next(line for line in text.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def probe(model: str, candidate: Candidate, device: str, size: tuple[int, int]) -> Fresh:
    """Start an engine in a fresh interpreter, which sees the packages and limits of this one.

    Raises:
        BenchError: It did not start, or not in ``TIME_LIMIT``; with the last line it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="rgbt_seg_bench-") as folder:
        answer = Path(folder) / "answer.json"
        job = {"model": model, **asdict(candidate), "device": device, "size": size, "answer": str(answer)}
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        # CLOCK_MONOTONIC is one clock for all processes of a machine.
        job["spawned"] = time.monotonic()
        command = python_module("rgbt_seg_ros.benchmark.probe", json.dumps(job))
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{candidate.name}: a fresh process gave no mask in {TIME_LIMIT:g} s") from error
        if done.returncode or not answer.exists():
            words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BenchError(f"{candidate.name}: a fresh process ended with {done.returncode}: {words}")
        return Fresh(**json.loads(answer.read_text()))


def _measure(job: dict[str, Any]) -> Fresh:
    """Be the fresh process."""
    import numpy as np
    import torch

    from rgbt_seg_ros.pipeline.backends import EngineRequest, select_engine

    height, width = job["size"]
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    thermal = np.ascontiguousarray(noise[..., 0])
    device = torch.device(job["device"] if job["device"] != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else 0
    libraries = _status_mb("VmRSS")
    start = time.monotonic()
    spec, network = load(job["model"])
    asked = {name: job[name] for name in ("backend", "device", "precision")}
    engine = select_engine(EngineRequest(network, spec, exact=True, **asked))
    engine.infer([(noise, thermal)], (height, width))
    first = time.monotonic()
    for _ in range(MASKS - 1):
        engine.infer([(noise, thermal)], (height, width))
    return Fresh(
        start_s=first - start,
        process_s=first - job["spawned"],
        peak_memory_mb=_status_mb("VmHWM"),
        libraries_mb=libraries,
        device_memory_mb=(free - torch.cuda.mem_get_info(device)[0]) / 2**20 if on_gpu else None,
    )


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    Path(asked["answer"]).write_text(json.dumps(asdict(_measure(asked))))
