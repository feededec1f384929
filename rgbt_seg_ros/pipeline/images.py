"""Image messages to arrays, without copying where their layout allows it (sensor_msgs/Image, sensor_msgs/CompressedImage).

A message is anything with the fields of its definition: one of rclpy, or one read from a bag without ROS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

Bridge = Callable[[Any], npt.NDArray[np.uint8]]
"""Turns a Bayer or YUV message into (H, W, 3) uint8 RGB: cv_bridge, where it is installed."""

# encoding → channels, OpenCV conversion to RGB (None: it is RGB)
_RGB = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
_THERMAL: dict[str, npt.DTypeLike] = {
    "mono8": np.uint8,
    "8UC1": np.uint8,
    "mono16": np.uint16,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}
_DEPTH: dict[str, npt.DTypeLike] = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
PALETTES = frozenset({"rgb8", "bgr8"})
"""Encodings that a thermal camera uses for a picture it has coloured itself."""

_THROUGH_CV_BRIDGE = ("bayer_", "yuv", "uyvy", "yuyv", "nv12", "nv21", "nv24")


class ConversionError(UserError):
    """An image message that cannot be used; the sentence names topic, encoding and size."""


def stamp_ns(header: Any) -> int:
    """Return a header's stamp in integer nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _fail(message: Any, topic: str, problem: str) -> ConversionError:
    return ConversionError(f"{topic}: {message.encoding or 'no encoding'} {message.width}x{message.height}: {problem}")


def view(message: Any, topic: str, channels: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """View an image's data as (H, W) or (H, W, channels) without a copy, honouring step and is_bigendian.

    Returns:
        An array over the message's own memory; rows may be padded, and its byte order is the message's.

    Raises:
        ConversionError: No pixels, a step shorter than a row, or less data than step·height.
    """
    kind = np.dtype(dtype)
    row = message.width * channels * kind.itemsize
    if message.width < 1 or message.height < 1:
        raise _fail(message, topic, "an image with pixels was expected")
    if message.step < row:
        raise _fail(message, topic, f"step {message.step} is shorter than a row of {row} bytes")
    if len(message.data) < message.step * message.height:
        raise _fail(
            message,
            topic,
            f"{len(message.data)} bytes of data, {message.step * message.height} (step x height) expected",
        )
    if kind.itemsize > 1 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        kind = kind.newbyteorder()
    shape: tuple[int, ...] = (message.height, message.width)
    strides: tuple[int, ...] = (message.step, channels * kind.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    pixels: npt.NDArray[Any] = np.ndarray(shape, kind, memoryview(message.data), 0, strides)
    return pixels


def is_compressed(message: Any) -> bool:
    """Return whether a message is a sensor_msgs/CompressedImage."""
    return hasattr(message, "format")


def check_rgb(message: Any, topic: str, bridge: Bridge | None = None) -> None:
    """Refuse an RGB message that ``to_rgb`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if is_compressed(message):
        _check_compressed(message, topic)
    elif message.encoding in _RGB:
        view(message, topic, _RGB[message.encoding][0], np.uint8)
    elif not (message.encoding.startswith(_THROUGH_CV_BRIDGE) and bridge):
        extra = "" if not message.encoding.startswith(_THROUGH_CV_BRIDGE) else "; this one needs cv_bridge"
        raise _fail(message, topic, f"expected one of {', '.join(_RGB)}{extra}")


def check_thermal(message: Any, topic: str) -> None:
    """Refuse a thermal message that ``to_thermal`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if is_compressed(message):
        _check_compressed(message, topic)
    elif message.encoding in PALETTES:
        view(message, topic, 3, np.uint8)
    elif message.encoding in _THERMAL:
        view(message, topic, 1, _THERMAL[message.encoding])
    else:
        raise _fail(
            message,
            topic,
            f"expected one of {', '.join(_THERMAL)}, or a palette in {', '.join(sorted(PALETTES))}",
        )


def check_depth(message: Any, topic: str) -> None:
    """Refuse a depth message that ``to_depth`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if message.encoding not in _DEPTH:
        raise _fail(message, topic, "expected a depth image in 16UC1 (mm) or 32FC1 (m)")
    view(message, topic, 1, _DEPTH[message.encoding])


def to_depth(message: Any, topic: str) -> npt.NDArray[Any]:
    """Return (H, W) uint16 in mm or float32 in m (REP 118), in native byte order; a view where the message has that already.

    Raises:
        ConversionError: As ``check_depth``.
    """
    check_depth(message, topic)
    pixels = view(message, topic, 1, _DEPTH[message.encoding])
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def to_rgb(message: Any, topic: str, bridge: Bridge | None = None) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB: a view of an rgb8 message, one pass over any other.

    Raises:
        ConversionError: As ``check_rgb``, or the compressed data cannot be decoded.
    """
    check_rgb(message, topic, bridge)
    if is_compressed(message):
        return np.asarray(cv2.cvtColor(_decode(message, topic, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)
    if message.encoding not in _RGB:
        assert bridge is not None
        return bridge(message)
    channels, code = _RGB[message.encoding]
    pixels = view(message, topic, channels, np.uint8)
    return np.asarray(pixels if code is None else cv2.cvtColor(pixels, code), dtype=np.uint8)


def to_thermal(message: Any, topic: str, on_palette: Callable[[str], None] = lambda encoding: None) -> npt.NDArray[Any]:
    """Return (H, W) uint8, uint16 or float32 in native byte order; a view where the message has that already.

    A colour palette is turned to grey: its order of temperatures is lost with some palettes, so the caller should warn;
    ``on_palette`` is told the encoding.

    Raises:
        ConversionError: As ``check_thermal``, or the compressed data cannot be decoded.
    """
    check_thermal(message, topic)
    if is_compressed(message):
        image = _decode(message, topic, cv2.IMREAD_UNCHANGED)
        if image.ndim == 2:
            return image
        on_palette(f"compressed '{message.format}' in colour")
        return np.asarray(cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY))
    if message.encoding in PALETTES:
        on_palette(message.encoding)
        code = cv2.COLOR_RGB2GRAY if message.encoding == "rgb8" else cv2.COLOR_BGR2GRAY
        return np.asarray(cv2.cvtColor(view(message, topic, 3, np.uint8), code))
    pixels = view(message, topic, 1, _THERMAL[message.encoding])
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _check_compressed(message: Any, topic: str) -> None:
    if not len(message.data):
        raise ConversionError(f"{topic}: compressed '{message.format}': no data")


def _decode(message: Any, topic: str, flags: int) -> npt.NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(message.data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ConversionError(
            f"{topic}: compressed '{message.format}', {len(message.data)} bytes: not a decodable image (JPEG or PNG expected)"
        )
    return np.asarray(image)
