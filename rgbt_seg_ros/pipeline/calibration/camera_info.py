"""Camera models and extrinsics from ROS messages, without ROS: a message is anything with the fields of its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel, FloatArray
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


def extrinsic_from_transform(transform: Any, rgb_frame: str, thermal_frame: str) -> FloatArray:
    """Return T_rgb_thermal (4, 4), m, of a geometry_msgs/TransformStamped.

    Args:
        transform: What tf2's ``lookup_transform(target=RGB frame, source=thermal frame)`` answers.
        rgb_frame: Optical frame of the RGB images.
        thermal_frame: Optical frame of the thermal images.

    Raises:
        CalibrationError: The transform is of another pair of frames, or not rigid.
    """
    frames = (transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/"))
    expected = (rgb_frame.lstrip("/"), thermal_frame.lstrip("/"))
    if frames != expected:
        raise CalibrationError(
            f"transform: from '{frames[1]}' to '{frames[0]}', but the images are of '{expected[1]}' and '{expected[0]}'"
        )
    move, turn = transform.transform.translation, transform.transform.rotation
    return transform_from((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w))


def calibration_of(
    rgb: CameraModel, thermal: CameraModel, transform: Any | None, file: Calibration | None = None
) -> Calibration:
    """Return the calibration of two cameras and a transform; what it does not need of them comes from a file.

    Args:
        rgb: The RGB camera.
        thermal: The thermal camera.
        transform: As of ``extrinsic_from_transform``; None: the file's extrinsic.
        file: A calibration that lacks lenses or extrinsic; its distances and time offset stay. None: there is none.

    Raises:
        CalibrationError: As ``extrinsic_from_transform``, or a camera is another than the file's, by frame or size.
    """
    base = file or Calibration(rgb, thermal, provenance={"source": "camera_info and tf"})
    base.check_cameras(rgb.frame_id, thermal.frame_id, rgb.serial, thermal.serial)
    base.check_sizes(rgb.size, thermal.size)
    rgb, thermal = _named(rgb, base.rgb), _named(thermal, base.thermal)
    extrinsic = base.t_rgb_thermal
    if transform is not None:
        extrinsic = flat(extrinsic_from_transform(transform, rgb.frame_id, thermal.frame_id))
    return replace(base, rgb=rgb, thermal=thermal, t_rgb_thermal=extrinsic)


def _named(camera: CameraModel, known: CameraModel) -> CameraModel:
    """Return a camera with the names of another where it has none itself."""
    return replace(camera, frame_id=camera.frame_id or known.frame_id, serial=camera.serial or known.serial)
