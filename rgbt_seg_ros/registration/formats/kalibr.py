"""Kalibr's camchain YAML to a calibration and back (github.com/ethz-asl/kalibr, wiki: YAML formats), and OpenVINS' form of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.decoding import decode
from rgbt_seg_ros.pipeline.calibration.calibration_file import Matrix44, rows
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel, check_rotation, within
from rgbt_seg_ros.pipeline.calibration.camera_info import CameraDescription, camera_of
from rgbt_seg_ros.pipeline.calibration.rig import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse
from rgbt_seg_ros.registration.formats.camera_file import known, read_content
from rgbt_seg_ros.yaml_text import dump_yaml

_CHAINED = "T_cn_cnm1"

_CAMERA = r"(?:cam\d*|camera|cn|c)"
_TO_CAMERA = re.compile(rf"T_{_CAMERA}_(\w+)", re.IGNORECASE)
_FROM_CAMERA = re.compile(rf"T_(\w+?)_{_CAMERA}", re.IGNORECASE)
_BETWEEN_CAMERAS = re.compile(r"(?:cam|camera|cn|c|cnm)\d*", re.IGNORECASE)


@dataclass(frozen=True)
class _Camera:
    intrinsics: tuple[float, float, float, float]
    resolution: tuple[float, float]
    distortion_model: Literal["radtan", "equidistant", "none"]
    distortion_coeffs: tuple[float, ...] = ()
    camera_model: Literal["pinhole"] = "pinhole"
    timeshift_cam_imu: float | None = None
    rostopic: str = ""


@dataclass(frozen=True)
class _Transform:
    matrix: Matrix44


def read_kalibr(
    path: str | Path, rgb: str = "cam0", thermal: str = "cam1", rgb_frame: str = "", thermal_frame: str = ""
) -> Calibration:
    """Read a camchain.

    The extrinsic is composed of the ``T_cn_cnm1`` between the two cameras (points of the camera before into this one), or, where
    the chain has none, of what leads from both cameras to one other frame: ``T_cam_imu``, or ``T_imu_cam`` as in OpenVINS, and
    the same with another frame in place of the IMU. A transform under another name is not read, and a note says so.
    ``timeshift_cam_imu`` (t_imu = t_cam + shift) of both gives the time offset; where only one has it, the offset is not known
    and 0. Notes are keys of the provenance that end in ``_note``.

    Args:
        path: The file.
        rgb: Name of the RGB camera in it.
        thermal: Name of the thermal camera in it.
        rgb_frame: Optical frame of the RGB images; the file holds none.
        thermal_frame: Optical frame of the thermal images.

    Raises:
        CalibrationError: The file is not there or not a camchain, or a camera is of a model that ROS does not have.
    """
    chain = read_content(path)
    with within(str(path)):
        for name in (rgb, thermal):
            if not isinstance(chain.get(name), Mapping):
                names = ", ".join(str(key) for key in chain)
                raise CalibrationError(
                    name, "missing, or without keys", f"one of the cameras of this camchain: {names}"
                )
        if rgb == thermal:
            raise CalibrationError(rgb, "named as both the RGB and the thermal camera")
        entries = {}
        for name in (rgb, thermal):
            with within(name, between="."):
                entries[name] = known(_Camera, chain[name])
        offset, notes = _time_offset(entries)
        topics = {f"{role}_topic": entries[name].rostopic for role, name in (("rgb", rgb), ("thermal", thermal))}
        cameras = [_camera(entries[name], name, frame) for name, frame in ((rgb, rgb_frame), (thermal, thermal_frame))]
        transform = _extrinsic(chain, rgb, thermal)
        unread = [] if transform is not None else _unread(chain, rgb, thermal)
        if unread:
            notes["extrinsic_note"] = f"no extrinsic is known to follow from {', '.join(unread)}, so none is read"
        return Calibration(
            rgb=cameras[0],
            thermal=cameras[1],
            t_rgb_thermal=None if transform is None else flat(transform),
            time_offset=offset,
            provenance={"source": "Kalibr", **{key: topic for key, topic in topics.items() if topic}, **notes},
        )


def _time_offset(entries: Mapping[str, _Camera]) -> tuple[float, dict[str, str]]:
    """Return the time offset (s) of the RGB and the thermal camera's entries, and a note where one shift is missing."""
    shifts = [entry.timeshift_cam_imu for entry in entries.values()]
    lacking = [name for name, entry in entries.items() if entry.timeshift_cam_imu is None]
    if shifts[0] is not None and shifts[1] is not None:
        return shifts[1] - shifts[0], {}
    note = f"timeshift_cam_imu is missing for {lacking[0]}, so time_offset is not known and left at 0"
    return 0.0, {"time_offset_note": note} if len(lacking) == 1 else {}


def _camera(entry: _Camera, name: str, frame: str) -> CameraModel:
    fx, fy, cx, cy = entry.intrinsics
    for index, side in enumerate(entry.resolution):
        if not side.is_integer():
            raise CalibrationError(f"{name}.resolution[{index}]", f"{side:g} is not a whole number")
    width, height = map(int, entry.resolution)
    described = CameraDescription(
        width=width,
        height=height,
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        distortion_model=entry.distortion_model,
        d=() if entry.distortion_model == "none" else entry.distortion_coeffs,
        frame_id=frame,
    )
    with within(name, {"K": "intrinsics", "size": "resolution", "D": "distortion_coeffs"}, between="."):
        return camera_of(described)


