"""``rgbt-seg calibrate time SOURCE``: by how much thermal stamps are late, found in what both cameras see move."""

from __future__ import annotations

import argparse
from typing import Any

from rgbt_seg_ros.arguments import number, seconds_above_zero
from rgbt_seg_ros.errors import UserError


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("time", help="constant delay between the cameras, from motion")
    parser.add_argument("source", metavar="BAG|FOLDER", help="a bag, or rgb/ and thermal/ with images named by stamps")
    parser.add_argument("--calibration", metavar="FILE", help="of the pair, to compare with and to be completed")
    parser.add_argument("-o", "--output", metavar="FILE", help="write that calibration with the time offset found")
    parser.add_argument("--rgb-topic", metavar="TOPIC", help="of the RGB camera (default: by its name)")
    parser.add_argument("--thermal-topic", metavar="TOPIC", help="of the thermal camera (default: by its name)")
    parser.add_argument(
        "--max-delay",
        type=number(0.0, 10.0, above=True),
        default=0.3,
        metavar="S",
        help="delays to try (default ±0.3, at most ±10)",
    )
    parser.add_argument(
        "--seconds", type=seconds_above_zero, default=60.0, metavar="S", help="of images to look at (default 60)"
    )
    parser.add_argument("--json", metavar="OUT", help="file for all of it")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are there; FILE of --calibration may be one without",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find the delay, say what to set, and write a calibration with it if asked for.

    Raises:
        UserError: The delay cannot be told, or a file cannot be read or written.
    """
    from pathlib import Path

    from tqdm import tqdm

    from rgbt_seg_ros.files import replacing
    from rgbt_seg_ros.nodes.bridge import find_bridge
    from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
    from rgbt_seg_ros.recordings.check_text import delay_dict, delay_text, to_json
    from rgbt_seg_ros.recordings.time_offset import TimeOptions, find_delay, with_time_offset
    from rgbt_seg_ros.registration.formats.any import check_output

    if args.output and not args.calibration:
        raise UserError("-o: writes a calibration file with the time offset in it; expected one by --calibration too")
    if args.output:
        own = Path(args.output).resolve() == Path(args.calibration).resolve()
        check_output([args.output], args.overwrite or own)
    if args.json:
        check_output([args.json], args.overwrite)
    calibration = read_calibration(args.calibration) if args.calibration else None
    delay = find_delay(
        args.source,
        TimeOptions(args.rgb_topic, args.thermal_topic, args.seconds, args.max_delay),
        find_bridge(),
        lambda things, count: tqdm(things, total=count, unit="image", disable=None, leave=False),
    )
    offset = delay.thermal_offset
    assert offset is not None
    if args.json:
        content = {"source": args.source, "time_offset": offset, "delay": delay_dict(delay)}
        with replacing(Path(args.json)) as (part,):
            part.write_text(to_json(content), encoding="utf-8", errors="backslashreplace")
    print("\n".join(delay_text(delay)))
    print(f"set time_offset: {offset:.4f} in the calibration file, or sync.thermal_offset: {offset:.4f} in its place")
    if calibration is not None:
        change = 1000 * (offset - calibration.time_offset)
        print(f"{args.calibration}: time_offset is {calibration.time_offset:.4f}, {change:+.1f} ms would be right")
        if args.output:
            write_calibration(args.output, with_time_offset(calibration, delay, Path(args.source).name))
            print(f"wrote {args.output}")
    return 0
