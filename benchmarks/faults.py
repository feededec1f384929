"""Measures what a robot gets while its cameras fail: the same bag through the live node over DDS and through `bag evaluate`.

    python benchmarks/faults.py drive [-r 5] [-p 0.6] [-s 7] [-z 240x320] [-m demo] [-i 180x240] [-o DIR] [-j OUT]
    python benchmarks/faults.py clean [-r 5] [-p 0.6] [-s 7,8,9] [-i 180x240] [-n 10] [-l 3] [-o DIR] [-j OUT]
    python benchmarks/faults.py cost [-z 480x640] [-j OUT]

`drive`: a generated drive with every fault of `bag make --fault`, one after the other, and with both cameras gone at
its end: the masks during each fault, the time to the first mask of one camera and back to pairs, that no unfit image is
fused, whether node and replay give the same bytes, and whether the masks are worth what `evaluate --modality` says.
`clean`: false alarms in clean drives; `-n` minutes of each seed as a replay judges them, and `-l` minutes of the first
one live. `cost`: what looking at both pictures of a pair takes. CPU only; `-p` and `-i` fit the load to the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from live_bag import CAMERAS, Live, play

from rgbt_seg_ros.arguments import image_size
from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.children import python_module
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.bags.timing import Timing
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.synthetic import SyntheticDrive
from rgbt_seg_ros.evaluation.bags.plan import make_plan
from rgbt_seg_ros.evaluation.confusion import confusion_matrix, scores
from rgbt_seg_ros.evaluation.reliability import confidence_levels, expected_calibration_error, reliability
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.health.picture import look_at
from rgbt_seg_ros.pipeline.health.stream import PictureHealth
from rgbt_seg_ros.pipeline.images import stamp_ns
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS
from rgbt_seg_ros.scenes.faults import KINDS, Fault

MODALITIES = ("rgbt", "rgb", "thermal")
"""By the number of ``modality`` in a message."""

BEFORE, LASTS, EVERY = 10.0, 3.0, 8.0
"""s before the first fault, of each fault, and from one to the next."""

SHUTTER = 1.5

# The engine that is the same everywhere, and arithmetic that does not depend on how many cores are free.
PARAMETERS = {"runtime.backend": "torch", "runtime.threads": 1}


def parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the node's parameters, for both sides."""
    return {**PARAMETERS, "model.file": arguments.model, "model.input_size": arguments.input_size}


def schedule() -> tuple[list[Fault], float]:
    """Return every fault once, one after the other, both cameras gone at the end, and how long that takes (s)."""
    kinds = [(stream, kind) for stream in ("thermal", "rgb") for kind in KINDS[stream]]
    faults = [
        Fault(stream, kind, SHUTTER if kind == "shutter" else LASTS, BEFORE + index * EVERY)
        for index, (stream, kind) in enumerate(kinds)
    ]
    end = BEFORE + len(kinds) * EVERY
    return [*faults, *(Fault(stream, "silent", LASTS, end) for stream in CAMERAS)], end + EVERY


@dataclass(frozen=True)
class Truth:
    """What was recorded: which picture can be used, by camera and index of the frame."""

    timing: Timing
    faults: Sequence[Fault]
    frames: int

    @property
    def stamps(self) -> list[int]:
        """Of every instant, ns."""
        return [self.timing.instant(index) for index in range(self.frames)]

    def seconds(self, index: int) -> float:
        """Return when a frame is taken, s after the first."""
        return (self.timing.instant(index) - self.timing.start) * 1e-9

    def fit(self, stream: str, index: int) -> bool:
        """Whether the picture of a camera shows the moment; a late one does."""
        return not any(f.stream == stream and f.kind != "late" and f.active(self.seconds(index)) for f in self.faults)


@dataclass(frozen=True)
class Replayed:
    """What `bag evaluate --write-bag` wrote, by stamp (ns)."""

    masks: dict[int, ByteArray]
    confidence: dict[int, ByteArray]
    reports: dict[int, Any]
    report: dict[str, Any]


def command(*words: str) -> None:
    """Run `rgbt-seg WORDS`."""
    subprocess.run(python_module("rgbt_seg_ros.cli", *words), check=True, stdout=subprocess.DEVNULL)


def make(bag: Path, frames: int, arguments: argparse.Namespace, seed: int, faults: Sequence[Fault] = ()) -> None:
    """Make the bag, unless it is there from before."""
    if bag.exists():
        return
    words = [word for fault in faults for word in ("--fault", str(fault))]
    size = "x".join(map(str, arguments.size))
    command("bag", "make", f"drive:{frames}@{seed}", str(bag), "--rate", f"{arguments.rate:g}", "--size", size, *words)


