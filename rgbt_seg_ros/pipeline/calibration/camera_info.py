"""The one reader of camera models: whatever describes a camera, a message or a file, becomes a ``CameraModel`` here.

The same content is then taken, or refused, alike: a distortion model that is empty, binning, a region of interest, intrinsics
that no camera has. Knows no ROS: a message is anything with the fields of its definition.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel, within
from rgbt_seg_ros.pipeline.calibration.rig import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat, transform_from

_SAME = {"fisheye": "equidistant", "radtan": "plumb_bob", "none": ""}
"""Other names of the distortion models, in drivers and in other tools."""

_SHORTEST = 1 / 50
"""Of the image's longer side: a shorter focal length would see more than 175°; in other units than pixels it is about 1."""

_SQUEEZED = 2.2
"""How many times longer one focal length may be than the other: 2 where every other row or column is left out."""


@dataclass(frozen=True)
class Region:
    """A region of interest, in pixels of the whole image; all 0: the whole image.

    Attributes:
        x_offset: First column.
        y_offset: First row.
        height: Rows; 0: all.
        width: Columns; 0: all.
        do_rectify: Whether the rectified image shows another window, which only image_proc knows.
    """

    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


@dataclass(frozen=True)
class CameraDescription:
    """A camera as sensor_msgs/CameraInfo has it; what a file leaves out is empty.

    Attributes:
        width: Columns of the whole image, before region and binning; K, R and P are for it.
        height: Rows.
        k: 9 numbers, row by row; empty: not known.
        distortion_model: As the file or the driver names it; empty: told by the number of coefficients.
        d: Its coefficients.
        r: 9 numbers; empty or zeros: unit.
        p: 12 numbers; empty or zeros: none.
        binning_x: Columns of the sensor in one pixel of the image; 0 as 1.
        binning_y: Rows, in the same way.
        roi: The part of the image that arrives.
        frame_id: Optical frame; empty: any.
        serial: Serial number; empty: any.
    """

    width: int
    height: int
    k: tuple[float, ...] = ()
    distortion_model: str = ""
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = ()
    p: tuple[float, ...] = ()
    binning_x: int = 0
    binning_y: int = 0
    roi: Region = field(default_factory=Region)
    frame_id: str = ""
    serial: str = ""


def camera_of(described: CameraDescription, rectified: bool = False) -> CameraModel:
    """Return the camera of the images that arrive: region and binning are applied to K and P.

    Args:
        described: The camera.
        rectified: Whether the images are rectified (``image_rect``).

    Raises:
        CalibrationError: A value that no camera has, by its key; intrinsics that are not plausible (``implausible``); a region
            or binning that cannot be applied.
    """
    model, coefficients = distortion_of(described.distortion_model, described.d)
    camera = CameraModel(
        size=(described.height, described.width),
        k=described.k or None,
        distortion_model=model,
        d=coefficients,
        r=described.r if any(described.r) else CameraModel((1, 1)).r,
        p=described.p if any(described.p) else None,
        rectified=rectified,
        frame_id=described.frame_id,
        serial=described.serial,
    )
    problem = implausible(camera)
    if problem:
        raise CalibrationError(*problem)
    return _binned(_windowed(camera, described.roi), described.binning_x, described.binning_y)


