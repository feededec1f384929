"""``rgbt-seg bag info BAG``: what is in a recording."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import BAG, add_json, check_output, json_files, print_results
from rgbt_seg_ros.words import counted

if TYPE_CHECKING:
    from rgbt_seg_ros.recordings.info import BagInfo, TopicInfo


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg bag``."""
    parser = actions.add_parser("info", help="topics, types, rates and storage of a bag")
    parser.add_argument("bag", metavar="BAG", help=BAG)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is in the bag."""
    from tqdm import tqdm

    from rgbt_seg_ros.data.bags.reader import Bag
    from rgbt_seg_ros.recordings.check_text import to_json
    from rgbt_seg_ros.recordings.info import read_info

    check_output(json_files(args.json), overwrite=True)
    with Bag(args.bag) as bag:
        info = read_info(
            bag, lambda raws: tqdm(raws, total=bag.message_count, unit="message", disable=None, leave=False)
        )
    print_results(args.json, to_json(info), to_text(info))
    return 0


def to_text(info: BagInfo) -> str:
    """Return a description for a terminal."""
    from datetime import datetime, timezone

    start = datetime.fromtimestamp(info.start / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        info.path,
        f"storage   {info.storage}, compression {info.compression}, ROS distribution {info.distro or 'not known'}",
        f"start     {info.start / 1e9:.3f} s ({start})",
        f"duration  {info.duration:.3f} s, {counted(info.messages, 'message')}",
    ]
    for topic in info.topics:
        lines += _topic_text(topic)
    return "\n".join(lines)


def _topic_text(topic: TopicInfo) -> list[str]:
    lines = ["", f"{topic.name}  {topic.type}, {counted(topic.count, 'message')}"]
    if topic.image:
        # Tools of ROS write the width first: who compares both should not have to guess.
        size = re.fullmatch(r"(.*) (\d+)x(\d+)", topic.image)
        ros = f" (HxW; width x height {size[3]}x{size[2]})" if size else ""
        lines.append(f"  first image: {topic.image}{ros}")
    rates = (
        ("on average", topic.mean_rate_hz),
        ("by log times", topic.log_rate_hz),
        ("by stamps", topic.stamp_rate_hz),
    )
    known = [f"{rate:.2f} Hz {what}" for what, rate in rates if not math.isnan(rate)]
    if known:
        lines.append(f"  {', '.join(known)}" + (" (median interval)" if len(known) > 1 else ""))
    if topic.unreadable:
        lines.append(f"  {counted(topic.unreadable, 'message')} cannot be read, the first: {topic.first_unreadable}")
    return [*lines, *(f"  offered: {profile}" for profile in topic.qos)]
