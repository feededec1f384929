"""Arrays to ROS image messages; ``pipeline.images`` goes the other way."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import ByteArray


def image_message(header: Header, pixels: ByteArray) -> Image:
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