def _extrinsic(chain: Mapping[str, Any], rgb: str, thermal: str) -> FloatArray | None:
    """Return T_rgb_thermal; None where the file has nothing between the two cameras that is known here."""
    names = [name for name in chain if isinstance(name, str) and name.startswith("cam")]
    names.sort(key=lambda name: (len(name), name))
    first, last = sorted((names.index(rgb), names.index(thermal))) if {rgb, thermal} <= set(names) else (0, 0)
    steps = names[first + 1 : last + 1]
    if steps and all(isinstance(chain[name], Mapping) and _CHAINED in chain[name] for name in steps):
        total = np.eye(4)
        for name in steps:
            total = _transform(chain[name][_CHAINED], f"{name}.{_CHAINED}") @ total
        # total takes points of the earlier camera into the later one.
        return total if names.index(rgb) > names.index(thermal) else inverse(total)
    for key in _transforms(chain[rgb]):
        if key not in chain[thermal]:
            continue
        ends = [_transform(chain[name][key], f"{name}.{key}") for name in (rgb, thermal)]
        to, back = _TO_CAMERA.fullmatch(key), _FROM_CAMERA.fullmatch(key)
        if to and not _BETWEEN_CAMERAS.fullmatch(to[1]):
            return np.asarray(ends[0] @ inverse(ends[1]))
        if back and not _BETWEEN_CAMERAS.fullmatch(back[1]):
            return np.asarray(inverse(ends[0]) @ ends[1])
    return None


def _transforms(entry: Mapping[Any, Any]) -> list[str]:
    """Return the keys that hold a transform, by their names."""
    return [key for key in entry if isinstance(key, str) and key.startswith("T_")]


def _unread(chain: Mapping[str, Any], rgb: str, thermal: str) -> list[str]:
    """Return the keys of transforms, in their cameras and beside them."""
    inside = [f"{name}.{key}" for name in (rgb, thermal) for key in _transforms(chain[name])]
    return inside + _transforms(chain)


def _transform(value: Any, key: str) -> FloatArray:
    if isinstance(value, Mapping) and (value.get("rows"), value.get("cols")) == (4, 4) and "data" in value:
        data = value["data"]  # OpenCV's matrices
        value = [data[at : at + 4] for at in range(0, len(data), 4)] if isinstance(data, list) else data
    with within("", {f"matrix{rest}": f"{key}{rest}" for rest in _PLACES}):
        matrix = np.array(decode(_Transform, {"matrix": value}).matrix)
    if matrix[3].tolist() != [0, 0, 0, 1]:
        raise CalibrationError(key, f"the last row is {matrix[3].tolist()}", "0 0 0 1")
    check_rotation(matrix[:3, :3], key)
    return matrix


_PLACES = ("", *(f"[{row}]" for row in range(4)), *(f"[{row}][{column}]" for row in range(4) for column in range(4)))


def format_kalibr(calibration: Calibration) -> str:
    """Return a camchain with the RGB camera as cam0 and the thermal camera as cam1.

    Raises:
        CalibrationError: A camera that Kalibr's models cannot hold: no K, k3, rational_polynomial, rectified images.
    """
    content = {"cam0": _entry(calibration.rgb, "rgb"), "cam1": _entry(calibration.thermal, "thermal")}
    content["cam0"]["cam_overlaps"], content["cam1"]["cam_overlaps"] = [1], [0]
    if calibration.t_rgb_thermal is not None:
        content["cam1"]["T_cn_cnm1"] = rows(flat(inverse(calibration.extrinsic)), 4)
    if calibration.time_offset:
        content["cam0"]["timeshift_cam_imu"], content["cam1"]["timeshift_cam_imu"] = 0.0, calibration.time_offset
    return dump_yaml(content)


def _entry(camera: CameraModel, role: str) -> dict[str, Any]:
    if camera.k is None:
        raise CalibrationError(f"{role}.K", "missing, and a camchain needs it")
    if camera.rectified:
        raise CalibrationError(f"{role}.images", "'rectified', and a camchain describes raw images")
    if camera.distortion_model == "rational_polynomial" or any(camera.d[4:]):
        raise CalibrationError(
            f"{role}.D",
            f"Kalibr has k1 k2 p1 p2 (radtan) and equidistant, not {camera.distortion_model} with {len(camera.d)} coefficients",
        )
    fx, _, cx, _, fy, cy = camera.k[:6]
    if camera.distortion_model == "equidistant":
        model, coefficients = "equidistant", camera.d or (0.0,) * 4
    else:
        model, coefficients = "radtan", camera.d[:4] or (0.0,) * 4
    return {
        "camera_model": "pinhole",
        "intrinsics": [fx, fy, cx, cy],
        "distortion_model": model,
        "distortion_coeffs": list(coefficients),
        "resolution": [camera.size[1], camera.size[0]],
        "rostopic": f"/{role}/image_raw",
    }
