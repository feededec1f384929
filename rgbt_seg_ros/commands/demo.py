"""``rgbt-seg demo [DATA]``: the real node on a sequence of pairs, over DDS, and a picture of what came out."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import MODEL, fault, number

if TYPE_CHECKING:
    from rgbt_seg_ros.data.samples import Sample

SEQUENCE_SEED = 691
"""Seed of the embedded sequence, a street at night with every class in it; the demo model was not trained on it."""

SEQUENCE_FRAMES = 20

SEQUENCE_RATE_HZ = 10.0
"""The scene's own time between frames: two seconds in all, so that things are seen to move."""


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("demo", help="run the node on a sequence and show what comes out (needs ROS 2)")
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="folder with rgb/ and thermal/ (default: a generated sequence)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="demo_output",
        metavar="DIR",
        help="folder for the picture strip and the table (default: demo_output)",
    )
    parser.add_argument("--model", default="demo", metavar="MODEL", help=f"{MODEL} (default: demo)")
    parser.add_argument(
        "--rate",
        type=number(0.0, 1000.0),
        default=0.0,
        metavar="HZ",
        help="pairs per second; 0: each when the one before has come back (default: 0)",
    )
    parser.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="FAULT",
        help="a camera fails: STREAM:KIND:DURATION[@AT][/EVERY] in s of the sequence (10 frames a second, or --rate), such as "
        "thermal:silent:1@0.5; may be repeated (docs/bags.md)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play the sequence through the node; 1 where a pair came out without a mask."""
    from rgbt_seg_ros.errors import UserError
    from rgbt_seg_ros.locks import folder_lock
    from rgbt_seg_ros.network import read_spec

    try:
        from rgbt_seg_ros.nodes.demo.play import play
    except ImportError as error:
        raise UserError(
            f"demo: ROS 2 and this package's messages are needed ({error}); `make demo` installs both"
        ) from error
    spec = read_spec(args.model)
    frames = _recorded(args.data) if args.data else _generated([entry.name for entry in spec.classes])
    with folder_lock(Path(args.output)):
        what = args.data or "a generated sequence"
        return play(frames, what, args.model, Path(args.output), args.rate, args.fault, SEQUENCE_RATE_HZ)


def _recorded(folder: str) -> list[Sample]:
    from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal
    from rgbt_seg_ros.data.samples import Sample

    pairs = find_pairs(Path(folder, "rgb"), Path(folder, "thermal"))
    return [Sample(pair.name, "", read_rgb(pair.rgb), read_thermal(pair.thermal)) for pair in pairs]


def _generated(classes: list[str]) -> list[Sample]:
    """Return the embedded sequence; with its true labels where the model has the classes they are of."""
    from rgbt_seg_ros.data.synthetic import render_sequence
    from rgbt_seg_ros.network.conventions import MFNET

    frames = list(render_sequence(SEQUENCE_SEED, SEQUENCE_FRAMES, rate_hz=SEQUENCE_RATE_HZ))
    comparable = classes == [entry.name for entry in MFNET.classes]
    return frames if comparable else [replace(frame, label=None) for frame in frames]
