"""Camera models and extrinsics from ROS messages, without ROS: a message is anything with the fields of its definition."""

from __future__ import annotations

from typing import Any

from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.pair import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, transform_from


def camera_from_info(info: Any, topic: str, rectified: bool = False) -> CameraModel:
    """Return the camera of a sensor_msgs/CameraInfo.

    Args:
        info: The message.
        topic: Names it in errors, such as ``rgb/camera_info``.
        rectified: Whether the images that go with it are rectified (``image_rect``).

    Raises:
        CalibrationError: It is not calibrated (K[0] is 0), binned or a region of interest, or of another distortion model.
    """
    if max(info.binning_x, info.binning_y) > 1:
        raise CalibrationError(
            f"{topic}: binning {info.binning_x}x{info.binning_y}: an image without binning was expected"
        )
    roi = info.roi
    region = (roi.x_offset, roi.y_offset, roi.width or info.width, roi.height or info.height)
    if region != (0, 0, info.width, info.height):
        raise CalibrationError(f"{topic}: a region of interest {region}: the whole image was expected")
    coefficients = tuple(float(value) for value in info.d)
    rotation, projection = tuple(map(float, info.r)), tuple(map(float, info.p))
    size = (int(info.height), int(info.width))
    try:
        return CameraModel(
            size=size,
            k=tuple(float(value) for value in info.k),
            # Drivers of cameras without distortion leave the model empty.
            distortion_model=info.distortion_model or "plumb_bob",
            d=coefficients,
            r=rotation if any(rotation) else CameraModel(size).r,
            p=projection if any(projection) else None,
            rectified=rectified,
            frame_id=info.header.frame_id,
        )
    except CalibrationError as error:
        raise CalibrationError(f"{topic}: {error}") from error


def calibration_from_messages(
    rgb_info: Any, thermal_info: Any, transform: Any, rectified: bool = False, plane_distance: float | None = None
) -> Calibration:
    """Return the calibration of two CameraInfo and a geometry_msgs/TransformStamped.

    Args:
        rgb_info: Of the RGB camera.
        thermal_info: Of the thermal camera.
        transform: What tf2's ``lookup_transform(target=RGB frame, source=thermal frame)`` answers.
        rectified: Whether the images are rectified.
        plane_distance: m, for mode ``plane``.

    Raises:
        CalibrationError: As ``camera_from_info``, or the transform is of another pair of frames, or not rigid.
    """
    rgb = camera_from_info(rgb_info, "rgb/camera_info", rectified)
    thermal = camera_from_info(thermal_info, "thermal/camera_info", rectified)
    frames = (transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/"))
    expected = (rgb.frame_id.lstrip("/"), thermal.frame_id.lstrip("/"))
    if frames != expected:
        raise CalibrationError(
            f"transform: from '{frames[1]}' to '{frames[0]}', but the images are of '{expected[1]}' and '{expected[0]}'"
        )
    move, turn = transform.transform.translation, transform.transform.rotation
    matrix = transform_from((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w))
    return Calibration(
        rgb=rgb,
        thermal=thermal,
        t_rgb_thermal=flat(matrix),
        plane_distance=plane_distance,
        provenance={"source": "camera_info and tf"},
    )
