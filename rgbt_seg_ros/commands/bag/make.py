"""``rgbt-seg bag make DATASET OUT``: a data set as a recording, to go through ROS as a robot's data would."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import add_seed, add_storage, fault, input_size, positive
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.data.bags.make import BagSettings, MadeBag
    from rgbt_seg_ros.data.samples import Dataset


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg bag``."""
    parser = actions.add_parser(
        "make", help="write a data set as a bag: images, calibration, true label masks, transforms"
    )
    parser.add_argument("data", metavar="SPEC", help="data such as drive:900@7 or mfnet:DIR:test (docs/data.md)")
    parser.add_argument("bag", metavar="BAG", help="the new bag, a folder")
    time = parser.add_argument_group("time")
    time.add_argument("--rate", type=float, default=30.0, metavar="HZ", help="rate of the RGB camera (default: 30)")
    time.add_argument(
        "--thermal-rate", type=float, metavar="HZ", help="rate of the thermal camera, at most --rate (default: --rate)"
    )
    time.add_argument(
        "--thermal-delay",
        type=float,
        default=0.0,
        metavar="S",
        help="added to thermal stamps, as by a camera that stamps late (default: 0)",
    )
    time.add_argument(
        "--jitter",
        type=float,
        default=0.0,
        metavar="S",
        help="standard deviation of thermal stamps, clipped at three of them (default: 0)",
    )
    time.add_argument("--rgb-jitter", type=float, default=0.0, metavar="S", help="the same of RGB stamps (default: 0)")
    time.add_argument(
        "--drop",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the frames of each camera that is lost (default: 0)",
    )
    add_seed(time, "jitter and losses")
    time.add_argument(
        "--start",
        type=seconds,
        metavar="S",
        help="time of the first frame since the epoch (default: 1700000000, 2023-11-14)",
    )
    what = parser.add_argument_group("what is in it")
    what.add_argument("--limit", type=positive, metavar="N", help="at most the first N samples (default: all)")
    what.add_argument(
        "--size", type=input_size, metavar="HxW", help="size of generated scenes, in pixels (default: 480x640)"
    )
    what.add_argument(
        "--focal", type=float, metavar="PX", help="focal length of the RGB camera (default: its image's width)"
    )
    what.add_argument(
        "--thermal-encoding",
        choices=("mono8", "mono16"),
        help="mono16 turns 8-bit pictures into raw counts, 6000 + 8·grey (default: as the data has it)",
    )
    what.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="FAULT",
        help="STREAM:KIND:DURATION[@AT][/EVERY] in s, such as thermal:shutter:0.5/15 or rgb:frozen:3@20; may be repeated "
        "(docs/bags.md)",
    )
    what.add_argument("--namespace", default="", metavar="NAME", help="prefix of topics and frames, such as front")
    add_storage(parser)
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes that read or render (default: one for each CPU)"
    )
    parser.set_defaults(run=run)


def seconds(text: str) -> int:
    """Parse a time in s since the epoch and return it in ns: a float would lose its last digits."""
    match = re.fullmatch(r"(\d{1,10})(?:\.(\d{1,9}))?", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time in s since the epoch, such as 1700000000.5")
    return int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


def run(args: argparse.Namespace) -> int:
    """Write the bag and say what is in it."""
    import time
    from pathlib import Path

    from tqdm import tqdm

    from rgbt_seg_ros.data.bags.make import make_bag
    from rgbt_seg_ros.data.bags.writer import check_new_bag
    from rgbt_seg_ros.data.parallel_reading import default_workers

    settings = _settings(args)
    check_new_bag(Path(args.bag))
    dataset = _dataset(args)
    count = min(args.limit or len(dataset), len(dataset))
    start = time.perf_counter()
    made = make_bag(
        dataset,
        args.bag,
        settings,
        args.limit,
        args.workers or default_workers(count),
        lambda samples: tqdm(samples, total=count, unit="frame", disable=None),
    )
    if not made.labelled:
        say(f"rgbt-seg: note: {dataset.spec} has no label masks, so the bag has no topic of them")
    print(describe(made, time.perf_counter() - start))
    return 0


def describe(made: MadeBag, took: float) -> str:
    """Return the one line that says what was written, in ``took`` s."""
    counts = ", ".join(f"{topic} {count}" for topic, count in made.counts.items())
    return f"{made.path}: {made.seconds:.3f} s of {counts}; written in {took:.1f} s"


def _settings(args: argparse.Namespace) -> BagSettings:
    from rgbt_seg_ros.data.bags.make import BagSettings
    from rgbt_seg_ros.data.bags.rig import Rig
    from rgbt_seg_ros.data.bags.timing import DEFAULT_START, Timing

    timing = Timing(
        rate=args.rate,
        thermal_rate=args.thermal_rate,
        thermal_delay=args.thermal_delay,
        rgb_jitter=args.rgb_jitter,
        thermal_jitter=args.jitter,
        drop=args.drop,
        seed=args.seed,
        start=DEFAULT_START if args.start is None else args.start,
    )
    return BagSettings(timing, Rig(args.namespace), args.focal, args.thermal_encoding, args.storage, tuple(args.fault))


def _dataset(args: argparse.Namespace) -> Dataset:
    from dataclasses import replace

    from rgbt_seg_ros.data.specs import open_dataset
    from rgbt_seg_ros.data.synthetic import SyntheticDrive, SyntheticScenes

    dataset = open_dataset(args.data)
    if args.size is None:
        return dataset
    if not isinstance(dataset, (SyntheticScenes, SyntheticDrive)):
        raise UserError(
            f"--size: {args.data} has the size of its files; only synthetic and drive can be rendered at another"
        )
    return replace(dataset, size=args.size)
