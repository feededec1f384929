"""``rgbt-seg calibrate check CALIBRATION SOURCE``: does a calibration fit the images, and by how much is it off."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    add_json,
    add_overwrite,
    add_topics,
    check_output,
    json_files,
    positive,
    print_results,
)

if TYPE_CHECKING:
    from rgbt_seg_ros.registration.alignment_check import AlignmentCheck
    from rgbt_seg_ros.registration.correspondences import Correspondences

EXIT_CODES = {"good": 0, "off": 1, "cannot tell": 2}


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("check", help="does a calibration fit: picture, score, reprojection, verdict")
    parser.add_argument("calibration", metavar="CALIBRATION", help="the calibration file")
    parser.add_argument(
        "source", metavar="SOURCE", help="a folder with rgb/, thermal/ (and depth/), data by name, or a bag"
    )
    parser.add_argument(
        "--mode",
        choices=("auto", "homography", "plane", "depth"),
        default="auto",
        help="alignment.mode to check (default: auto, what the file holds)",
    )
    parser.add_argument("--points", metavar="CSV", help="rgb_x,rgb_y,thermal_x,thermal_y[,depth]: points seen by both")
    parser.add_argument("--picture", metavar="PNG", help="write thermal edges, in red, over the RGB images")
    add_json(parser)
    add_overwrite(parser)
    parser.add_argument(
        "--pairs", type=positive, default=12, metavar="N", help="at most N pairs, spread over the source (default: 12)"
    )
    add_topics(parser)
    parser.add_argument("--depth-topic", metavar="TOPIC", help="of the depth images of a bag, for mode depth")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the calibration, print what was found; 0 where it is good, 1 where it is off, 2 where that cannot be told.

    Raises:
        UserError: A file or the source cannot be used, or is of other cameras.
    """
    from pathlib import Path

    from rgbt_seg_ros.data.folders import write_image
    from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
    from rgbt_seg_ros.pipeline.calibration import CalibrationError
    from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
    from rgbt_seg_ros.recordings.check_text import to_json
    from rgbt_seg_ros.registration.alignment_check import check_alignment
    from rgbt_seg_ros.registration.correspondences import PointsError, read_points
    from rgbt_seg_ros.registration.edge_picture import check_picture, edge_grid
    from rgbt_seg_ros.registration.image_pairs import read_image_pairs
    from rgbt_seg_ros.registration.pair_details import camera_frames, read_depths
    from rgbt_seg_ros.registration.reprojection import reproject

    check_output([*([args.picture] if args.picture else []), *json_files(args.json)], args.overwrite)
    if args.picture:
        check_picture(Path(args.picture))
    aligner = Aligner.open(AlignmentSettings(args.mode, args.calibration))
    calibration = aligner.calibration
    assert calibration is not None
    points = reprojection = None
    if args.points:
        points = read_points(args.points, calibration.rgb.size, calibration.thermal.size)
        try:
            reprojection = reproject(aligner, points)
        except PointsError as error:
            raise PointsError(f"{args.points}: {error}") from error
    try:
        calibration.check_cameras(*camera_frames(args.source, args.rgb_topic, args.thermal_topic))
        pairs = read_image_pairs(
            args.source,
            args.pairs,
            args.rgb_topic,
            args.thermal_topic,
            PairingSettings(thermal_offset=calibration.time_offset),
        )
        depths = None
        if aligner.mode == "depth":
            depths = read_depths(args.source, pairs, args.depth_topic, calibration.rgb.size)
        check = check_alignment(aligner, pairs, depths, reprojection)
    except CalibrationError as error:
        raise CalibrationError(f"{args.calibration}: {error}") from error
    if args.picture:
        write_image(Path(args.picture), edge_grid(aligner, pairs, depths))
    content = to_json(_as_dict(args, aligner.mode, len(pairs), check, points))
    print_results(args.json, content, _text(args, aligner.mode, len(pairs), check, points))
    return EXIT_CODES[check.verdict]


def _as_dict(
    args: argparse.Namespace, mode: str, pairs: int, check: AlignmentCheck, points: Correspondences | None
) -> dict[str, Any]:
    from dataclasses import asdict

    offset = {**asdict(check.offset)}
    for key in ("dx", "dy", "off", "spread"):
        offset[key] *= check.zoom
    content: dict[str, Any] = {
        "calibration": args.calibration,
        "source": args.source,
        "mode": mode,
        "pairs": pairs,
        "verdict": check.verdict,
        "sentence": check.sentence,
        "offset": offset,
        "mutual_information": check.information,
        "mutual_information_apart": check.information_apart,
        "covered": check.covered,
    }
    if check.points is not None and points is not None:
        content["points"] = [
            {
                "line": line,
                "rgb": points.rgb[index].tolist(),
                "thermal": points.thermal[index].tolist(),
                "expected": check.points.expected[index].tolist(),
                "error": float(check.points.errors[index]),
                "rgb_error": float(check.points.rgb_errors[index]),
            }
            for index, line in enumerate(points.lines)
        ]
    return content


def _text(
    args: argparse.Namespace, mode: str, pairs: int, check: AlignmentCheck, points: Correspondences | None
) -> str:
    from rgbt_seg_ros.words import counted

    offset = check.offset
    lines = [
        f"{args.calibration}, mode {mode}, on {counted(pairs, 'pair')} of {args.source}",
        f"  thermal on {100 * check.covered:.0f} % of the RGB image",
        f"  agreement of edges {offset.score:.3f}, at best {offset.best:.3f} "
        f"({100 * offset.agreeing:.0f} % of resamples agree on where)",
        f"  mutual information {check.information:.3f} bits, {check.information_apart:.3f} with the images moved apart",
    ]
    if check.points is not None and points is not None:
        found = check.points
        seen = counted(len(points), "point")
        if found.lost:
            seen = f"{len(points) - found.lost} of {seen}, the others having no place in the thermal image"
        lines += ["", "  line       rgb px            thermal px        expected         error, thermal px   RGB px"]
        for index, line in enumerate(points.lines):
            places = (points.rgb[index], points.thermal[index], found.expected[index])
            shown = "  ".join(f"{x:8.1f} {y:8.1f}" for x, y in places)
            lines.append(f"  {line:4d}  {shown}   {found.errors[index]:10.2f}  {found.rgb_errors[index]:10.2f}")
        lines.append(f"  RMS of {seen}: {found.rms:.2f} thermal px, {found.rgb_rms:.2f} RGB px")
    if args.picture:
        lines.append(f"  picture: {args.picture}")
    return "\n".join([*lines, check.sentence])
