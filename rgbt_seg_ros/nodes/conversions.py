"""Arrays to ROS image messages; ``pipeline.images`` goes the other way."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.pipeline.points.fields import CloudData


def image_message(header: Header, pixels: ByteArray) -> Image:
    """Return a mono8 or rgb8 message of (H, W) or (H, W, 3) uint8, step = width·channels."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    message = Image()
    message.header = header
    message.height, message.width = int(pixels.shape[0]), int(pixels.shape[1])
    message.encoding = "mono8" if channels == 1 else "rgb8"
    message.step = message.width * channels
    message.data = byte_array(pixels)
    return message


def compressed_message(header: Header, data: ByteArray, kind: str) -> CompressedImage:
    """Return a message of the (N,) uint8 data of a PNG or JPEG; ``kind`` is what image_transport says of it as its format."""
    message = CompressedImage(header=header, format=kind)
    message.data = byte_array(data)
    return message


def cloud_message(header: Header, cloud: CloudData) -> PointCloud2:
    """Return the message of a point cloud."""
    message = PointCloud2(
        header=header,
        height=cloud.height,
        width=cloud.width,
        fields=[
            PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=field.count)
            for field in cloud.fields
        ],
        is_bigendian=False,
        point_step=cloud.point_step,
        row_step=cloud.row_step,
        is_dense=cloud.dense,
    )
    message.data = byte_array(cloud.data)
    return message


def byte_array(values: AnyArray) -> array.array[int]:
    """Return the bytes of an array as what the field of a message takes at no cost.

    Assigning anything but an array.array makes rclpy check every element, tens of milliseconds for one image.
    """
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data
