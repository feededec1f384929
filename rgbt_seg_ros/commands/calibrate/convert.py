"""``rgbt-seg calibrate convert IN...``: a calibration from one format to another."""

from __future__ import annotations

import argparse
from typing import Any

from rgbt_seg_ros.arguments import add_overwrite, check_output
from rgbt_seg_ros.commands.calibrate._reading import add_reading_arguments, print_notes, reading_options
from rgbt_seg_ros.terminal import say


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("convert", help="between our file, a pair of ROS camera_calibration files, and Kalibr")
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="IN",
        help="our file, a Kalibr camchain, or the RGB and the thermal camera's camera_calibration files",
    )
    parser.add_argument(
        "-o",
        "--output",
        nargs="+",
        required=True,
        metavar="OUT",
        help="file to write; for ros two, or a folder for rgb.yaml and thermal.yaml",
    )
    parser.add_argument(
        "--to", choices=("ours", "ros", "kalibr"), default="ours", help="format to write (default: ours)"
    )
    add_overwrite(parser)
    reading = add_reading_arguments(parser)
    reading.add_argument("--rgb-topic", metavar="TOPIC", help="written into a camchain (default: as imported)")
    reading.add_argument("--thermal-topic", metavar="TOPIC", help="the same of the thermal images")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was read from where and what the other format cannot hold."""
    from rgbt_seg_ros.errors import UserError
    from rgbt_seg_ros.registration.formats.any import (
        lost_in,
        output_paths,
        read_any,
        write_any,
    )

    if args.to != "kalibr" and (args.rgb_topic or args.thermal_topic):
        raise UserError("--rgb-topic and --thermal-topic are written into a camchain only; --to kalibr was expected")
    paths = output_paths(args.output, args.to)
    check_output(paths, args.overwrite)
    calibration = read_any(args.inputs, reading_options(args))
    write_any(paths, calibration, args.to, (args.rgb_topic, args.thermal_topic), ", ".join(args.inputs))
    print_notes(calibration, args.inputs)
    lost = lost_in(calibration, args.to)
    if lost:
        say(f"rgbt-seg: note: left out, since {args.to} cannot hold it: {', '.join(lost)}")
    print(", ".join(map(str, paths)))
    return 0
