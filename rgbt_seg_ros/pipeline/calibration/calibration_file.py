"""The calibration file: one YAML for a pair. Described in docs/calibration.md and config/calibration/schema.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.pair import DEPTH_PIXELS, Calibration
from rgbt_seg_ros.pipeline.calibration.schema import check_schema
from rgbt_seg_ros.pipeline.calibration.typed import load_yaml

FORMAT = "rgbt_seg_ros/calibration"
VERSION = 1

IMAGES = ("raw", "rectified")


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file, and check it against config/calibration/schema.json.

    Raises:
        CalibrationError: The file is not there, not YAML, of another format or version, holds a key that is unknown, missing or
            wrong, or values that no pair of cameras has; the sentence names the file and the key.
    """
    content = load_yaml(path, "calibration file")
    check_schema(content, str(path))
    try:
        return _calibration(content)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _calibration(content: Mapping[str, Any]) -> Calibration:
    """Return what a file holds whose keys and values are those of the schema."""
    rgb, thermal = (_camera(content[name], name) for name in ("rgb", "thermal"))
    extrinsic, distance = content.get("extrinsic"), content.get("plane_distance")
    if extrinsic is not None:
        rgb = _of_frame(rgb, "rgb", extrinsic, "target_frame")
        thermal = _of_frame(thermal, "thermal", extrinsic, "source_frame")
    return Calibration(
        rgb=rgb,
        thermal=thermal,
        t_rgb_thermal=None if extrinsic is None else _flat(extrinsic["T_rgb_thermal"]),
        h_rgb_thermal=_flat(content["homography"]["H_rgb_thermal"]) if "homography" in content else None,
        plane_distance=None if distance is None else float(distance),
        time_offset=float(content.get("time_offset", 0.0)),
        depth_pixels=content.get("depth", {}).get("pixels", DEPTH_PIXELS[0]),
        provenance={
            name: [float(entry) for entry in value] if isinstance(value, list) else value
            for name, value in content.get("provenance", {}).items()
        },
    )


def _camera(entry: Mapping[str, Any], name: str) -> CameraModel:
    given: dict[str, Any] = {key.lower(): _flat(entry[key]) for key in ("K", "R", "P") if key in entry}
    given |= {key: entry[key] for key in ("frame_id", "serial", "distortion_model") if key in entry}
    try:
        return CameraModel(
            # JSON Schema takes 640.0 for a whole number.
            size=(int(entry["height"]), int(entry["width"])),
            d=tuple(float(value) for value in entry.get("D", ())),
            rectified=entry.get("images", IMAGES[0]) == IMAGES[1],
            **given,
        )
    except CalibrationError as error:
        raise CalibrationError(f"{name}.{error}") from error


def _of_frame(camera: CameraModel, name: str, extrinsic: Mapping[str, Any], key: str) -> CameraModel:
    """Return a camera whose frame is that of the extrinsic, where the extrinsic names one."""
    frame = extrinsic.get(key, "")
    if not frame or frame == camera.frame_id:
        return camera
    if camera.frame_id:
        raise CalibrationError(
            f"extrinsic.{key}: '{frame}' is not {name}.frame_id '{camera.frame_id}': the extrinsic is of another pair of frames"
        )
    return replace(camera, frame_id=frame)


def _flat(matrix: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(float(value) for row in matrix for value in row)


def format_calibration(calibration: Calibration) -> str:
    """Return a calibration as the text that ``read_calibration`` reads, number for number."""
    import yaml

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
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


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
    """Return numbers of any kind, arrays too, as YAML's own; an array of more dimensions in one row."""
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
