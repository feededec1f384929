"""What actions share that read calibrations of any format: which files, and what files of other tools do not say."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.pipeline.calibration import Calibration
    from rgbt_seg_ros.registration.formats.any import ReadOptions


def add_known_arguments(parser: Any) -> None:
    """Add ``--calibration`` and ``--ros``, one of which may say what is known of the cameras before a fit."""
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--calibration", metavar="FILE", help="ours or a camchain: sizes, intrinsics; all else is kept")
    known.add_argument("--ros", nargs=2, metavar=("RGB", "THERMAL"), help="intrinsics of two camera_calibration files")


def add_reading_arguments(parser: Any) -> Any:
    """Add the options for what files of other tools do not say, and return their group."""
    group = parser.add_argument_group("what the files do not say")
    group.add_argument("--rgb-frame", default="", metavar="FRAME", help="optical frame of the RGB images")
    group.add_argument("--thermal-frame", default="", metavar="FRAME", help="optical frame of the thermal images")
    group.add_argument("--rectified", action="store_true", help="ROS files are of images that are rectified")
    group.add_argument("--rgb-camera", metavar="NAME", help="the RGB camera in a camchain (default cam0)")
    group.add_argument("--thermal-camera", metavar="NAME", help="the thermal camera in a camchain (default cam1)")
    return group


def reading_options(args: argparse.Namespace) -> ReadOptions:
    """Return what those options say."""
    from rgbt_seg_ros.registration.formats.any import ReadOptions

    return ReadOptions(args.rgb_frame, args.thermal_frame, args.rectified, args.rgb_camera, args.thermal_camera)


def known_files(args: argparse.Namespace) -> list[str]:
    """Return the files of ``--calibration`` or ``--ros``; empty: neither was given.

    Raises:
        UserError: An option is there whose file is not.
    """
    if args.rectified and not args.ros:
        raise UserError("--rectified goes with --ros; a calibration file says it itself")
    if (args.rgb_camera or args.thermal_camera) and not args.calibration:
        raise UserError("--rgb-camera and --thermal-camera go with --calibration and a camchain")
    return list(args.ros or ([args.calibration] if args.calibration else []))


def read_known(args: argparse.Namespace) -> Calibration | None:
    """Return what ``--calibration`` or ``--ros`` say, and print on stderr what it was taken from; None: neither was given.

    Raises:
        UserError: As ``known_files`` and ``read_any``.
    """
    from rgbt_seg_ros.registration.formats.any import read_any

    files = known_files(args)
    if not files:
        return None
    calibration = read_any(files, reading_options(args))
    print_notes(calibration, files)
    return calibration


def print_notes(calibration: Calibration, files: list[str]) -> None:
    """Print on stderr what was read from which file of another tool; this package's own files need no note."""
    from rgbt_seg_ros.registration.formats.any import format_of, notes_of

    if format_of(files) != "ours":
        for note in notes_of(calibration):
            say(f"rgbt-seg: note: {', '.join(files)}: {note}")


def check_image_sizes(
    calibration: Calibration, rgb: tuple[int, int], thermal: tuple[int, int], args: argparse.Namespace
) -> None:
    """Refuse images of (height, width) other than those of ``--calibration`` or ``--ros``.

    Raises:
        CalibrationError: The sentence names the files.
    """
    from rgbt_seg_ros.pipeline.calibration import CalibrationError

    try:
        calibration.check_sizes(rgb, thermal)
    except CalibrationError as error:
        files = getattr(args, "ros", None) or ([args.calibration] if args.calibration else [])
        raise CalibrationError(f"{', '.join(files)}: {error}" if files else str(error)) from error
