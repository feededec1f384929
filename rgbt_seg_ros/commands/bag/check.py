"""``rgbt-seg bag check BAG``: is a recording of two cameras sound, what does pairing give, how late is thermal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    BAG,
    add_json,
    add_params,
    add_topics,
    check_output,
    json_files,
    node_parameters,
    number,
    print_results,
    seconds_above_zero,
)
from rgbt_seg_ros.errors import name_settings
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings

LARGEST_DELAY = 10.0
"""What ``sync.thermal_offset`` takes (s): a delay beyond it could not be made up for."""


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg bag``."""
    parser = actions.add_parser("check", help="streams, pairing, and the thermal camera's delay")
    parser.add_argument("bag", metavar="BAG", help=BAG)
    add_topics(parser)
    add_params(parser)
    parser.add_argument("--slop", type=float, metavar="S", help="replaces the parameter sync.slop")
    parser.add_argument("--thermal-offset", type=float, metavar="S", help="replaces the parameter sync.thermal_offset")
    parser.add_argument(
        "--max-delay",
        type=number(0.0, LARGEST_DELAY, above=True),
        default=0.3,
        metavar="S",
        help="largest delay to look for, in either direction (default: 0.3; at most 10)",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--stamps-only",
        action="store_true",
        help="decode no images; the stamps alone give candidates of the delay at best",
    )
    given.add_argument(
        "--seconds",
        type=seconds_above_zero,
        default=60.0,
        metavar="S",
        help="how much of the images to look for the delay in (default: 60)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def pairing_of(args: argparse.Namespace) -> PairingSettings:
    """Return how the node would pair, with what the command line puts in place of it."""
    from dataclasses import replace

    from rgbt_seg_ros.parameters.table import PARAMETER_OF, settings_of

    with name_settings(PARAMETER_OF, args.params or ""):
        settings = settings_of(node_parameters(args.params, args.node))
    if settings.policy != "nearest":
        say(f"{args.params}: sync.policy is {settings.policy}; what follows is of nearest")
    given = {"slop": args.slop, "thermal_offset": args.thermal_offset}
    return replace(settings.pairing, **{name: value for name, value in given.items() if value is not None})


def run(args: argparse.Namespace) -> int:
    """Check the bag, print what was found, and write it if asked for; 2 where no pairing is possible."""
    from tqdm import tqdm

    from rgbt_seg_ros.data.bags.reader import Bag
    from rgbt_seg_ros.data.bags.topics import find_cameras
    from rgbt_seg_ros.recordings.check import CheckOptions, check_bag
    from rgbt_seg_ros.recordings.check_text import as_dict, to_json, to_text

    check_output(json_files(args.json), overwrite=True)
    options = CheckOptions(pairing_of(args), 0.0 if args.stamps_only else args.seconds, args.max_delay)
    with Bag(args.bag) as bag:
        cameras = find_cameras(bag, args.rgb_topic, args.thermal_topic)
        count = cameras.rgb.count + cameras.thermal.count
        check = check_bag(
            bag,
            cameras,
            options,
            lambda messages: tqdm(messages, total=count, unit="message", disable=None, leave=False),
        )
    print_results(args.json, to_json(as_dict(args.bag, check)), to_text(args.bag, check))
    return 0 if check.usable else 2
