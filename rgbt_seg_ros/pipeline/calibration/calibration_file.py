"""The calibration file: one YAML for a pair. Described in docs/calibration.md and config/calibration/schema.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.pair import DEPTH_PIXELS, Calibration
from rgbt_seg_ros.pipeline.calibration.typed import Table, read_yaml

FORMAT = "rgbt_seg_ros/calibration"
VERSION = 1

IMAGES = ("raw", "rectified")
_KEYS = (
    "format",
    "version",
    "rgb",
    "thermal",
    "extrinsic",
    "homography",
    "plane_distance",
    "time_offset",
    "depth",
    "provenance",
)
_CAMERA_KEYS = ("frame_id", "serial", "width", "height", "images", "distortion_model", "K", "D", "R", "P")
_EXTRINSIC_KEYS = ("target_frame", "source_frame", "T_rgb_thermal")


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file.

    Raises:
        CalibrationError: The file is not there, not YAML, of another format or version, or holds a key that is unknown, missing
            or wrong; the sentence names the file and the key.
    """
    table = read_yaml(path, "calibration file")
    if "format" not in table or table.data["format"] != FORMAT:
        raise table.error(
            "format",
            f"not '{FORMAT}'; files of other tools are imported by rgbt-seg calibrate, see docs/calibration.md",
        )
    version = table.whole("version")
    if version != VERSION:
        raise table.error("version", f"{version}, and this release reads {VERSION}")
    table.known(_KEYS)
    rgb, thermal = _camera(table.table("rgb")), _camera(table.table("thermal"))
    transform = _extrinsic(table.table("extrinsic"), rgb, thermal) if "extrinsic" in table else None
    depth_pixels = DEPTH_PIXELS[0]
    if "depth" in table:
        depth = table.table("depth")
        depth.known(("pixels",))
        depth_pixels = depth.choice("pixels", DEPTH_PIXELS, depth_pixels)
    homography = None
    if "homography" in table:
        inner = table.table("homography")
        inner.known(("H_rgb_thermal",))
        homography = inner.matrix("H_rgb_thermal", 3, 3)
    try:
        return Calibration(
            rgb=rgb,
            thermal=thermal,
            t_rgb_thermal=transform,
            h_rgb_thermal=homography,
            plane_distance=table.number("plane_distance") if "plane_distance" in table else None,
            time_offset=table.number("time_offset", 0.0),
            depth_pixels=depth_pixels,
            provenance=_provenance(table.table("provenance")) if "provenance" in table else {},
        )
    except CalibrationError as error:
        raise CalibrationError(error if str(error).startswith(f"{path}:") else f"{path}: {error}") from error


def _camera(table: Table) -> CameraModel:
    table.known(_CAMERA_KEYS)
    try:
        return CameraModel(
            size=(table.whole("height"), table.whole("width")),
            k=table.matrix("K", 3, 3) if "K" in table else None,
            distortion_model=table.choice("distortion_model", tuple(DISTORTION_MODELS), "plumb_bob"),
            d=table.numbers("D") if "D" in table else (),
            r=table.matrix("R", 3, 3) if "R" in table else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
            p=table.matrix("P", 3, 4) if "P" in table else None,
            rectified=table.choice("images", IMAGES, "raw") == "rectified",
            frame_id=table.text("frame_id", ""),
            serial=table.text("serial", ""),
        )
    except CalibrationError as error:
        prefix = f"{table.path}: "
        raise CalibrationError(error if str(error).startswith(prefix) else f"{prefix}{table.key}.{error}") from error


def _extrinsic(table: Table, rgb: CameraModel, thermal: CameraModel) -> tuple[float, ...]:
    table.known(_EXTRINSIC_KEYS)
    for key, camera, name in (("target_frame", rgb, "rgb"), ("source_frame", thermal, "thermal")):
        frame = table.text(key, "")
        if frame and camera.frame_id and frame != camera.frame_id:
            raise table.error(
                key, f"'{frame}' is not {name}.frame_id '{camera.frame_id}': the extrinsic is of another pair of frames"
            )
    return table.matrix("T_rgb_thermal", 4, 4)


def _provenance(table: Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.data.items():
        if isinstance(value, list):
            found[name] = list(table.numbers(name))
        elif isinstance(value, str):
            found[name] = value
        else:
            found[name] = value if isinstance(value, int) and not isinstance(value, bool) else table.number(name)
    return found


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
