"""The calibration file: one YAML for a rig. Described in docs/calibration.md and config/calibration/schema.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rgbt_seg_ros.decoding import decode, limits, shown
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.pipeline.calibration.camera import LARGEST, CalibrationError, CameraModel, within
from rgbt_seg_ros.pipeline.calibration.camera_info import CameraDescription, camera_of
from rgbt_seg_ros.pipeline.calibration.rig import LARGEST_TIME_OFFSET, Calibration
from rgbt_seg_ros.yaml_text import dump_yaml, read_yaml

FORMAT = "rgbt_seg_ros/calibration"
VERSION = 1

IMAGES = ("raw", "rectified")

Row3 = tuple[float, float, float]
Row4 = tuple[float, float, float, float]
Matrix33 = tuple[Row3, Row3, Row3]
Matrix34 = tuple[Row4, Row4, Row4]
Matrix44 = tuple[Row4, Row4, Row4, Row4]

_SHAPES = {"K": (3, 3), "R": (3, 3), "H_rgb_thermal": (3, 3), "P": (3, 4), "T_rgb_thermal": (4, 4)}
"""Key → rows and columns."""


@dataclass(frozen=True)
class _Camera:
    width: int = field(metadata=limits(1, LARGEST))
    height: int = field(metadata=limits(1, LARGEST))
    frame_id: str = ""
    serial: str = ""
    images: Literal["raw", "rectified"] = "raw"
    distortion_model: str = ""
    K: Matrix33 | None = None
    D: tuple[float, ...] = ()
    R: Matrix33 | None = None
    P: Matrix34 | None = None


@dataclass(frozen=True)
class _Extrinsic:
    T_rgb_thermal: Matrix44
    target_frame: str = ""
    source_frame: str = ""


@dataclass(frozen=True)
class _Homography:
    H_rgb_thermal: Matrix33


@dataclass(frozen=True)
class _Depth:
    pixels: Literal["rectified", "raw"] = "rectified"


@dataclass(frozen=True)
class _File:
    format: Literal["rgbt_seg_ros/calibration"]
    version: Literal[1]
    rgb: _Camera
    thermal: _Camera
    extrinsic: _Extrinsic | None = None
    homography: _Homography | None = None
    plane_distance: float | None = field(default=None, metadata=limits(0, above=True))
    time_offset: float = field(default=0.0, metadata=limits(-LARGEST_TIME_OFFSET, LARGEST_TIME_OFFSET))
    depth: _Depth = field(default_factory=_Depth)
    provenance: dict[str, str | int | float | tuple[float, ...]] = field(default_factory=dict)


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file.

    Raises:
        CalibrationError: The file is not there, not YAML, of another format or version, holds a key that is unknown, missing or
            wrong, or values that no rig has; the sentence names the file and the key. It quotes nothing of a file that is not
            a calibration.
    """
    content = read_yaml(path, "calibration file", CalibrationError)
    with within(str(path)):
        return _calibration(_decoded(content))


def _decoded(content: object) -> _File:
    """Return what a file holds, checked as far as the schema goes."""
    if not isinstance(content, Mapping):
        raise CalibrationError("not a calibration file", expected=f"a table of keys with format: {FORMAT}")
    # First, so that a file of another kind or release is recognised as such, and nothing of it is quoted.
    if content.get("format") != FORMAT:
        raise CalibrationError(
            "format",
            "another one" if "format" in content else "missing",
            f"'{FORMAT}'; files of other tools are read by rgbt-seg calibrate convert (docs/calibration.md)",
        )
    if content.get("version", VERSION) != VERSION:
        raise CalibrationError("version", shown(content["version"]), f"{VERSION}, the one that this release reads")
    _refuse_empty(content, "")
    try:
        return decode(_File, content)
    except SettingError as error:
        shape = _SHAPES.get(re.sub(r"(.*\.)?(\w+)(\[\d+\])*", r"\2", error.key))
        expected = f"{shape[0]} rows of {shape[1]} numbers" if shape else error.expected
        raise CalibrationError(error.key, error.problem, expected) from error


def _refuse_empty(content: Mapping[Any, Any], place: str) -> None:
    """Refuse keys without a value: a key that somebody meant to fill in is not one that was left out."""
    for name, value in content.items():
        if value is None:
            raise CalibrationError(f"{place}{name}", "empty", "a value, or no such key")
        if isinstance(value, Mapping):
            _refuse_empty(value, f"{place}{name}.")


