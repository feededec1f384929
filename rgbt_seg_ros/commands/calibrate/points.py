"""``rgbt-seg calibrate points FILE``: a homography, or an extrinsic, from points that both cameras see."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import add_overwrite, check_output, image_size, number
from rgbt_seg_ros.commands.calibrate._reading import (
    add_known_arguments,
    add_reading_arguments,
    check_image_sizes,
    known_files,
    read_known,
)
from rgbt_seg_ros.errors import UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.pipeline.calibration import Calibration
    from rgbt_seg_ros.registration.correspondences import Correspondences
    from rgbt_seg_ros.registration.points import PointsResult


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg calibrate``."""
    parser = actions.add_parser("points", help="homography or extrinsic from corresponding points, of a file or picked")
    parser.add_argument(
        "points",
        metavar="FILE",
        help="CSV with rgb_x,rgb_y,thermal_x,thermal_y and perhaps X,Y,Z (m, in the RGB camera's frame) or depth (m)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="calibration file to write")
    parser.add_argument(
        "--pick",
        nargs=2,
        metavar=("RGB", "THERMAL"),
        help="two images to pick points in by hand; FILE gets them; picking continues from the points in it",
    )
    add_known_arguments(parser)
    add_reading_arguments(parser)
    parser.add_argument(
        "--rgb-size", type=image_size, metavar="HxW", help="size of the RGB image, where no file gives it"
    )
    parser.add_argument(
        "--thermal-size", type=image_size, metavar="HxW", help="size of the thermal image, where no file gives it"
    )
    parser.add_argument(
        "--model",
        choices=("auto", "homography", "extrinsic"),
        default="auto",
        help="what to fit (default: an extrinsic where intrinsics and distances are known)",
    )
    parser.add_argument(
        "--threshold",
        type=number(0.0, 100.0, above=True),
        default=3.0,
        metavar="PX",
        help="up to which a point agrees (default 3)",
    )
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, print the residual of every point, and write the calibration."""
    from pathlib import Path

    from rgbt_seg_ros.files import check_place
    from rgbt_seg_ros.pipeline.calibration import write_calibration
    from rgbt_seg_ros.registration.correspondences import PointsError, read_points
    from rgbt_seg_ros.registration.fit_report import kept_notes
    from rgbt_seg_ros.registration.points import calibrate_points

    check_output([args.output], args.overwrite)
    if Path(args.output).resolve() == Path(args.points).resolve():
        raise PointsError(f"{args.output}: is the file of points too; another one was expected for the calibration")
    known_files(args)
    sizes = [args.rgb_size, args.thermal_size]
    if args.pick:
        from rgbt_seg_ros.data.folders import read_rgb, read_thermal
        from rgbt_seg_ros.registration.image_pairs import stretched
        from rgbt_seg_ros.registration.picking_window import pick

        check_place(Path(args.points), PointsError)
        rgb, thermal = read_rgb(Path(args.pick[0])), stretched(read_thermal(Path(args.pick[1])))
        shown = [(rgb.shape[0], rgb.shape[1]), (thermal.shape[0], thermal.shape[1])]
        base = base_of(args, [given or found for given, found in zip(sizes, shown, strict=True)])
        check_image_sizes(base, shown[0], shown[1], args)
        pick(rgb, thermal, Path(args.points))
    else:
        base = base_of(args, sizes)
    points = read_points(args.points, base.rgb.size, base.thermal.size)
    try:
        result = calibrate_points(points, base, args.model, args.threshold)
    except UserError as error:
        raise PointsError(f"{args.points}: {error}") from error
    write_calibration(args.output, result.calibration)
    print(table(points, result))
    print("\n".join((summary(result), *kept_notes(base, (result.model,)))))
    print(args.output)
    return 0


def base_of(args: argparse.Namespace, sizes: list[tuple[int, int] | None]) -> Calibration:
    """Return what is known of the cameras before: a file's, or sizes alone."""
    from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel

    base = read_known(args)
    if base is not None:
        for name, given, known in zip(("rgb", "thermal"), sizes, (base.rgb.size, base.thermal.size), strict=True):
            if given is not None and given != known:
                raise UserError(
                    f"{', '.join(known_files(args))}: {name} images of {known[0]}x{known[1]} (HxW), and these are "
                    f"{given[0]}x{given[1]}"
                )
        return base
    if sizes[0] is None or sizes[1] is None:
        raise UserError(
            "the images' sizes are not known; expected --calibration, --ros, or --rgb-size and --thermal-size"
        )
    return Calibration(
        rgb=CameraModel(sizes[0], frame_id=args.rgb_frame), thermal=CameraModel(sizes[1], frame_id=args.thermal_frame)
    )


def table(points: Correspondences, result: PointsResult) -> str:
    """Return a line for every point: where it is, its residual, and whether it agrees."""
    rows = [f"{'line':>5} {'rgb_x':>8} {'rgb_y':>8} {'therm_x':>8} {'therm_y':>8} {'error px':>9}"]
    errors = result.errors
    for index, line in enumerate(points.lines):
        error = errors.residuals[index]
        rows.append(
            f"{line:5d} {points.rgb[index, 0]:8.1f} {points.rgb[index, 1]:8.1f} {points.thermal[index, 0]:8.1f} "
            f"{points.thermal[index, 1]:8.1f} {min(error, 99999.0):9.2f}{'' if errors.inliers[index] else '  outlier'}"
        )
    return "\n".join(rows)


def summary(result: PointsResult) -> str:
    """Return how well it fits, and how certain it is."""
    import numpy as np

    from rgbt_seg_ros.registration.pose_fit import PoseFit

    errors, metrics = result.errors, result.errors.metrics()
    where = "thermal" if isinstance(result.fit, PoseFit) else "RGB"
    lines = [
        f"{result.model} of {int(errors.inliers.sum())} of {len(errors.residuals)} points: error in the {where} image "
        f"{metrics['rms_px']:.2f} px RMS, {metrics['median_px']:.2f} median, {metrics['max_px']:.2f} at most"
    ]
    if isinstance(result.fit, PoseFit):
        sigma = np.sqrt(np.diag(result.fit.covariance))
        place = result.fit.transform[:3, 3]
        lines.append(
            f"thermal camera at ({', '.join(f'{value:.4f}' for value in place)}) m in the RGB camera's frame, "
            f"± ({', '.join(f'{value:.4f}' for value in sigma[3:])}) m; turn ± "
            f"({', '.join(f'{np.degrees(value):.3f}' for value in sigma[:3])})°"
        )
    elif result.fit.corner_sigma is None:
        lines.append("four points fit any homography: nothing tells how certain it is; give more")
    else:
        lines.append(f"the worst corner of the thermal image is certain to ± {result.fit.corner_sigma:.2f} px")
    return "\n".join(lines)
