"""Calibrations in and out of every format known here: ours, two files of one camera each, a Kalibr camchain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.pipeline.calibration import Calibration, CalibrationError, format_calibration, read_calibration
from rgbt_seg_ros.pipeline.calibration.calibration_file import FORMAT
from rgbt_seg_ros.pipeline.calibration.camera import within
from rgbt_seg_ros.pipeline.calibration.rig import DEPTH_PIXELS
from rgbt_seg_ros.registration.formats.camera_calibration import (
    contradicts_extrinsic,
    format_camera_calibration,
    holds_extrinsic,
    read_camera_calibration,
)
from rgbt_seg_ros.registration.formats.camera_file import read_content
from rgbt_seg_ros.registration.formats.kalibr import format_kalibr, read_kalibr
from rgbt_seg_ros.yaml_text import dump_yaml, parse_yaml

FORMATS = ("ours", "ros", "kalibr")


@dataclass(frozen=True)
class ReadOptions:
    """What files of other tools do not say.

    Attributes:
        rgb_frame: Optical frame of the RGB images; empty: as the file says, or any.
        thermal_frame: The same of the thermal images.
        rectified: Whether the images are rectified; of ROS files only.
        rgb_camera: Name of the RGB camera in a camchain; None: cam0.
        thermal_camera: Name of the thermal camera in a camchain; None: cam1.
    """

    rgb_frame: str = ""
    thermal_frame: str = ""
    rectified: bool = False
    rgb_camera: str | None = None
    thermal_camera: str | None = None


def format_of(paths: Sequence[str | Path]) -> str:
    """Return which of ``FORMATS`` one or two files are.

    Raises:
        CalibrationError: There are more, or a file is of none of them.
    """
    if len(paths) == 2:
        return "ros"
    if len(paths) != 1:
        raise CalibrationError(
            f"{len(paths)} files", expected="one calibration file, one camchain, or two files of one camera each"
        )
    content = read_content(paths[0])
    if content.get("format") == FORMAT:
        return "ours"
    names = [str(name).lower() for name in content]
    if any(name.startswith("cam") and name[3:].isdigit() for name in names):
        return "kalibr"
    if "camera_matrix" in names or {"k", "width", "height"} <= set(names):
        raise CalibrationError(
            f"{paths[0]}: the calibration of one camera", expected="two files, of the RGB and of the thermal camera"
        )
    raise CalibrationError(
        f"{paths[0]}: not a calibration that is known here",
        expected=f"format: {FORMAT}, a Kalibr camchain, or two files of one camera each",
    )


def read_any(paths: Sequence[str | Path], options: ReadOptions | None = None) -> Calibration:
    """Read a calibration of any format.

    Args:
        paths: One file, or the RGB and the thermal camera's.
        options: What the files do not say.

    Raises:
        CalibrationError: A file cannot be used, or an option is not one of its format.
    """
    options = options or ReadOptions()
    kind = format_of(paths)
    if options.rectified and kind != "ros":
        raise CalibrationError(
            "--rectified", f"{paths[0]} is not a file of one camera, and says itself what images it is for"
        )
    if (options.rgb_camera or options.thermal_camera) and kind != "kalibr":
        raise CalibrationError("--rgb-camera and --thermal-camera", f"{paths[0]} is not a camchain")
    if kind == "ros":
        return read_camera_calibration(paths[0], paths[1], options.rgb_frame, options.thermal_frame, options.rectified)
    if kind == "kalibr":
        cameras = options.rgb_camera or "cam0", options.thermal_camera or "cam1"
        return read_kalibr(paths[0], *cameras, options.rgb_frame, options.thermal_frame)
    found = read_calibration(paths[0])
    return replace(
        found,
        rgb=replace(found.rgb, frame_id=options.rgb_frame or found.rgb.frame_id),
        thermal=replace(found.thermal, frame_id=options.thermal_frame or found.thermal.frame_id),
    )


def lost_in(calibration: Calibration, kind: str) -> list[str]:
    """Return what a calibration has and a format cannot hold, in words."""
    lost: list[str] = []
    if kind == "ours":
        return lost
    if calibration.h_rgb_thermal is not None:
        lost.append("homography")
    if calibration.plane_distance is not None:
        lost.append("plane_distance")
    if calibration.rgb.frame_id or calibration.thermal.frame_id:
        lost.append("frames")
    if kind == "kalibr" and any(
        camera.p is not None or camera.r != type(camera)(camera.size).r
        for camera in (calibration.rgb, calibration.thermal)
    ):
        lost.append("R and P")
    if calibration.rgb.serial or calibration.thermal.serial:
        lost.append("serial")
    if calibration.depth_pixels != DEPTH_PIXELS[0]:
        lost.append("depth.pixels")
    if kind == "ros":
        lost += _lost_in_ros(calibration)
    if set(calibration.provenance) - _WRITTEN:
        lost.append("provenance")
    return lost


_WRITTEN = {"source", "rgb_topic", "thermal_topic"}
"""Provenance of an import, of which a file of the same tool says it again."""


def _lost_in_ros(calibration: Calibration) -> list[str]:
    lost = []
    if calibration.time_offset:
        lost.append("time_offset")
    if calibration.rgb.rectified or calibration.thermal.rectified:
        lost.append("images: rectified (read back with --rectified)")
    if calibration.t_rgb_thermal is not None and not holds_extrinsic(calibration):
        lost.append("extrinsic (it is a comment in the thermal file: the command that publishes it to TF)")
    if contradicts_extrinsic(calibration):
        lost.append("P's baseline and R of raw images (they say another extrinsic)")
    return lost


def notes_of(calibration: Calibration) -> list[str]:
    """Return what reading another tool's files took from where, or could not find, in sentences without a full stop."""
    return [str(value) for key, value in calibration.provenance.items() if key.endswith("_note")]


