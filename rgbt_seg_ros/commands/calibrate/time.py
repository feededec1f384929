"""``rgbt-seg calibrate time SOURCE``: by how much thermal stamps are late, found in what both cameras see move."""

from __future__ import annotations

import argparse
from typing import Any

from rgbt_seg_ros.arguments import (
    add_json,
    add_overwrite,
    add_topics,
    check_output,
    json_files,
    number,
    print_results,
    seconds_above_zero,
)
from rgbt_seg_ros.errors import UserError


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("time", help="constant delay between the cameras, from motion")
    parser.add_argument("source", metavar="BAG|FOLDER", help="a bag, or rgb/ and thermal/ with images named by stamps")
    parser.add_argument(
        "--calibration", metavar="FILE", help="the calibration to compare with, and to add the delay to"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write that calibration with the time offset found")
    add_topics(parser)
    parser.add_argument(
        "--max-delay",
        type=number(0.0, 10.0, above=True),
        default=0.3,
        metavar="S",
        help="largest delay to look for, in either direction (default: 0.3; at most 10)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds_above_zero,
        default=60.0,
        metavar="S",
        help="how much of the images to look at (default: 60)",
    )
    add_json(parser)
    add_overwrite(parser, "files that exist; the file of --calibration needs no permission")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find the delay, say what to set, and write a calibration with it if asked for.

    Raises:
        UserError: The delay cannot be told, or a file cannot be read or written.
    """
    from pathlib import Path

    from tqdm import tqdm

    from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
    from rgbt_seg_ros.recordings.check_text import delay_dict, delay_text, to_json
    from rgbt_seg_ros.recordings.time_offset import TimeOptions, find_delay, with_time_offset

    if args.output and not args.calibration:
        raise UserError("-o: writes a calibration file with the time offset in it; expected one by --calibration too")
    if args.output:
        own = Path(args.output).resolve() == Path(args.calibration).resolve()
        check_output([args.output], args.overwrite or own)
    check_output(json_files(args.json), args.overwrite)
    calibration = read_calibration(args.calibration) if args.calibration else None
    delay = find_delay(
        args.source,
        TimeOptions(args.rgb_topic, args.thermal_topic, args.seconds, args.max_delay),
        lambda things, count: tqdm(things, total=count, unit="image", disable=None, leave=False),
    )
    offset = delay.thermal_offset
    assert offset is not None
    lines = delay_text(delay)
    lines.append(
        f"set time_offset: {offset:.4f} in the calibration file, or sync.thermal_offset: {offset:.4f} in its place"
    )
    if calibration is not None:
        change = 1000 * (offset - calibration.time_offset)
        lines.append(
            f"{args.calibration}: time_offset is {calibration.time_offset:.4f}, {change:+.1f} ms would be right"
        )
        if args.output:
            write_calibration(args.output, with_time_offset(calibration, delay, Path(args.source).name))
            lines.append(f"wrote {args.output}")
    content = {"source": args.source, "time_offset": offset, "delay": delay_dict(delay)}
    print_results(args.json, to_json(content), "\n".join(lines))
    return 0
