"""Kalibr's camchain YAML to a calibration and back (github.com/ethz-asl/kalibr, wiki: YAML formats)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.pipeline.calibration.calibration_file import rows
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel, FloatArray, check_rotation
from rgbt_seg_ros.pipeline.calibration.pair import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse
from rgbt_seg_ros.pipeline.calibration.typed import Table, read_yaml

_MODELS = {"radtan": "plumb_bob", "equidistant": "equidistant", "none": "plumb_bob"}

_SHIFT = "timeshift_cam_imu"


def read_kalibr(
    path: str | Path, rgb: str = "cam0", thermal: str = "cam1", rgb_frame: str = "", thermal_frame: str = ""
) -> Calibration:
    """Read a camchain.

    The extrinsic is composed of the ``T_cn_cnm1`` between the two cameras (points of the camera before into this one), or, where
    the chain has none, of both ``T_cam_imu``. ``timeshift_cam_imu`` (t_imu = t_cam + shift) of both gives the time offset; where
    only one has it, nothing is known of the other, and the offset is 0 (``time_offset_note`` in the provenance says so).

    Args:
        path: The file.
        rgb: Name of the RGB camera in it.
        thermal: Name of the thermal camera in it.
        rgb_frame: Optical frame of the RGB images; the file holds none.
        thermal_frame: Optical frame of the thermal images.

    Raises:
        CalibrationError: The file is not there or no camchain, or a camera is of a model that ROS does not have.
    """
    chain = read_yaml(path, "Kalibr camchain")
    tables = {}
    for name in (rgb, thermal):
        if name not in chain:
            raise chain.error(name, f"missing; this camchain has {', '.join(chain.data)}")
        tables[name] = chain.table(name)
    if rgb == thermal:
        raise chain.error(rgb, "named as both the RGB and the thermal camera")
    offset, notes = _time_offset(tables[rgb], tables[thermal])
    topics = {f"{role}_topic": tables[name].text("rostopic", "") for role, name in (("rgb", rgb), ("thermal", thermal))}
    cameras = _camera(tables[rgb], rgb_frame), _camera(tables[thermal], thermal_frame)
    transform = _extrinsic(chain, rgb, thermal)
    try:
        return Calibration(
            rgb=cameras[0],
            thermal=cameras[1],
            t_rgb_thermal=None if transform is None else flat(transform),
            time_offset=offset,
            provenance={"source": "Kalibr", **{key: topic for key, topic in topics.items() if topic}, **notes},
        )
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _time_offset(rgb: Table, thermal: Table) -> tuple[float, dict[str, str]]:
    """Return the time offset (s), and a note for the provenance where a camera's shift is missing."""
    lacking = [table.key for table in (rgb, thermal) if _SHIFT not in table]
    if not lacking:
        return thermal.number(_SHIFT) - rgb.number(_SHIFT), {}
    note = f"{_SHIFT} is missing for {lacking[0]}, so time_offset is not known and left at 0"
    return 0.0, {"time_offset_note": note} if len(lacking) == 1 else {}


def _camera(table: Table, frame: str) -> CameraModel:
    table.choice("camera_model", ("pinhole",))
    fx, fy, cx, cy = table.numbers("intrinsics", 4)
    width, height = table.numbers("resolution", 2)
    for index, side in enumerate((width, height)):
        if not side.is_integer():
            raise table.error(f"resolution[{index}]", f"{side:g} is no whole number")
    model = table.choice("distortion_model", tuple(_MODELS))
    coefficients = () if model == "none" else table.numbers("distortion_coeffs", 4)
    try:
        return CameraModel(
            size=(int(height), int(width)),
            k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
            distortion_model=_MODELS[model],
            d=coefficients,
            frame_id=frame,
        )
    except CalibrationError as error:
        key, _, problem = str(error).partition(": ")
        raise table.error({"K": "intrinsics", "size": "resolution"}.get(key, key), problem) from error


def _extrinsic(chain: Table, rgb: str, thermal: str) -> FloatArray | None:
    """Return T_rgb_thermal, None where the file has neither a chain nor an IMU between them."""
    names = [name for name in chain.data if name.startswith("cam")]
    names.sort(key=lambda name: (len(name), name))
    first, last = sorted((names.index(rgb), names.index(thermal))) if {rgb, thermal} <= set(names) else (0, 0)
    steps = [chain.table(name) for name in names[first + 1 : last + 1]]
    if steps and all("T_cn_cnm1" in step for step in steps):
        total = np.eye(4)
        for step in steps:
            total = _transform(step, "T_cn_cnm1") @ total
        # total takes points of the earlier camera into the later one.
        return total if names.index(rgb) > names.index(thermal) else inverse(total)
    ends = chain.table(rgb), chain.table(thermal)
    if all("T_cam_imu" in end for end in ends):
        return _transform(ends[0], "T_cam_imu") @ inverse(_transform(ends[1], "T_cam_imu"))
    return None


def _transform(table: Table, key: str) -> FloatArray:
    matrix = np.array(table.matrix(key, 4, 4)).reshape(4, 4)
    if matrix[3].tolist() != [0, 0, 0, 1]:
        raise table.error(key, f"the last row is {[float(value) for value in matrix[3]]}, 0 0 0 1 was expected")
    try:
        check_rotation(matrix[:3, :3], key)
    except CalibrationError as error:
        raise table.error(key, str(error).partition(": ")[2]) from error
    return matrix


def format_kalibr(calibration: Calibration) -> str:
    """Return a camchain with the RGB camera as cam0 and the thermal camera as cam1.

    Raises:
        CalibrationError: A camera that Kalibr's models cannot hold: no K, k3, rational_polynomial, rectified images.
    """
    import yaml

    content = {"cam0": _entry(calibration.rgb, "rgb"), "cam1": _entry(calibration.thermal, "thermal")}
    content["cam0"]["cam_overlaps"], content["cam1"]["cam_overlaps"] = [1], [0]
    if calibration.t_rgb_thermal is not None:
        content["cam1"]["T_cn_cnm1"] = rows(flat(inverse(calibration.extrinsic)), 4)
    if calibration.time_offset:
        content["cam0"]["timeshift_cam_imu"], content["cam1"]["timeshift_cam_imu"] = 0.0, calibration.time_offset
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)


def _entry(camera: CameraModel, role: str) -> dict[str, Any]:
    if camera.k is None:
        raise CalibrationError(f"{role}.K: missing, and a camchain cannot do without it")
    if camera.rectified:
        raise CalibrationError(f"{role}.images: 'rectified', and a camchain describes raw images")
    if camera.distortion_model == "rational_polynomial" or any(camera.d[4:]):
        raise CalibrationError(
            f"{role}.D: Kalibr has k1 k2 p1 p2 (radtan) and equidistant, "
            f"not {camera.distortion_model} with {len(camera.d)} coefficients"
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
