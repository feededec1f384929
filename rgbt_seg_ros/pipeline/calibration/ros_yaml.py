"""The YAML that ROS camera_calibration writes and camera_info_manager reads: one file a camera, to and from a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel, FloatArray
from rgbt_seg_ros.pipeline.calibration.pair import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, quaternion_of
from rgbt_seg_ros.pipeline.calibration.typed import Table, read_yaml


def read_ros_pair(
    rgb: str | Path, thermal: str | Path, rgb_frame: str = "", thermal_frame: str = "", rectified: bool = False
) -> Calibration:
    """Read two camera_calibration files.

    Where the two were calibrated as a stereo pair, the last column of one P holds the baseline, and the extrinsic follows from
    both R and P; else there is none.

    Args:
        rgb: File of the RGB camera.
        thermal: File of the thermal camera.
        rgb_frame: Optical frame of the RGB images; the files hold none.
        thermal_frame: Optical frame of the thermal images.
        rectified: Whether the images that will arrive are rectified (``image_rect``).

    Raises:
        CalibrationError: A file is not there, or no such file; the sentence names file and key.
    """
    cameras, names = [], {}
    for role, path, frame in (("rgb", rgb, rgb_frame), ("thermal", thermal, thermal_frame)):
        table = read_yaml(path, "camera_calibration file")
        cameras.append(_camera(table, frame, rectified))
        names[f"{role}_camera_name"] = table.text("camera_name", "")
    provenance = {"source": "camera_calibration", **{key: name for key, name in names.items() if name}}
    transform = stereo_extrinsic(*cameras)
    return Calibration(
        rgb=cameras[0],
        thermal=cameras[1],
        t_rgb_thermal=None if transform is None else flat(transform),
        provenance=provenance,
    )


def _camera(table: Table, frame: str, rectified: bool) -> CameraModel:
    def data(name: str, count: int) -> tuple[float, ...] | None:
        return table.table(name).numbers("data", count) if name in table else None

    coefficients = table.table("distortion_coefficients").numbers("data")
    model = table.choice("distortion_model", tuple(DISTORTION_MODELS))
    size = (table.whole("image_height"), table.whole("image_width"))
    k = table.table("camera_matrix").numbers("data", 9)
    r, p = data("rectification_matrix", 9), data("projection_matrix", 12)
    try:
        return CameraModel(
            size=size,
            k=k,
            distortion_model=model,
            d=coefficients,
            r=r or CameraModel(size).r,
            p=p,
            rectified=rectified,
            frame_id=frame,
        )
    except CalibrationError as error:
        key, _, problem = str(error).partition(": ")
        raise table.error(_FILE_KEYS.get(key, key), problem) from error


_FILE_KEYS = {
    "K": "camera_matrix.data",
    "D": "distortion_coefficients.data",
    "R": "rectification_matrix.data",
    "P": "projection_matrix.data",
    "size": "image_height and image_width",
}


def stereo_extrinsic(rgb: CameraModel, thermal: CameraModel) -> FloatArray | None:
    """Return T_rgb_thermal (4, 4) that R and P of a stereo pair hold, None where neither P has a baseline.

    A point X of the common rectified frame is seen by camera i at K'(X + t_i) with t_i = (P[3]/P[0], P[7]/P[5], 0), and
    R_i·p_i = X + t_i (sensor_msgs/CameraInfo), so p_rgb = R_rgbᵀ(R_thermal·p_thermal − t_thermal + t_rgb).
    """
    shifts = [_shift(camera) for camera in (rgb, thermal)]
    if not any(shift.any() for shift in shifts):
        return None
    transform = np.eye(4)
    transform[:3, :3] = rgb.rotation.T @ thermal.rotation
    transform[:3, 3] = rgb.rotation.T @ (shifts[0] - shifts[1])
    return transform


def _shift(camera: CameraModel) -> FloatArray:
    if camera.p is None:
        return np.zeros(3)
    return np.array((camera.p[3] / camera.p[0], camera.p[7] / camera.p[5], 0.0))


def format_ros_pair(calibration: Calibration) -> tuple[str, str]:
    """Return the texts of the RGB and the thermal camera's camera_calibration files.

    These files hold no extrinsic, except as the rectification of a stereo pair: where R and P do not say it, it stands in the
    thermal file as a comment, as the command that publishes it to TF.

    Raises:
        CalibrationError: The intrinsics of a camera are not known.
    """
    rgb = _format(calibration.rgb, "rgb")
    thermal = _format(calibration.thermal, "thermal")
    stereo = stereo_extrinsic(calibration.rgb, calibration.thermal)
    if calibration.t_rgb_thermal is None:
        return rgb, thermal
    if stereo is not None and np.allclose(stereo, calibration.extrinsic, atol=1e-6):
        return rgb, thermal
    return rgb, f"# {static_transform_command(calibration)}\n{thermal}"


def static_transform_command(calibration: Calibration) -> str:
    """Return the shell command that publishes the extrinsic to TF: the thermal frame as a child of the RGB frame.

    Raises:
        CalibrationError: There is no extrinsic.
    """
    x, y, z = (float(value) for value in calibration.extrinsic[:3, 3])
    qx, qy, qz, qw = quaternion_of(calibration.extrinsic[:3, :3])
    parent = calibration.rgb.frame_id or "rgb_camera_optical_frame"
    child = calibration.thermal.frame_id or "thermal_camera_optical_frame"
    return (
        f"ros2 run tf2_ros static_transform_publisher --x {x:.9g} --y {y:.9g} --z {z:.9g} "
        f"--qx {qx:.9g} --qy {qy:.9g} --qz {qz:.9g} --qw {qw:.9g} --frame-id {parent} --child-frame-id {child}"
    )


def _format(camera: CameraModel, role: str) -> str:
    import yaml

    if camera.k is None:
        raise CalibrationError(f"{role}.K: missing, and a camera_calibration file cannot do without it")

    def entry(values: tuple[float, ...], rows: int) -> dict[str, Any]:
        return {"rows": rows, "cols": len(values) // rows, "data": [float(value) for value in values]}

    coefficients = camera.d or (0.0,) * DISTORTION_MODELS[camera.distortion_model][-1]
    k = camera.k
    content = {
        "image_width": camera.size[1],
        "image_height": camera.size[0],
        "camera_name": camera.serial or role,
        "camera_matrix": entry(k, 3),
        "distortion_model": camera.distortion_model,
        "distortion_coefficients": entry(coefficients, 1),
        "rectification_matrix": entry(camera.r, 3),
        "projection_matrix": entry(camera.p or (*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0), 3),
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)
