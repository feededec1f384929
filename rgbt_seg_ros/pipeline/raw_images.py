"""Raw image messages (sensor_msgs/Image) to arrays: views of their memory, and colours converted with OpenCV.

cv_bridge is not needed: what its C++ code converts to rgb8 is here, by the same OpenCV conversions, and so are the encodings of
sensor_msgs that it refuses (uyvy and yuyv by their new names, nv21, nv24). Of YUV, BT.601 with luma 16..235 is meant, as there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS


class ConversionError(UserError):
    """An image message that cannot be used; the sentence names topic, encoding and size."""


@dataclass(frozen=True)
class _Layout:
    """How the pixels of a colour encoding lie in memory.

    Attributes:
        code: OpenCV's conversion to RGB; None: the pixels are RGB.
        channels: Values per pixel.
        bits: 8 or 16.
        data_rows: Rows of data for two rows of pixels; more than 2 where the colour lies in a plane of its own.
        even: (H, W): of what height and width have to be multiples.
    """

    code: int | None
    channels: int = 1
    bits: int = 8
    data_rows: int = 2
    even: tuple[int, int] = (1, 1)


# OpenCV names a Bayer pattern after the second row and column of its tile, ROS after the first.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_UYVY = _Layout(cv2.COLOR_YUV2RGB_UYVY, 2, even=(1, 2))
_YUYV = _Layout(cv2.COLOR_YUV2RGB_YUY2, 2, even=(1, 2))
_COLOURS = {
    "rgb8": _Layout(None, 3),
    "bgr8": _Layout(cv2.COLOR_BGR2RGB, 3),
    "rgba8": _Layout(cv2.COLOR_RGBA2RGB, 4),
    "bgra8": _Layout(cv2.COLOR_BGRA2RGB, 4),
    "mono8": _Layout(cv2.COLOR_GRAY2RGB),
    **{f"bayer_{name}8": _Layout(code) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": _Layout(code, bits=16) for name, code in _BAYER.items()},
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": _Layout(cv2.COLOR_YUV2RGB_NV12, data_rows=3, even=(2, 2)),
    "nv21": _Layout(cv2.COLOR_YUV2RGB_NV21, data_rows=3, even=(2, 2)),
    "nv24": _Layout(cv2.COLOR_YUV2RGB_UYVY, data_rows=6),
}


def fail(message: Any, topic: str, problem: str) -> ConversionError:
    """Return the error of a raw message."""
    return ConversionError(f"{topic}: {message.encoding or 'no encoding'} {message.height}x{message.width}: {problem}")


def view(
    message: Any, topic: str, channels: int, dtype: npt.DTypeLike, max_pixels: int = MAX_PIXELS, rows: int | None = None
) -> AnyArray:
    """View an image's data as (H, W) or (H, W, channels) without a copy, honouring step and is_bigendian.

    Args:
        message: A sensor_msgs/Image.
        topic: For errors.
        channels: Values per pixel.
        dtype: Of one value.
        max_pixels: The most pixels it may have.
        rows: Rows of data, where they are not the image's, as with planes of colour; None: the image's.

    Returns:
        An array over the message's own memory; rows may be padded, and its byte order is the message's.

    Raises:
        ConversionError: No pixels, too many, a step shorter than a row, or less data than step·rows.
    """
    kind = np.dtype(dtype)
    row = message.width * channels * kind.itemsize
    if message.width < 1 or message.height < 1:
        raise fail(message, topic, "an image with pixels was expected")
    if message.width * message.height > max_pixels:
        count = message.width * message.height
        raise fail(message, topic, f"{count} pixels; expected at most {max_pixels} (input.max_pixels)")
    rows = message.height if rows is None else rows
    if message.step < row:
        raise fail(message, topic, f"step {message.step} is shorter than a row of {row} bytes")
    if len(message.data) < message.step * rows:
        counted = "height" if rows == message.height else f"{rows} rows"
        raise fail(
            message, topic, f"{len(message.data)} bytes of data, {message.step * rows} (step x {counted}) expected"
        )
    if kind.itemsize > 1 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        kind = kind.newbyteorder()
    shape: tuple[int, ...] = (rows, message.width)
    strides: tuple[int, ...] = (message.step, channels * kind.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    pixels: AnyArray = np.ndarray(shape, kind, memoryview(message.data), 0, strides)
    return pixels


def check_colours(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a raw message that ``colours`` could not convert, at no cost per pixel.

    Raises:
        ConversionError: Encoding, size, step or data are wrong.
    """
    _pixels(message, topic, max_pixels)


def colours(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> ByteArray:
    """Return (H, W, 3) uint8 RGB: a view of an rgb8 message, one pass over most others.

    Raises:
        ConversionError: As ``check_colours``.
    """
    pixels, layout = _pixels(message, topic, max_pixels)
    if message.encoding == "nv24":
        return _nv24(pixels)
    if layout.code is None:
        return pixels
    rgb = cv2.cvtColor(pixels.astype(pixels.dtype.newbyteorder("="), copy=False), layout.code)
    # All 16 bits become 8, as cv_bridge does.
    return np.asarray(rgb if layout.bits == 8 else cv2.convertScaleAbs(rgb, alpha=255 / 65535), dtype=np.uint8)


def raw_pixels(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> AnyArray:
    """Return a view of the pixels of a colour message as they lie in it, of planes as (rows, W); raises as ``check_colours``."""
    return _pixels(message, topic, max_pixels)[0]


def _pixels(message: Any, topic: str, max_pixels: int) -> tuple[AnyArray, _Layout]:
    layout = _COLOURS.get(message.encoding)
    if layout is None:
        raise fail(message, topic, f"expected one of {', '.join(_COLOURS)}")
    if message.height % layout.even[0] or message.width % layout.even[1]:
        raise fail(message, topic, f"expected a multiple of {layout.even[0]}x{layout.even[1]} (HxW) pixels")
    rows = message.height * layout.data_rows // 2
    return view(message, topic, layout.channels, f"u{layout.bits // 8}", max_pixels, rows), layout


def _nv24(planes: AnyArray) -> ByteArray:
    """Convert luma (H, W), then U and V of each pixel side by side (H, 2W), all as (3H, W).

    OpenCV has no conversion of it. As UYVY, in which two pixels share U and V, each pixel is given twice.
    """
    height = planes.shape[0] // 3
    luma, chroma = planes[:height], planes[height:].reshape(height, -1)
    twice = np.stack((chroma[:, ::2], luma, chroma[:, 1::2], luma), 2).reshape(height, -1, 2)
    return np.ascontiguousarray(cv2.cvtColor(twice, cv2.COLOR_YUV2RGB_UYVY)[:, ::2])
