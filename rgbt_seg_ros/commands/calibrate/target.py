"""``rgbt-seg calibrate target PAIRS``: intrinsics and extrinsic from a board that both cameras see."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import add_overwrite, add_topics, check_output, number, positive
from rgbt_seg_ros.commands.calibrate._reading import (
    add_known_arguments,
    add_reading_arguments,
    check_image_sizes,
    read_known,
)
from rgbt_seg_ros.commands.calibrate._time_offset import add_time_offset, find_offset, pairing_with, with_offset
from rgbt_seg_ros.errors import UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.registration.target import TargetResult


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("target", help="intrinsics and extrinsic from a board that both cameras see")
    parser.add_argument(
        "pairs", metavar="PAIRS", help="a folder with rgb/ and thermal/, files of equal names; or a bag"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="calibration file to write")
    board = parser.add_argument_group("the board")
    board.add_argument(
        "--board",
        choices=("checker", "circles", "acircles"),
        default="checker",
        help="squares, circles, or circles with every other row shifted (default checker)",
    )
    board.add_argument(
        "--grid", type=grid, required=True, metavar="COLSxROWS", help="inner corners, or circles, across and down"
    )
    board.add_argument(
        "--spacing",
        type=number(0.001, 1.0),
        required=True,
        metavar="M",
        help="m between them; of acircles from row to row",
    )
    fit = parser.add_argument_group("what is fitted")
    add_known_arguments(fit)
    fit.add_argument("--k3", action="store_true", help="fit k3 too, for wide lenses and many views")
    fit.add_argument(
        "--plane",
        type=number(0.0, 1e4, above=True),
        metavar="M",
        help="set plane_distance, and the homography of that plane",
    )
    source = parser.add_argument_group("the pairs")
    source.add_argument(
        "--count", type=positive, default=60, metavar="N", help="at most N pairs, spread over the source (default: 60)"
    )
    add_topics(source)
    add_time_offset(source)
    add_reading_arguments(parser)
    add_overwrite(parser)
    parser.set_defaults(run=run)


def grid(text: str) -> tuple[int, int]:
    """Parse COLSxROWS."""
    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not COLSxROWS, such as 8x5")
    return int(match[1]), int(match[2])


def run(args: argparse.Namespace) -> int:
    """Find the board, fit, print how well it fits, and write the calibration."""
    from tqdm import tqdm

    from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, write_calibration
    from rgbt_seg_ros.registration.board import Board
    from rgbt_seg_ros.registration.fit_report import kept_notes
    from rgbt_seg_ros.registration.image_pairs import common_sizes, read_image_pairs
    from rgbt_seg_ros.registration.target import TargetOptions, calibrate_target

    check_output([args.output], args.overwrite)
    options = TargetOptions(Board(args.board, args.grid[0], args.grid[1], args.spacing), args.k3, args.plane)
    base = read_known(args)
    offset = find_offset(args, args.pairs, base)
    pairs = read_image_pairs(args.pairs, args.count, args.rgb_topic, args.thermal_topic, pairing_with(offset))
    rgb, thermal = common_sizes(pairs)
    if base is None:
        base = Calibration(
            rgb=CameraModel(rgb, frame_id=args.rgb_frame), thermal=CameraModel(thermal, frame_id=args.thermal_frame)
        )
    check_image_sizes(base, rgb, thermal, args)
    try:
        result = calibrate_target(
            pairs, options, base, lambda entries: tqdm(entries, unit="pair", disable=None, leave=False)
        )
    except UserError as error:
        raise UserError(f"{args.pairs}: {error}") from error
    write_calibration(args.output, with_offset(result.calibration, offset))
    fitted = ("extrinsic",) if args.plane is None else ("extrinsic", "homography")
    print("\n".join((*describe(result), *kept_notes(base, fitted), args.output)))
    return 0


def describe(result: TargetResult) -> list[str]:
    """Return what was found and how well it fits, a line each."""
    import numpy as np

    stereo, views = result.stereo, result.views
    lines = []
    for name in ("rgb", "thermal"):
        missing = [view.name for view in views if getattr(view, name) is None]
        found = f"{len(views) - len(missing)} of {len(views)} images show the board"
        lines.append(f"{name}: {found}{'; not: ' + listed(missing) if missing else ''}")
    middle = 6 + stereo.rig.free[0]
    for name, fit, sigma, rms in (
        ("rgb", result.rgb, stereo.sigma[6:middle], stereo.rgb_rms),
        ("thermal", result.thermal, stereo.sigma[middle:], stereo.thermal_rms),
    ):
        if fit is None:
            lines.append(f"{name}: intrinsics as given; {rms:.3f} px RMS")
            continue
        k = getattr(result.calibration, name).matrix
        values = zip(("fx", "fy", "cx", "cy"), (k[0, 0], k[1, 1], k[0, 2], k[1, 2]), sigma[:4], strict=True)
        text = ", ".join(f"{key} {value:.2f} ± {error:.2f}" for key, value, error in values)
        lines.append(f"{name}: {text} px of {fit.views} views; {rms:.3f} px RMS")
    place, sigma = stereo.rig.transform[:3, 3], stereo.sigma
    lines.append(
        f"extrinsic: thermal camera at ({', '.join(f'{value:.4f}' for value in place)}) m in the RGB camera's frame, "
        f"± ({', '.join(f'{value:.4f}' for value in sigma[3:6])}) m; turn ± "
        f"({', '.join(f'{np.degrees(value):.3f}' for value in sigma[:3])})°; {len(stereo.views)} views, "
        f"{stereo.rms:.3f} px RMS over both cameras"
    )
    if stereo.left_out:
        lines.append(f"left out, since they fit far worse than the others: {listed(stereo.left_out)}")
    if result.plane_errors is not None:
        errors = result.plane_errors
        lines.append(
            f"homography of the plane at {result.calibration.plane_distance:g} m: off by {np.median(errors):.2f} px (median), "
            f"{errors.max():.2f} at most, since lenses are not flat"
        )
    return lines


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return names with commas, of many the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