def output_paths(given: Sequence[str | Path], kind: str) -> tuple[Path, ...]:
    """Return the files to write: one, or two for ROS, where one that is not a ``.yaml`` is a folder for them.

    Raises:
        CalibrationError: Another number than the format has.
    """
    paths = tuple(Path(path) for path in given)
    if kind != "ros":
        if len(paths) != 1:
            raise CalibrationError("-o", f"{len(paths)} files to write, and --to {kind} writes one")
        return paths
    if len(paths) == 1 and paths[0].suffix.lower() not in (".yaml", ".yml"):
        return paths[0] / "rgb.yaml", paths[0] / "thermal.yaml"
    if len(paths) != 2 or paths[0].resolve() == paths[1].resolve():
        raise CalibrationError(
            "-o",
            f"{len(paths)} files to write",
            "for --to ros two files, of the RGB and the thermal camera, or one folder",
        )
    return paths


def write_any(
    paths: Sequence[Path],
    calibration: Calibration,
    kind: str,
    topics: tuple[str | None, str | None] = (None, None),
    source: str = "",
) -> None:
    """Write a calibration, all files of it or none.

    Args:
        paths: As ``output_paths`` gives them.
        calibration: What to write.
        kind: One of ``FORMATS``.
        topics: Image topics of the RGB and the thermal camera for a camchain; None: as it was imported, or a usual name.
        source: Where the calibration is from, for the sentence that says what it lacks.

    Raises:
        CalibrationError: The format cannot hold the cameras, or a path cannot be written.
    """
    with within(source):
        if kind == "ros":
            texts: tuple[str, ...] = format_camera_calibration(calibration)
        elif kind == "kalibr":
            texts = (_with_topics(format_kalibr(calibration), calibration, topics),)
        else:
            texts = (format_calibration(calibration),)
    with replacing(*paths, failure=CalibrationError) as parts:
        for part, text in zip(parts, texts, strict=True):
            part.write_text(text, encoding="utf-8")


def _with_topics(text: str, calibration: Calibration, topics: tuple[str | None, str | None]) -> str:
    content = parse_yaml(text, "a camchain")
    for camera, role, topic in zip(("cam0", "cam1"), ("rgb", "thermal"), topics, strict=True):
        content[camera]["rostopic"] = (
            topic or calibration.provenance.get(f"{role}_topic") or content[camera]["rostopic"]
        )
    return dump_yaml(content)
