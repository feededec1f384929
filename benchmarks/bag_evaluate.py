"""Measures what evaluating a bag costs beside the network, and whether its memory grows with the bag; prints Markdown tables.

    python benchmarks/bag_evaluate.py throughput BAG [--model demo] [--labels TOPIC] [--pairs 60] [--rounds 3]
    python benchmarks/bag_evaluate.py memory BAG [--times 10] [--model demo] [--params FILE]

Throughput: the same pairs go through the segmenter alone, images decoded beforehand, and through the whole evaluation, round
about in one process; the ratio is what a busy machine disturbs least. The whole evaluation is everything from the path of the
bag to its report, less the loading of the model. Memory: the largest resident set of a process each, for a bag and for one
so many times as long, made of the bag over and over with stamps that go on (beside the bag, for the time of the run).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgbt_seg_ros.data.bags.reader import Bag, RawMessage, header_stamp
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.evaluation.bags.evaluate import evaluate_bag
from rgbt_seg_ros.evaluation.bags.frames import Images, convert, read_pairs
from rgbt_seg_ros.evaluation.bags.job import Job
from rgbt_seg_ros.evaluation.bags.models import open_segmenter
from rgbt_seg_ros.evaluation.bags.plan import make_plan
from rgbt_seg_ros.parameters.file import defaults, read_parameter_file
from rgbt_seg_ros.parameters.table import settings_of
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer


def first_pairs(path: Path, count: int, short: Path) -> list[Images]:
    """Copy the part of a bag with its first pairs into another; return their images."""
    with Bag(path) as bag:
        cameras = find_cameras(bag)
        pairs = make_plan(bag, cameras, NearestPairer).pairs[:count]
        images = [convert(bag, cameras, rgb, thermal) for _, rgb, thermal in read_pairs(bag, cameras, pairs)]
        with BagWriter(short) as writer:
            for topic in bag.topics.values():
                writer.copy_topic(topic)
            for raw in bag.messages(stop=pairs[-1].completed + 1):
                writer.write_raw(raw)
    return images


def alone(segmenter: Segmenter, images: list[Images]) -> float:
    """Return the seconds that the segmenter takes for all pairs."""
    start = time.perf_counter()
    for pair in images:
        segmenter(pair.rgb, pair.thermal)
    return time.perf_counter() - start


def whole(job: Job) -> tuple[float, float]:
    """Return the seconds of an evaluation, and those of its pairs alone: without plan, pictures and report."""
    start = time.perf_counter()
    result = evaluate_bag(job)
    return time.perf_counter() - start, float(result.timings["wall_s"])


def throughput(args: argparse.Namespace) -> None:
    """Print pairs a second of both, and their ratio."""
    values = {**defaults(), "model.file": args.model}
    settings = settings_of(values)
    segmenter = open_segmenter(args.model, settings.segmenter, settings.threads, settings.warm_up)
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder, "bag")
        images = first_pairs(Path(args.bag), args.pairs, short)
        job = Job(short, Path(folder, "out"), values, labels=args.labels, force=True)
        rows = []
        for _ in range(args.rounds):
            before = alone(segmenter, images)
            seconds, pairs = whole(job)
            after = alone(segmenter, images)
            rows.append(((before + after) / 2, seconds, pairs))
    print("| round | segmenter, pairs/s | evaluation, pairs/s | ratio | ratio without plan and report |")
    print("|---:|---:|---:|---:|---:|")
    for index, (plain, seconds, pairs) in enumerate(rows):
        rates = f"{len(images) / plain:.2f} | {len(images) / seconds:.2f}"
        print(f"| {index + 1} | {rates} | {plain / seconds:.3f} | {plain / pairs:.3f} |")
    ratio, inner = (statistics.median(plain / row[column] for plain, *row in rows) for column in (0, 1))
    print(f"\n{len(images)} pairs, {segmenter.name}: median ratio {ratio:.3f}, without plan and report {inner:.3f}")


def repeat(path: Path, times: int, longer: Path) -> None:
    """Write a bag over and over into another; log times and the stamps of images and labels go on."""
    with Bag(path) as bag, BagWriter(longer) as writer:
        for topic in bag.topics.values():
            writer.copy_topic(topic)
        lap = bag.end - bag.start + 100_000_000
        for index in range(times):
            for raw in bag.messages():
                data = raw.data
                if bag.has_header(raw.topic):
                    seconds, nanoseconds = divmod(header_stamp(raw) + index * lap, 1_000_000_000)
                    data = data[:4] + struct.pack("<iI", seconds, nanoseconds) + data[12:]
                writer.write_raw(RawMessage(raw.topic, raw.type, raw.log_time + index * lap, data))


def memory(args: argparse.Namespace) -> None:
    """Print the largest resident set of evaluating a bag, and one many times as long."""
    with tempfile.TemporaryDirectory(dir=Path(args.bag).absolute().parent) as folder:
        longer = Path(folder, f"{args.times}_times")
        repeat(Path(args.bag), args.times, longer)
        compare(args, (args.bag, str(longer)))


def compare(args: argparse.Namespace, bags: Sequence[str]) -> None:
    """Print a table of both, and their ratio."""
    print("| bag | seconds | pairs | peak memory, MiB |")
    print("|---|---:|---:|---:|")
    peaks = []
    for bag in bags:
        command = [sys.executable, __file__, "one", bag, "--model", args.model, "--params", args.params or ""]
        seconds, pairs, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-3:]
        peaks.append(float(peak))
        print(f"| {Path(bag).name} | {float(seconds):.0f} | {pairs} | {float(peak):.0f} |")
    print(f"\nlong / short: {peaks[1] / peaks[0]:.3f}")


def one(args: argparse.Namespace) -> None:
    """Evaluate a bag in this process; print its seconds, its pairs and the largest resident set in MiB."""
    values: dict[str, Any] = dict(read_parameter_file(args.params).values) if args.params else defaults()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(args.bag), Path(folder, "out"), {**values, "model.file": args.model})
        metrics = evaluate_bag(job).metrics
    print(metrics["duration_s"], metrics["pairs"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    first = actions.add_parser("throughput")
    first.add_argument("bag")
    first.add_argument("--labels", default="")
    first.add_argument("--pairs", type=int, default=60)
    first.add_argument("--rounds", type=int, default=3)
    first.set_defaults(run=throughput)
    second = actions.add_parser("memory")
    second.add_argument("bag")
    second.add_argument("--times", type=int, default=10)
    second.set_defaults(run=memory)
    third = actions.add_parser("one")
    third.add_argument("bag")
    third.set_defaults(run=one)
    for action in (first, second, third):
        action.add_argument("--model", default="demo")
        action.add_argument("--params", default="")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
