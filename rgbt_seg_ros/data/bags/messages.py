"""Messages for bags, built without ROS: images, calibration, static transforms, the class table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.data.bags.reader import NANOSECONDS
from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.network.spec import ClassInfo

_ENCODINGS = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}


def make(type_: str, **fields: Any) -> Any:
    """Return a message of a type such as ``sensor_msgs/msg/Image``; fields that are not given are zero or empty.

    Numbers of an array field may be given as any sequence.

    Raises:
        TypeError: A field is given that the type has not.
    """
    values = dict(fields)
    for name, (kind, detail) in typestore().fielddefs[type_][1]:
        if name not in values:
            values[name] = _empty(kind.name, detail)
        elif kind.name in ("ARRAY", "SEQUENCE") and _is_number(detail[0]):
            values[name] = np.asarray(values[name], detail[0][1][0])
    construct: Any = typestore().types[type_]
    return construct(**values)


def _empty(kind: str, detail: Any) -> Any:
    if kind == "NAME":
        return make(detail)
    if kind == "BASE":
        return {"string": "", "bool": False}.get(detail[0], 0.0 if detail[0].startswith("float") else 0)
    element, length = detail
    if _is_number(element):
        return np.zeros(length if kind == "ARRAY" else 0, element[1][0])
    return [_empty(element[0].name, element[1]) for _ in range(length if kind == "ARRAY" else 0)]


def _is_number(element: Any) -> bool:
    return element[0].name == "BASE" and element[1][0] not in ("string", "bool")


def header(stamp: int, frame_id: str) -> Any:
    """Return a std_msgs/Header of a stamp in ns."""
    return make("std_msgs/msg/Header", stamp=time(stamp), frame_id=frame_id)


def time(stamp: int) -> Any:
    """Return a builtin_interfaces/Time of ns."""
    seconds, nanoseconds = divmod(stamp, NANOSECONDS)
    return make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)


def image(head: Any, pixels: AnyArray) -> Any:
    """Return a sensor_msgs/Image: rgb8 of (H, W, 3) uint8; mono8, mono16 or 32FC1 of (H, W) uint8, uint16 or float32."""
    rows = np.ascontiguousarray(pixels)
    return make(
        "sensor_msgs/msg/Image",
        header=head,
        height=rows.shape[0],
        width=rows.shape[1],
        encoding="rgb8" if rows.ndim == 3 else _ENCODINGS[rows.dtype.name],
        is_bigendian=int(sys.byteorder == "big"),
        step=rows.strides[0],
        data=rows.reshape(-1).view(np.uint8),
    )


def label_info(head: Any, classes: Sequence[ClassInfo]) -> Any:
    """Return a vision_msgs/LabelInfo of a class table."""
    table = [make("vision_msgs/msg/VisionClass", class_id=entry.id, class_name=entry.name) for entry in classes]
    return make("vision_msgs/msg/LabelInfo", header=head, class_map=table)


def transforms(entries: Sequence[Any]) -> Any:
    """Return a tf2_msgs/TFMessage of geometry_msgs/TransformStamped messages."""
    return make("tf2_msgs/msg/TFMessage", transforms=list(entries))
