"""The YAML that ROS camera_calibration writes and camera_info_manager reads: a file for each of the two cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.rig import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, quaternion_of
from rgbt_seg_ros.registration.formats.camera_file import read_camera
from rgbt_seg_ros.yaml_text import dump_yaml

_ZEROS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
"""Distortion model → as how many zeros no distortion is written."""

_ROUNDED = 1e-3
"""px; what rounding in the files may make of two equal numbers of P."""


def read_camera_calibration(
    rgb: str | Path, thermal: str | Path, rgb_frame: str = "", thermal_frame: str = "", rectified: bool = False
) -> Calibration:
    """Read two files of one camera each, as ``camera_file.read_camera`` takes them.

    Where the two were calibrated as a stereo pair, the last column of one P holds the baseline, and the extrinsic follows from
    both R and P; otherwise there is none. Keys of the provenance that end in ``_note`` say what was assumed.

    Args:
        rgb: File of the RGB camera.
        thermal: File of the thermal camera.
        rgb_frame: Optical frame of the RGB images; the files hold none.
        thermal_frame: Optical frame of the thermal images.
        rectified: Whether the images that will arrive are rectified (``image_rect``).

    Raises:
        CalibrationError: As ``read_camera``.
    """
    files = {"rgb": read_camera(rgb, rgb_frame, rectified), "thermal": read_camera(thermal, thermal_frame, rectified)}
    provenance = {"source": "camera_calibration"}
    for role, file in files.items():
        if file.name:
            provenance[f"{role}_camera_name"] = file.name
        if file.note:
            provenance[f"{role}_note"] = f"{role}: {file.note}"
    transform = stereo_extrinsic(files["rgb"].camera, files["thermal"].camera)
    if transform is not None:
        provenance["extrinsic_note"] = "the extrinsic is taken from R and P of both files, which are a stereo pair's"
    return Calibration(
        rgb=files["rgb"].camera,
        thermal=files["thermal"].camera,
        t_rgb_thermal=None if transform is None else flat(transform),
        provenance=provenance,
    )


def stereo_extrinsic(rgb: CameraModel, thermal: CameraModel) -> FloatArray | None:
    """Return T_rgb_thermal (4, 4) that R and P of a stereo pair hold, None where these two are not a stereo pair.

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


def format_camera_calibration(calibration: Calibration) -> tuple[str, str]:
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
    if camera.k is None:
        raise CalibrationError(f"{role}.K", "missing, and a camera_calibration file needs it")

    def entry(values: tuple[float, ...], rows: int) -> dict[str, Any]:
        return {"rows": rows, "cols": len(values) // rows, "data": [float(value) for value in values]}

    coefficients = camera.d or (0.0,) * _ZEROS[camera.distortion_model]
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
    return dump_yaml(content)
