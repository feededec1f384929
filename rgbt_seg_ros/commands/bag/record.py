"""``rgbt-seg bag record TOPIC... -o OUT``: live topics to a bag (needs ROS 2; for machines without rosbag2)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rgbt_seg_ros.arguments import add_storage, seconds_above_zero
from rgbt_seg_ros.errors import UserError


def register(actions: Any) -> None:
    """Add the action to the parser of ``bag``."""
    parser = actions.add_parser("record", help="record live topics into a bag (needs ROS 2)")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="topics to record")
    parser.add_argument("--all", action="store_true", help="record every topic that is not hidden")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BAG", help="the new bag, a folder")
    add_storage(parser)
    parser.add_argument("--duration", type=seconds_above_zero, metavar="S", help="stop after S seconds")
    parser.add_argument("--use-sim-time", action="store_true", help="take log times from /clock")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record until Ctrl-C, or for the duration."""
    from rgbt_seg_ros.nodes.bags.stopping import StopSignals

    if args.all == bool(args.topics):
        raise UserError("bag record: expected topics, or --all")
    with StopSignals() as stop:
        try:
            from rgbt_seg_ros.nodes.bags.recorder import RecordSettings, record
        except ImportError as error:
            raise UserError(f"bag record: ROS 2 is needed ({error})") from error
        settings = RecordSettings(
            topics=tuple(args.topics),
            everything=args.all,
            duration=args.duration,
            use_sim_time=args.use_sim_time,
            storage=args.storage,
        )
        return record(args.output, settings, stop)
