"""Image messages to arrays, without copying where their layout allows it (sensor_msgs/Image, sensor_msgs/CompressedImage).

A message is anything with the fields of its definition: one of rclpy, or one read from a bag without ROS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.pipeline.content import Note, ignore, judge_colours, judge_format, judge_jpeg, pass_on
from rgbt_seg_ros.pipeline.health.picture import digest
from rgbt_seg_ros.pipeline.image_data import (
    MAX_PIXELS,
    TRANSPORTED,
    ImageDataError,
    check_image,
    decode_image,
    depth_png,
    depth_values,
)
from rgbt_seg_ros.pipeline.pairing.stamps import Stream
from rgbt_seg_ros.pipeline.raw_images import ConversionError, check_colours, colours, fail, raw_pixels, view

__all__ = [
    "ConversionError",
    "Note",
    "check_depth",
    "check_rgb",
    "check_thermal",
    "is_compressed",
    "message_digest",
    "stamp_ns",
    "to_depth",
    "to_rgb",
    "to_thermal",
    "view",
]

_Result = TypeVar("_Result")

_THERMAL: dict[str, npt.DTypeLike] = {
    "mono8": np.uint8,
    "8UC1": np.uint8,
    "mono16": np.uint16,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}
_DEPTH: dict[str, npt.DTypeLike] = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
_COMPRESSED_DEPTH = "expected compressedDepth as PNG of a depth image in 16UC1 (mm) or 32FC1 (m)"
_PALETTES = {"rgb8": cv2.COLOR_RGB2GRAY, "bgr8": cv2.COLOR_BGR2GRAY}


def stamp_ns(header: Any) -> int:
    """Return a header's stamp in integer nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def is_compressed(message: Any) -> bool:
    """Return whether a message is a sensor_msgs/CompressedImage."""
    return hasattr(message, "format")