def distortion_of(model: str, coefficients: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """Return the distortion model and its coefficients.

    OpenCV, and with it ROS, reads the polynomials of plumb_bob and rational_polynomial alike and tells them apart by the number
    of coefficients alone; so does this, and a model that is not named is one of these two.
    """
    named = _SAME.get(model.lower(), model)
    if named in ("", "plumb_bob", "rational_polynomial"):
        by_number = next((name for name in DISTORTION_MODELS if len(coefficients) in DISTORTION_MODELS[name]), "")
        named = by_number or named or "plumb_bob"
    return named, coefficients


def implausible(camera: CameraModel) -> tuple[str, str] | None:
    """Return the key of intrinsics that no camera has and what is wrong with them; None: they are plausible.

    A driver without a calibration publishes zeros, ones or those of another camera. Zeros ``CameraModel`` refuses; what is
    judged here is possible as a matrix only.
    """
    height, width = camera.size
    if camera.k is not None:
        fx, fy, cx, cy = camera.k[0], camera.k[4], camera.k[2], camera.k[5]
        if not (-0.5 <= cx <= width - 0.5 and -0.5 <= cy <= height - 0.5):
            return "K", f"the principal point ({cx:g}, {cy:g}) lies outside the image of {height}x{width} (HxW)"
        if max(fx, fy) > _SQUEEZED * min(fx, fy):
            return "K", f"fx {fx:g} and fy {fy:g} differ more than the pixels of any camera are stretched"
    for key, values, down in (("K", camera.k, 4), ("P", camera.p if camera.rectified else None, 5)):
        if values is not None and min(values[0], values[down]) < _SHORTEST * max(camera.size):
            return key, (
                f"focal lengths of {values[0]:g} and {values[down]:g} px are too short for an image of {height}x{width} (HxW)"
            )
    return None


def _windowed(camera: CameraModel, roi: Region) -> CameraModel:
    height, width = camera.size
    size = roi.height or height, roi.width or width
    if (roi.x_offset, roi.y_offset, *size) == (0, 0, height, width):
        return camera
    inside = 0 <= roi.x_offset <= width - size[1] and 0 <= roi.y_offset <= height - size[0] and min(size) > 0
    if not inside:
        raise CalibrationError(
            "roi",
            f"{size[0]}x{size[1]} (HxW) from column {roi.x_offset} and row {roi.y_offset} is not a part of the image of "
            f"{height}x{width}",
        )
    if camera.rectified and roi.do_rectify:
        raise CalibrationError("roi", "do_rectify is true: the window in rectified images is not known", "whole images")
    return camera.window(roi.x_offset, roi.y_offset, size)


def _binned(camera: CameraModel, across: int, down: int) -> CameraModel:
    across, down = across or 1, down or 1
    height, width = camera.size
    size = height // down, width // across
    if min(across, down) < 1 or min(size) < 1:
        raise CalibrationError(
            "binning", f"{across}x{down} (x, y) leaves no pixel of an image of {height}x{width} (HxW)"
        )
    # Rows and columns that fill no pixel are left out at the end.
    return camera.window(0, 0, (size[0] * down, size[1] * across)).scaled(size)


def camera_from_info(info: Any, topic: str, rectified: bool = False) -> CameraModel:
    """Return the camera of a sensor_msgs/CameraInfo.

    Args:
        info: The message.
        topic: Names it in errors, such as ``rgb/camera_info``.
        rectified: Whether the images that go with it are rectified (``image_rect``).

    Raises:
        CalibrationError: As ``camera_of``, with the topic before the key.
    """
    roi = info.roi
    described = CameraDescription(
        width=int(info.width),
        height=int(info.height),
        k=tuple(map(float, info.k)),
        distortion_model=info.distortion_model,
        d=tuple(map(float, info.d)),
        r=tuple(map(float, info.r)),
        p=tuple(map(float, info.p)),
        binning_x=int(info.binning_x),
        binning_y=int(info.binning_y),
        roi=Region(
            int(roi.x_offset),
            int(roi.y_offset),
            int(roi.height),
            int(roi.width),
            bool(getattr(roi, "do_rectify", False)),
        ),
        frame_id=info.header.frame_id,
    )
    with within(topic):
        return camera_of(described, rectified)


def extrinsic_from_transform(transform: Any, rgb_frame: str, thermal_frame: str) -> FloatArray:
    """Return T_rgb_thermal (4, 4), m, of a geometry_msgs/TransformStamped.

    Args:
        transform: What tf2's ``lookup_transform(target=RGB frame, source=thermal frame)`` answers.
        rgb_frame: Optical frame of the RGB images.
        thermal_frame: Optical frame of the thermal images.

    Raises:
        CalibrationError: The transform is between other frames, or not rigid.
    """
    frames = (transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/"))
    expected = (rgb_frame.lstrip("/"), thermal_frame.lstrip("/"))
    if frames != expected:
        raise CalibrationError(
            "transform",
            f"from '{frames[1]}' to '{frames[0]}', but the images are from '{expected[1]}' and '{expected[0]}'",
        )
    move, turn = transform.transform.translation, transform.transform.rotation
    return transform_from((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w))


def calibration_of(
    rgb: CameraModel, thermal: CameraModel, transform: Any | None, file: Calibration | None = None
) -> Calibration:
    """Return the calibration of two cameras and a transform, completed from a file.

    Args:
        rgb: The RGB camera.
        thermal: The thermal camera.
        transform: As for ``extrinsic_from_transform``; None: the file's extrinsic.
        file: A calibration that lacks lenses or extrinsic; its distances and time offset stay. None: no file.

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