def replay(bag: Path, folder: Path, values: dict[str, Any]) -> Replayed:
    """Evaluate the bag with the node's parameters."""
    file = folder / "parameters.yaml"
    lines = [f"    {name}: {value}" for name, value in values.items()]
    file.write_text("/rgbt_segmentation:\n  ros__parameters:\n" + "\n".join(lines) + "\n")
    out, results = folder / "replayed", folder / "results"
    words = ["-o", str(results), "--params", str(file), "--write-bag", str(out), "--no-pictures", "--overwrite"]
    subprocess.run(["rm", "-rf", str(out)], check=True)
    command("bag", "evaluate", str(bag), *words)
    found = Replayed({}, {}, {}, json.loads((results / "report.json").read_text()))
    into: dict[str, dict[int, Any]] = {"mask": found.masks, "confidence": found.confidence, "report": found.reports}
    with Bag(out) as read:
        for raw in read.messages([f"/segmentation/{name}" for name in into]):
            name, message = raw.topic.rpartition("/")[2], read.decode(raw)
            value = message if name == "report" else message.data.reshape(message.height, message.width)
            into[name][stamp_ns(message.header)] = value
    return found


def compare(live: Live, replayed: Replayed) -> dict[str, Any]:
    """Return how many masks of node and replay are the same bytes, and what the others differ in."""
    both = sorted(set(live.masks) & set(replayed.masks))
    other = [
        {
            "stamp": stamp,
            "node": MODALITIES[live.reports[stamp].modality],
            "replay": MODALITIES[replayed.reports[stamp].modality],
        }
        for stamp in both
        if stamp in live.reports and live.reports[stamp].modality != replayed.reports[stamp].modality
    ]
    alike = [stamp for stamp in both if stamp not in {entry["stamp"] for entry in other}]
    equal = [
        stamp
        for stamp in alike
        if np.array_equal(live.masks[stamp], replayed.masks[stamp])
        and np.array_equal(live.confidence.get(stamp), replayed.confidence[stamp])
    ]
    return {
        "masks_of_node": len(live.masks),
        "masks_of_replay": len(replayed.masks),
        "of_the_same_images": len(alike),
        "equal": len(equal),
        "different": sorted(set(alike) - set(equal)),
        "of_other_images": other,
        "only_node": sorted(set(live.masks) - set(replayed.masks)),
        "only_replay": sorted(set(replayed.masks) - set(live.masks)),
    }


def availability(masks: set[int], reports: dict[int, Any], truth: Truth) -> dict[str, Any]:
    """Return the share of moments with a mask where a camera shows something, and the pairs of which an image was unfit."""
    moments = [i for i in range(truth.frames) if any(truth.fit(stream, i) for stream in CAMERAS)]
    stamps, index_of = truth.stamps, {stamp: index for index, stamp in enumerate(truth.stamps)}
    missing = [i for i in moments if stamps[i] not in masks]
    fused = []
    for stamp, report in reports.items():
        if report.modality == 0:
            thermal = report.thermal_stamp.sec * 10**9 + report.thermal_stamp.nanosec
            if not truth.fit("rgb", index_of[stamp]) or not truth.fit("thermal", index_of[thermal]):
                fused.append(stamp)
    return {
        "moments": len(moments),
        "with_mask": len(moments) - len(missing),
        "share": 1 - len(missing) / len(moments),
        "missing_s": [round(truth.seconds(i), 2) for i in missing],
        "unfit_fused": len(fused),
        "masks_by_modality": dict(Counter(MODALITIES[report.modality] for report in reports.values())),
    }


def during(fault: Fault, live: Live, truth: Truth, speed: float) -> dict[str, Any]:
    """Return what came of one fault, and how fast: intervals are those of the cameras, less the time of the network."""
    stamps = [stamp for i, stamp in enumerate(truth.stamps) if fault.active(truth.seconds(i))]
    after = [stamp for stamp in truth.stamps if stamp > stamps[-1]]
    interval = 1 / truth.timing.rate / speed
    left = 1 if fault.stream == "thermal" else 2
    arrived = live.arrived[fault.stream]
    network = {s: dict(zip(r.stage, r.stage_duration, strict=True))["network"] for s, r in live.reports.items()}

    def first(candidates: Sequence[int], modality: int, since: float) -> tuple[float, float] | None:
        for stamp in candidates:
            report = live.reports.get(stamp)
            if report is not None and report.modality == modality and stamp in live.came:
                late = live.came[stamp] - since
                return late, (late - network[stamp]) / interval
        return None

    before = max((when for stamp, when in arrived.items() if stamp < stamps[0]), default=0.0)
    back = next((arrived[stamp] for stamp in after if stamp in arrived), 0.0)
    lag = [
        live.came[stamp] - live.arrived[other][stamp]
        for stamp in stamps
        for other in CAMERAS
        if other != fault.stream and stamp in live.came and stamp in live.arrived[other]
    ]
    made = Counter(MODALITIES[live.reports[stamp].modality] for stamp in stamps if stamp in live.reports)
    return {
        "fault": str(fault),
        "moments": len(stamps),
        "masks": dict(made),
        "first_alone": first(stamps, left, before),
        "first_pair": first(after, 0, back),
        "most_from_image_to_mask_s": max(lag, default=None),
    }


