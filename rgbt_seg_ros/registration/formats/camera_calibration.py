"""The YAML that ROS camera_calibration writes and camera_info_manager reads: one file a camera, to and from a pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel, FloatArray
from rgbt_seg_ros.pipeline.calibration.pair import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, quaternion_of
from rgbt_seg_ros.pipeline.calibration.typed import Table, read_yaml

_ROUNDED = 1e-3
"""px; what rounding in the files may make of two equal numbers of P."""


def read_ros_pair(
    rgb: str | Path, thermal: str | Path, rgb_frame: str = "", thermal_frame: str = "", rectified: bool = False
) -> Calibration:
    """Read two camera_calibration files.

    Where the two were calibrated as a stereo pair, the last column of one P holds the baseline, and the extrinsic follows from
    both R and P (``extrinsic_note`` in the provenance says so); else there is none.

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
    if transform is not None:
        provenance["extrinsic_note"] = "the extrinsic is taken from R and P of both files, as of a stereo pair"
    return Calibration(
        rgb=cameras[0],
        thermal=cameras[1],
        t_rgb_thermal=None if transform is None else flat(transform),
        provenance=provenance,
    )


def _camera(table: Table, frame: str, rectified: bool) -> CameraModel:
    def data(name: str, count: int) -> tuple[float, ...] | None:
        return table.table(name).numbers("data", count) if name in table else None

    if "camera_matrix" not in table:
        raise table.error(
            "camera_matrix",
            "missing; a camera_calibration file, one of two for the RGB and the thermal camera, was expected",
        )
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
    """Return T_rgb_thermal (4, 4) that R and P of a stereo pair hold, None where these two are no such pair.

    A pair has a baseline, and its rectified images are one grid: equal focal lengths, and equal rows (columns, for cameras above
    each other). One camera of another pair has a baseline in P too; then P of the other does not go with it.

    A point X of the common rectified frame is seen by camera i at K'(X + t_i) with t_i = (P[3]/P[0], P[7]/P[5], 0), and
    R_i·p_i = X + t_i (sensor_msgs/CameraInfo), so p_rgb = R_rgbᵀ(R_thermal·p_thermal − t_thermal + t_rgb).
    """
    shifts = [_shift(camera) for camera in (rgb, thermal)]
    baseline = shifts[0] - shifts[1]
    if rgb.p is None or thermal.p is None or not baseline.any():
        return None
    shared = [0, 5, 6 if abs(baseline[0]) >= abs(baseline[1]) else 2]
    if not np.allclose(np.take(rgb.p, shared), np.take(thermal.p, shared), rtol=1e-6, atol=_ROUNDED):
        return None
    transform = np.eye(4)
    transform[:3, :3] = rgb.rotation.T @ thermal.rotation
    transform[:3, 3] = rgb.rotation.T @ baseline
    return transform


def _shift(camera: CameraModel) -> FloatArray:
    if camera.p is None:
        return np.zeros(3)
    return np.array((camera.p[3] / camera.p[0], camera.p[7] / camera.p[5], 0.0))


def holds_extrinsic(calibration: Calibration) -> bool:
    """Return whether R and P of the cameras say the calibration's extrinsic, so that a pair of ROS files keeps it."""
    stereo = stereo_extrinsic(calibration.rgb, calibration.thermal)
    return (
        stereo is not None
        and calibration.t_rgb_thermal is not None
        and np.allclose(stereo, calibration.extrinsic, atol=1e-6)
    )


def contradicts_extrinsic(calibration: Calibration) -> bool:
    """Return whether R and P of the cameras say another extrinsic than the calibration's."""
    stereo = stereo_extrinsic(calibration.rgb, calibration.thermal)
    return stereo is not None and calibration.t_rgb_thermal is not None and not holds_extrinsic(calibration)


def _alone(camera: CameraModel) -> CameraModel:
    """Return the camera without what ties it to another: P's baseline, and R, which images that are rectified have to keep."""
    p = None if camera.p is None else (*camera.p[:3], 0.0, *camera.p[4:7], 0.0, *camera.p[8:])
    return replace(camera, p=p, r=camera.r if camera.rectified else CameraModel(camera.size).r)


def format_ros_pair(calibration: Calibration) -> tuple[str, str]:
    """Return the texts of the RGB and the thermal camera's camera_calibration files.

    These files hold no extrinsic, except as the rectification of a stereo pair: where R and P do not say it, it stands in the
    thermal file as a comment, as the command that publishes it to TF. Where R and P say another one, P's baseline is left
    out, and R of images that are not rectified.

    Raises:
        CalibrationError: The intrinsics of a camera are not known.
    """
    cameras = calibration.rgb, calibration.thermal
    if contradicts_extrinsic(calibration):
        cameras = _alone(calibration.rgb), _alone(calibration.thermal)
    rgb, thermal = _format(cameras[0], "rgb"), _format(cameras[1], "thermal")
    if calibration.t_rgb_thermal is None or holds_extrinsic(calibration):
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
