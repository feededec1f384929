"""``rgbt-seg demo [DATA]``: the real node on a sequence of pairs, over DDS, and a picture of what came out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("demo", help="run the node on a sequence and show what comes out (needs ROS 2)")
    parser.add_argument("data", nargs="?", help="folder with rgb/ and thermal/; a generated sequence if left out")
    parser.add_argument("-o", "--output", default="demo_output", help="folder for the picture strip and the table")
    parser.add_argument("--model", default="demo", help="a .safetensors model file, or demo")
    parser.add_argument("--rate", type=float, default=0.0, help="pairs per second; 0 = what the machine can hold")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play the sequence through the node; 1 where a pair came out without a mask."""
    from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal
    from rgbt_seg_ros.data.sequence import generated_sequence
    from rgbt_seg_ros.errors import UserError

    try:
        from rgbt_seg_ros.nodes.demo import play
    except ImportError as error:
        raise UserError(
            f"demo: ROS 2 and this package's messages are needed ({error}); `make demo` installs both"
        ) from error
    if args.rate < 0:
        raise UserError(f"--rate: {args.rate:g} is not positive, nor 0 for what the machine can hold")
    if args.data:
        pairs = find_pairs(Path(args.data, "rgb"), Path(args.data, "thermal"))
        frames = [(read_rgb(pair.rgb), read_thermal(pair.thermal)) for pair in pairs]
    else:
        frames = list(generated_sequence(20))
    return play(frames, args.data or "a generated sequence", args.model, Path(args.output), args.rate)