def worth(live: Live, truth: Truth, dataset: SyntheticDrive, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return mIoU and ECE of the node's masks by modality, and those of the same frames as `evaluate --modality` scores them."""
    settings = SegmenterSettings(device="cpu", backend="torch", input_size=arguments.input_size)
    segmenters = {name: Segmenter.open(arguments.model, replace(settings, modality=name)) for name in MODALITIES}
    spec = segmenters["rgbt"].spec
    count = spec.num_classes
    index_of = {stamp: index for index, stamp in enumerate(truth.stamps)}
    result = {}
    for number, modality in enumerate(MODALITIES):
        stamps = [stamp for stamp, report in sorted(live.reports.items()) if report.modality == number]
        # Of pairs, as many as there are of one camera: they are only for comparison.
        stamps = [stamp for stamp in stamps if stamp in live.confidence and stamp in live.masks]
        stamps = stamps[:: max(1, len(stamps) // 100)]
        matrices, levels = np.zeros((2, count, count), np.int64), np.zeros((2, 256, 2), np.int64)
        for stamp in stamps:
            sample = dataset[index_of[stamp]]
            expected = segmenters[modality](sample.rgb, sample.thermal)
            pairs = ((live.masks[stamp], live.confidence[stamp]), (expected.label, expected.confidence))
            for where, (label, confidence) in enumerate(pairs):
                matrices[where] += confusion_matrix(sample.label, label, count)
                levels[where] += confidence_levels(sample.label, label, confidence)
        node, alone = (scores(matrix).miou for matrix in matrices)
        ece = [expected_calibration_error(reliability(entry)) for entry in levels]
        result[modality] = {"frames": len(stamps), "miou": node, "miou_evaluate": alone, "ece": ece[0]}
    return result


def run_drive(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure a drive with every fault."""
    faults, seconds = schedule()
    timing = Timing(rate=arguments.rate)
    truth = Truth(timing, faults, round(seconds * arguments.rate))
    seed = int(arguments.seed.split(",")[0])
    bag = folder / "faults"
    make(bag, truth.frames, arguments, seed, faults)
    live = play(bag, parameters(arguments), folder, ("--rate", f"{arguments.play:g}"))
    replayed = replay(bag, folder, parameters(arguments))
    dataset = SyntheticDrive(truth.frames, seed, arguments.size)
    return {
        "rate_hz": arguments.rate * arguments.play,
        "seconds": seconds,
        "node": availability(set(live.masks), live.reports, truth),
        "replay": availability(set(replayed.masks), replayed.reports, truth),
        "availability_of_report": replayed.report["availability"],
        "faults_of_report": replayed.report["faults"],
        "faults": [during(fault, live, truth, arguments.play) for fault in faults],
        "bytes": compare(live, replayed),
        "worth": worth(live, truth, dataset, arguments),
        "dropped": live.dropped,
        "codes": live.codes,
    }


def run_clean(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Look for false alarms in clean drives."""
    result: dict[str, Any] = {"replay": [], "live": None}
    frames = round(60 * arguments.minutes * arguments.rate)
    for index, seed in enumerate(int(text) for text in arguments.seed.split(",")):
        bag = folder / f"clean{seed}"
        make(bag, frames, arguments, seed)
        # One frame of each world of the drive tells its light.
        groups = Counter(SyntheticDrive(frames, seed, (32, 32))[first].group for first in range(0, frames, 300))
        with Bag(bag) as read:
            plan = make_plan(read, find_cameras(read), NearestPairer, frozenset(STREAMS))
        result["replay"].append(
            {
                "seed": seed,
                "minutes": frames / arguments.rate / 60,
                "worlds": dict(groups),
                "pairs": len(plan.pairs),
                "alone": len(plan.pairs) - plan.of("rgbt"),
                "faults": [str(band) for band in plan.faults],
                "dropped": dict(plan.dropped),
            }
        )
        if not index and arguments.live:
            live = play(bag, parameters(arguments), folder, ("--duration", f"{60 * arguments.live:g}"))
            modalities = Counter(MODALITIES[report.modality] for report in live.reports.values())
            result["live"] = {
                "seed": seed,
                "minutes": arguments.live,
                "masks": len(live.masks),
                "by_modality": dict(modalities),
                "codes": live.codes,
                "dropped": live.dropped,
            }
    return result


def run_cost(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what judging both pictures of a pair takes on one core."""
    cv2.setNumThreads(1)
    drive = SyntheticDrive(40, int(arguments.seed.split(",")[0]), arguments.size)
    samples = [drive[index] for index in range(40)]
    kinds: dict[str, Callable[[Any], Any]] = {
        "8-bit thermal": lambda image: image,
        "16-bit thermal": lambda image: 6000 + 8 * image.astype(np.uint16),
    }
    result = {}
    for name, convert in kinds.items():
        pairs = [(sample.rgb, convert(sample.thermal)) for sample in samples]
        taken = []
        for _ in range(5):
            health = {stream: PictureHealth(stream) for stream in STREAMS}
            for stamp, images in enumerate(pairs, 1):
                start = time.perf_counter()
                for stream, image in zip(STREAMS, images, strict=True):
                    health[stream].see(stamp * 10**8, look_at(image))
                taken.append(1e3 * (time.perf_counter() - start))
        result[name] = {"median_ms": float(np.median(taken)), "p95_ms": float(np.percentile(taken, 95))}
    return result


def table_of_drive(result: dict[str, Any]) -> str:
    """Return the results of a drive in Markdown."""

    def timing(found: tuple[float, float] | None) -> str:
        return "none" if found is None else f"{found[1]:.2f} intervals ({1e3 * found[0]:.0f} ms)"

    lines = ["| fault | moments | masks | first alone | first pair | longest wait |", "|---|---|---|---|---|---|"]
    for entry in result["faults"]:
        masks = ", ".join(f"{name} {count}" for name, count in entry["masks"].items()) or "none"
        longest = entry["most_from_image_to_mask_s"]
        wait = "" if longest is None else f"{1e3 * longest:.0f} ms"
        lines.append(
            f"| {entry['fault']} | {entry['moments']} | {masks} | {timing(entry['first_alone'])} "
            f"| {timing(entry['first_pair'])} | {wait} |"
        )
    lines += ["", "| | node | replay |", "|---|---|---|"]
    node, replayed, same = result["node"], result["replay"], result["bytes"]
    lines.append(f"| moments with a mask | {node['with_mask']} of {node['moments']} | {replayed['with_mask']} |")
    lines.append(f"| pairs with an unfit image | {node['unfit_fused']} | {replayed['unfit_fused']} |")
    lines.append(
        f"| masks of the same images | {same['of_the_same_images']}, {same['equal']} equal bit by bit "
        f"| {len(same['of_other_images'])} of other images, {len(same['only_node'])} and {len(same['only_replay'])} alone |"
    )
    lines += ["", "| modality | frames | mIoU | of `evaluate --modality` | ECE |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {found['frames']} | {found['miou']:.4f} | {found['miou_evaluate']:.4f} | {found['ece']:.4f} |"
        for name, found in result["worth"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("drive", "clean", "cost"))
    parser.add_argument("-r", "--rate", type=float, default=5.0, help="Hz of both cameras")
    parser.add_argument("-p", "--play", type=float, default=0.6, help="seconds of the bag per second live")
    parser.add_argument("-i", "--input-size", default="180x240", help="the parameter model.input_size")
    parser.add_argument("-s", "--seed", default="7", help="of the drive; several for clean, with commas")
    parser.add_argument("-z", "--size", type=image_size, help="HxW (default: 240x320; cost: 480x640)")
    parser.add_argument("-m", "--model", default="demo")
    parser.add_argument("-n", "--minutes", type=float, default=10.0, help="of each clean drive")
    parser.add_argument("-l", "--live", type=float, default=3.0, help="minutes of the first clean drive live; 0: none")
    parser.add_argument("-o", "--output", type=Path, help="folder to keep the bags in (default: none is kept)")
    parser.add_argument("-j", "--json", type=Path, help="file for the measurements")
    arguments = parser.parse_args()
    arguments.size = arguments.size or ((480, 640) if arguments.what == "cost" else (240, 320))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = {"drive": run_drive, "clean": run_clean, "cost": run_cost}[arguments.what](arguments, folder)
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(table_of_drive(result) if arguments.what == "drive" else text)


if __name__ == "__main__":
    main()