def _calibration(file: _File) -> Calibration:
    rgb, thermal = _camera(file.rgb, "rgb"), _camera(file.thermal, "thermal")
    if file.extrinsic is not None:
        rgb = _of_frame(rgb, "rgb", file.extrinsic.target_frame, "target_frame")
        thermal = _of_frame(thermal, "thermal", file.extrinsic.source_frame, "source_frame")
    return Calibration(
        rgb=rgb,
        thermal=thermal,
        t_rgb_thermal=None if file.extrinsic is None else _flat(file.extrinsic.T_rgb_thermal),
        h_rgb_thermal=None if file.homography is None else _flat(file.homography.H_rgb_thermal),
        plane_distance=file.plane_distance,
        time_offset=file.time_offset,
        depth_pixels=file.depth.pixels,
        provenance={
            name: list(value) if isinstance(value, tuple) else value for name, value in file.provenance.items()
        },
    )


def _camera(entry: _Camera, name: str) -> CameraModel:
    described = CameraDescription(
        width=entry.width,
        height=entry.height,
        k=_flat(entry.K or ()),
        distortion_model=entry.distortion_model,
        d=entry.D,
        r=_flat(entry.R or ()),
        p=_flat(entry.P or ()),
        frame_id=entry.frame_id,
        serial=entry.serial,
    )
    with within(name, between="."):
        return camera_of(described, rectified=entry.images == IMAGES[1])


def _of_frame(camera: CameraModel, name: str, frame: str, key: str) -> CameraModel:
    """Return a camera whose frame is that of the extrinsic, where the extrinsic names one."""
    if not frame or frame == camera.frame_id:
        return camera
    if camera.frame_id:
        raise CalibrationError(
            f"extrinsic.{key}",
            f"'{frame}' is not {name}.frame_id '{camera.frame_id}': the extrinsic is for other frames",
        )
    return replace(camera, frame_id=frame)


def _flat(matrix: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(value for row in matrix for value in row)


def format_calibration(calibration: Calibration) -> str:
    """Return a calibration as the text that ``read_calibration`` reads, number for number."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "rgb": _camera_entry(calibration.rgb),
        "thermal": _camera_entry(calibration.thermal),
    }
    if calibration.t_rgb_thermal is not None:
        frames = {"target_frame": calibration.rgb.frame_id, "source_frame": calibration.thermal.frame_id}
        content["extrinsic"] = {
            **{key: frame for key, frame in frames.items() if frame},
            "T_rgb_thermal": rows(calibration.t_rgb_thermal, 4),
        }
    if calibration.h_rgb_thermal is not None:
        content["homography"] = {"H_rgb_thermal": rows(calibration.h_rgb_thermal, 3)}
    if calibration.plane_distance is not None:
        content["plane_distance"] = calibration.plane_distance
    content["time_offset"] = calibration.time_offset
    content["depth"] = {"pixels": calibration.depth_pixels}
    if calibration.provenance:
        content["provenance"] = _plain(calibration.provenance)
    return dump_yaml(content)


def _camera_entry(camera: CameraModel) -> dict[str, Any]:
    names = {"frame_id": camera.frame_id, "serial": camera.serial}
    entry: dict[str, Any] = {key: value for key, value in names.items() if value}
    entry |= {"width": camera.size[1], "height": camera.size[0], "images": IMAGES[camera.rectified]}
    if camera.k is not None:
        entry |= {"distortion_model": camera.distortion_model, "K": rows(camera.k, 3), "D": list(camera.d)}
    if camera.r != CameraModel(camera.size).r:
        entry["R"] = rows(camera.r, 3)
    if camera.p is not None:
        entry["P"] = rows(camera.p, 4)
    return entry


def rows(values: tuple[float, ...], columns: int) -> list[list[float]]:
    """Return a matrix that lies row by row in a tuple as a list of rows."""
    return [[float(value) for value in values[at : at + columns]] for at in range(0, len(values), columns)]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers of any kind, and arrays, as YAML writes them; an array of more dimensions as one row."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if getattr(value, "ndim", 0):
            plain[name] = [float(entry) for entry in value.ravel()]
        elif isinstance(value, list | tuple):
            plain[name] = [float(entry) for entry in value]
        elif isinstance(value, str | int):
            plain[name] = value
        else:
            plain[name] = float(value)
    return plain


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration file, whole or not at all.

    Raises:
        CalibrationError: The path cannot be written.
    """
    with replacing(Path(path), failure=CalibrationError) as (part,):
        part.write_text(format_calibration(calibration), encoding="utf-8")
