"""Measures training speed and memory by variant and size, and prints a Markdown table.

    python benchmarks/training.py [--variants atto,nano] [--sizes 240x320,480x640] [--batch 8] [--device cpu]

--variants all measures all seven.

Each row is a process of its own, since memory that a process once had does not come back. Steps are whole ones: forward, the
recipe's loss, backward, clipping, AdamW, averaged weights, on random images that are at hand; a loader that keeps up adds
nothing. The loss "coarse" compares the heads that only training uses at stride 4 and the Lovász loss at every second pixel.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import get_args, get_type_hints

import torch

from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.backends.devices import select_device, select_precision
from rgbt_seg_ros.training.config import DataConfig, TrainingConfig
from rgbt_seg_ros.training.distributed import Processes
from rgbt_seg_ros.training.export import spec_of
from rgbt_seg_ros.training.initialise import initial_network, prepare_for_training
from rgbt_seg_ros.training.optimisation_config import LossConfig
from rgbt_seg_ros.training.steps import Stepper

VARIANTS = get_args(get_type_hints(TrainingConfig)["variant"])
LOSSES = {"full": LossConfig(), "coarse": LossConfig(auxiliary_stride=4, lovasz_stride=2)}


def measure(
    variant: str, size: tuple[int, int], batch: int, device: str, precision: str, loss: str, steps: int
) -> None:
    """Train a few steps and print one JSON object: images/s (median step) and peak memory in GiB.

    Steps that are skipped, since their half precision gradient was not finite, do less and do not count.
    """
    place = select_device(device)
    config = TrainingConfig(variant=variant, data=DataConfig(size=size, batch=batch), loss=LOSSES[loss])  # type: ignore[arg-type]
    config = replace(config, schedule=replace(config.schedule, warmup=0))
    spec = spec_of(config, MFNET, "", [])
    network, _ = initial_network("random", spec, 0, config.loss.deep_supervision)
    chosen = select_precision(precision, place)
    stepper = Stepper(prepare_for_training(network, place), spec, config, Processes(0, 1, place), chosen)
    generator = torch.Generator().manual_seed(0)
    # Blobs, so that classes have edges and areas as in a scene.
    label = torch.randint(0, 9, (batch, size[0] // 16, size[1] // 16), generator=generator, dtype=torch.uint8)
    label = label.repeat_interleave(16, 1).repeat_interleave(16, 2)
    rgb = torch.randint(0, 256, (*label.shape, 3), generator=generator, dtype=torch.uint8)
    durations: list[float] = []
    # fp16 begins with a loss scale that is too large, and a few skipped steps bring it down.
    for _ in range(4 * steps + 20):
        start = time.perf_counter()
        skipped = stepper.step((rgb, rgb[..., 0].contiguous(), label), 1.0, 1.1).skipped
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        if not skipped:
            durations.append(time.perf_counter() - start)
        if len(durations) > steps:
            break
    if len(durations) < 2:
        sys.exit("no step with a finite gradient")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if place.type == "cuda":
        peak = torch.cuda.max_memory_allocated(place)
    # The first step allocates and chooses kernels.
    result = {"images_per_second": batch / statistics.median(durations[1:]), "gib": peak / 2**30, "precision": chosen}
    print(json.dumps(result))


def parse_size(text: str) -> tuple[int, int]:
    """Parse HxW."""
    height, width = text.split("x")
    return int(height), int(width)


def main() -> None:
    """Print the table, or measure one row of it."""
    parser = argparse.ArgumentParser(description="training speed and memory")
    parser.add_argument("--variants", default="atto,femto,pico,nano", help=f"of {','.join(VARIANTS)}; or all")
    parser.add_argument("--sizes", default="240x320,480x640")
    parser.add_argument("--losses", default="full,coarse")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        variant, size, loss = args.row.split(",")
        measure(variant, parse_size(size), args.batch, args.device, args.precision, loss, args.steps)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {args.batch}\n")
    print("| variant | size | loss | precision | images/s | peak memory (GiB) |\n|---|---|---|---|---|---|", flush=True)
    options = [
        "--batch",
        str(args.batch),
        "--steps",
        str(args.steps),
        "--device",
        args.device,
        "--precision",
        args.precision,
    ]
    for variant in VARIANTS if args.variants == "all" else args.variants.split(","):
        for size in args.sizes.split(","):
            for loss in args.losses.split(","):
                command = [sys.executable, __file__, *options, "--row", f"{variant},{size},{loss}"]
                done = subprocess.run(command, capture_output=True, text=True)
                cells = "failed | | "
                if done.returncode == 0:
                    row = json.loads(done.stdout)
                    cells = f"{row['precision']} | {row['images_per_second']:.2f} | {row['gib']:.2f}"
                else:
                    # A process that ran out of memory may have been killed without a word.
                    reason = done.stderr.strip() or f"ended with {done.returncode}"
                    print(f"{variant} {size} {loss}: {reason}", file=sys.stderr, flush=True)
                print(f"| {variant} | {size} | {loss} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
