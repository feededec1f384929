"""``rgbt-seg calibrate auto SOURCE``: a homography, or a rotation, from image pairs alone, without a target."""

from __future__ import annotations

import argparse
from typing import Any

from rgbt_seg_ros.arguments import add_overwrite, add_topics, check_output, number, positive
from rgbt_seg_ros.commands.calibrate._reading import check_image_sizes
from rgbt_seg_ros.commands.calibrate._time_offset import add_time_offset, find_offset, pairing_with, with_offset


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("auto", help="homography or rotation from image pairs, without a target")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder with rgb/ and thermal/, a bag, or data by name such as synthetic:8@7",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="calibration file to write")
    parser.add_argument(
        "--model",
        choices=("homography", "rotation"),
        default="homography",
        help="what to find (default: homography; rotation: of the extrinsic, for scenes far away, with known intrinsics)",
    )
    parser.add_argument(
        "--calibration", metavar="FILE", help="intrinsics, and where the search starts; everything else in it is kept"
    )
    parser.add_argument(
        "--pairs", type=positive, default=8, metavar="N", help="at most N pairs, spread over the source (default: 8)"
    )
    parser.add_argument(
        "--max-shift",
        type=number(0.0, 1000.0, above=True),
        default=40.0,
        metavar="PX",
        help="largest shift to search, in pixels of the RGB image (default: 40)",
    )
    parser.add_argument(
        "--max-rotation",
        type=number(0.0, 45.0),
        default=4.0,
        metavar="DEG",
        help="largest rotation to search (default: 4)",
    )
    parser.add_argument(
        "--max-scale",
        type=number(0.0, 50.0),
        default=6.0,
        metavar="PERCENT",
        help="largest change of scale to search (default: 6)",
    )
    add_topics(parser)
    add_time_offset(parser)
    parser.add_argument("--picture", metavar="PNG", help="write thermal edges, in red, over the RGB images")
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find the alignment, print it, and write it where it may be believed.

    Raises:
        UserError: It may not, or something given cannot be used; nothing is written then.
    """
    from pathlib import Path

    from rgbt_seg_ros.data.folders import write_image
    from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
    from rgbt_seg_ros.registration.auto import Limits, align
    from rgbt_seg_ros.registration.auto.result import (
        aligner_of,
        calibration_of,
        check_accepted,
        judge,
        motion_between,
        start_of,
        to_text,
    )
    from rgbt_seg_ros.registration.edge_picture import check_picture, edge_grid
    from rgbt_seg_ros.registration.image_pairs import common_sizes, read_image_pairs

    check_output([path for path in (args.output, args.picture) if path], args.overwrite)
    if args.picture:
        check_picture(Path(args.picture))
    base = read_calibration(args.calibration) if args.calibration else None
    offset = find_offset(args, args.source, base)
    pairs = read_image_pairs(args.source, args.pairs, args.rgb_topic, args.thermal_topic, pairing_with(offset))
    sizes = common_sizes(pairs)
    if base is not None:
        check_image_sizes(base, *sizes, args)
    start = start_of(args.model, base, sizes)
    limits = Limits(args.max_shift, args.max_rotation, args.max_scale)
    found = align(pairs, start, limits)
    motion = motion_between(start, found.model)
    check_accepted(found, motion, limits)
    calibration = with_offset(calibration_of(found, base, sizes, args.source), offset)
    judgement = judge(found, calibration, pairs)
    if args.picture:
        write_image(Path(args.picture), edge_grid(aligner_of(found, calibration), pairs[:4]))
    write_calibration(args.output, calibration)
    print(to_text(found, motion, judgement))
    print(args.output)
    return 0
