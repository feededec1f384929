"""Between ROS image messages and arrays (``pipeline.images``), with cv_bridge for Bayer and YUV where it is installed."""

from __future__ import annotations

import array

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from rgbt_seg_ros.nodes.bridge import find_bridge
from rgbt_seg_ros.pipeline import images


def check_rgb(message: Image | CompressedImage, topic: str) -> None:
    """Refuse what ``to_rgb`` could not convert, at no cost per pixel; raises ConversionError."""
    images.check_rgb(message, topic, find_bridge())


def to_rgb(message: Image | CompressedImage, topic: str) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB as ``pipeline.images.to_rgb`` does; raises ConversionError."""
    return images.to_rgb(message, topic, find_bridge())


def image_message(header: Header, pixels: npt.NDArray[np.uint8]) -> Image:
    """Return a mono8 or rgb8 message of (H, W) or (H, W, 3) uint8, step = width·channels."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    message = Image()
    message.header = header
    message.height, message.width = int(pixels.shape[0]), int(pixels.shape[1])
    message.encoding = "mono8" if channels == 1 else "rgb8"
    message.step = message.width * channels
    # Assigning anything but an array.array makes rclpy check every element, tens of milliseconds for one image.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message.data = data
    return message
