"""``rgbt-seg bag play BAG``: publish a recording as it was recorded (needs ROS 2; for machines without rosbag2)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rgbt_seg_ros.arguments import BAG, number, seconds, seconds_above_zero
from rgbt_seg_ros.errors import UserError

CLOCK_HZ = 100.0

rate = number(1e-3, 1e3)
"""Parse a rate of playing (bag seconds per second)."""

clock_hz = number(1e-3, 1e4)
"""Parse a rate of ``/clock`` (Hz)."""


def register(actions: Any) -> None:
    """Add the action to the parser of ``bag``."""
    parser = actions.add_parser("play", help="publish a bag's messages, with their spacing and /clock (needs ROS 2)")
    parser.add_argument("bag", type=Path, metavar="BAG", help=BAG)
    parser.add_argument(
        "--rate", type=rate, default=1.0, metavar="R", help="seconds of the bag per second (default: 1)"
    )
    parser.add_argument("--loop", action="store_true", help="start again at the end; the time on /clock jumps back")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play only these topics")
    parser.add_argument(
        "--start", type=seconds, default=0.0, metavar="S", help="seconds into the bag to start at (default: 0)"
    )
    parser.add_argument(
        "--duration", type=seconds_above_zero, metavar="S", help="seconds of the bag to play (default: to its end)"
    )
    parser.add_argument(
        "--remap",
        nargs="+",
        action="extend",
        type=remapping,
        default=[],
        metavar="FROM:=TO",
        help="publish topic FROM as TO",
    )
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument(
        "--clock",
        nargs="?",
        type=clock_hz,
        const=CLOCK_HZ,
        default=CLOCK_HZ,
        metavar="HZ",
        help=f"rate of /clock (default: {CLOCK_HZ:g})",
    )
    clock.add_argument("--no-clock", dest="clock", action="store_const", const=0.0, help="do not publish /clock")
    parser.add_argument(
        "--delay",
        type=seconds,
        default=1.0,
        metavar="S",
        help="seconds before the first message, for discovery (default: 1)",
    )
    parser.add_argument(
        "--wait-for",
        nargs="+",
        type=expected,
        default=[],
        metavar="TOPIC[=N]",
        help="wait until each of these has a subscriber, or N; /clock may be among them",
    )
    parser.set_defaults(run=run)


def remapping(text: str) -> tuple[str, str]:
    """Parse ``FROM:=TO``."""
    before, separator, after = text.partition(":=")
    if not (before and separator and after):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form FROM:=TO")
    return before, after


def expected(text: str) -> tuple[str, int]:
    """Parse ``TOPIC`` or ``TOPIC=N``."""
    topic, separator, count = text.partition("=")
    if separator and not (count.isascii() and count.isdigit() and int(count) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form TOPIC or TOPIC=N")
    return topic, int(count or 1)


def run(args: argparse.Namespace) -> int:
    """Play the bag."""
    from rgbt_seg_ros.nodes.bags.stopping import StopSignals

    with StopSignals() as stop:
        try:
            from rgbt_seg_ros.nodes.bags.plan import PlaySettings
            from rgbt_seg_ros.nodes.bags.player import play
        except ImportError as error:
            raise UserError(f"bag play: ROS 2 is needed ({error})") from error
        settings = PlaySettings(
            topics=tuple(args.topics),
            start=args.start,
            duration=args.duration,
            rate=args.rate,
            loop=args.loop,
            remap=dict(args.remap),
            clock_hz=args.clock,
            delay=args.delay,
            wait_for=dict(args.wait_for),
        )
        return play(args.bag, settings, stop)