def check_rgb(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an RGB message that ``to_rgb`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if is_compressed(message):
        _read(message, topic, check_image, max_pixels)
    else:
        check_colours(message, topic, max_pixels)


def check_thermal(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a thermal message that ``to_thermal`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if is_compressed(message):
        _read(message, topic, check_image, max_pixels)
    elif message.encoding in _PALETTES:
        view(message, topic, 3, np.uint8, max_pixels)
    elif message.encoding in _THERMAL:
        view(message, topic, 1, _THERMAL[message.encoding], max_pixels)
    else:
        raise fail(
            message, topic, f"expected one of {', '.join(_THERMAL)}, or a palette in {', '.join(sorted(_PALETTES))}"
        )


def check_depth(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a depth message that ``to_depth`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    if is_compressed(message):
        _read(message, topic, check_image, max_pixels)
        if message.format.partition(";")[0].strip() not in _DEPTH:
            raise ConversionError(f"{topic}: compressed '{message.format}': {_COMPRESSED_DEPTH}")
        return
    if message.encoding not in _DEPTH:
        raise fail(message, topic, "expected a depth image in 16UC1 (mm) or 32FC1 (m)")
    view(message, topic, 1, _DEPTH[message.encoding], max_pixels)


def message_digest(
    message: Any, topic: str, stream: Stream, crop: tuple[int, int] = (0, 0), max_pixels: int = MAX_PIXELS
) -> int:
    """Return a number that tells the picture of a message from any other, without converting or decoding it.

    Args:
        message: One that ``check_rgb`` or ``check_thermal`` lets pass.
        topic: For errors.
        stream: Which of the two.
        crop: ``thermal.crop_top`` and ``thermal.crop_bottom``: rows of telemetry, which change where the picture is frozen. Of a
            compressed image they are part of it.
        max_pixels: The most pixels it may have.
    """
    if is_compressed(message):
        return digest(np.frombuffer(message.data, np.uint8))
    if stream == "rgb":
        return digest(raw_pixels(message, topic, max_pixels))
    channels, dtype = (3, np.uint8) if message.encoding in _PALETTES else (1, _THERMAL[message.encoding])
    pixels = view(message, topic, channels, dtype, max_pixels)
    rows = pixels[crop[0] : pixels.shape[0] - crop[1]]
    return digest(rows if rows.size else pixels)


def to_depth(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> AnyArray:
    """Return (H, W) uint16 in mm or float32 in m (REP 118), in native byte order; a view where the message has that already.

    Raises:
        ConversionError: As ``check_depth``, or the compressed data cannot be decoded.
    """
    check_depth(message, topic, max_pixels)
    if is_compressed(message):
        depth = _decode(message, topic, max_pixels, ignore)
        if depth.ndim != 2 or depth.dtype != _DEPTH[message.format.partition(";")[0].strip()]:
            raise ConversionError(f"{topic}: compressed '{message.format}': {_COMPRESSED_DEPTH}")
        return depth
    return _native(view(message, topic, 1, _DEPTH[message.encoding], max_pixels))


def to_rgb(message: Any, topic: str, max_pixels: int = MAX_PIXELS, note: Note = ignore) -> ByteArray:
    """Return (H, W, 3) uint8 RGB: a view of an rgb8 message, one pass over most others.

    Raises:
        ConversionError: As ``check_rgb``, or the compressed data cannot be decoded.
    """
    if not is_compressed(message):
        return colours(message, topic, max_pixels)
    image = _decode(message, topic, max_pixels, note)
    if image.ndim == 3:
        return image
    if image.dtype == np.float32:
        raise ConversionError(f"{topic}: compressed '{message.format}': expected a picture of the RGB camera")
    grey = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def to_thermal(
    message: Any,
    topic: str,
    max_pixels: int = MAX_PIXELS,
    note: Note = ignore,
) -> AnyArray:
    """Return (H, W) uint8, uint16 or float32 in native byte order; a view where the message has that already.

    A picture in colour is turned to grey, which loses the order of temperatures with some palettes. That, values that the
    transport reduced to 8 bits and holes in a JPEG are noted.

    Raises:
        ConversionError: As ``check_thermal``, or the compressed data cannot be decoded.
    """
    if is_compressed(message):
        image = _decode(message, topic, max_pixels, note)
        pass_on(judge_format(topic, message.format, image), note)
        if image.ndim == 2:
            return image
        return _grey(image, topic, cv2.COLOR_RGB2GRAY, note)
    check_thermal(message, topic, max_pixels)
    if message.encoding in _PALETTES:
        return _grey(view(message, topic, 3, np.uint8, max_pixels), topic, _PALETTES[message.encoding], note)
    return _native(view(message, topic, 1, _THERMAL[message.encoding], max_pixels))


def _native(pixels: AnyArray) -> AnyArray:
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _grey(image: AnyArray, topic: str, code: int, note: Note) -> ByteArray:
    pass_on(judge_colours(topic, image), note)
    return np.asarray(cv2.cvtColor(image, code), dtype=np.uint8)


def _read(
    message: Any, topic: str, read: Callable[[memoryview, int, tuple[str, ...]], _Result], max_pixels: int
) -> _Result:
    """Have the data of a compressed message read within bounds; what is refused is named by its topic and format."""
    data = memoryview(message.data).cast("B")
    formats: tuple[str, ...] = TRANSPORTED
    try:
        if "compressedDepth" in message.format:
            data, formats = depth_png(message.format, data), ("PNG",)
        if not data:
            raise ImageDataError("no data")
        return read(data, max_pixels, formats)
    except ImageDataError as error:
        raise ConversionError(f"{topic}: compressed '{message.format}': {error}") from error


def _decode(message: Any, topic: str, max_pixels: int, note: Note) -> AnyArray:
    image = _read(message, topic, decode_image, max_pixels)
    if "compressedDepth" in message.format and message.format.startswith("32FC1"):
        try:
            return depth_values(memoryview(message.data).cast("B"), image)
        except ImageDataError as error:
            raise ConversionError(f"{topic}: compressed '{message.format}': {error}") from error
    if bytes(message.data[:2]) == b"\xff\xd8":
        pass_on(judge_jpeg(topic, image), note)
    return image
