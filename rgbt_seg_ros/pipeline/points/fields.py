"""The bytes of sensor_msgs/PointCloud2 as numpy arrays, in both directions and without ROS.

``sensor_msgs_py.point_cloud2`` reads and writes the same (a test compares them). It is not used here because it ignores the
padding at the end of rows, swaps big-endian data in the message itself, and turns organised clouds on their side.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array, IntArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.words import counted

FORMATS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""Numpy's name of each datatype of sensor_msgs/PointField, INT8 to FLOAT64."""

UINT8, FLOAT32 = 2, 7

MAX_POINTS = 4_000_000
"""Points of a cloud above which it is refused; the largest LiDARs have 0.3 million, a stereo camera of 1080p has 2 million."""

_DATATYPES = {np.dtype(name): number for number, name in FORMATS.items()}


class CloudError(UserError):
    """A point cloud that cannot be used."""


@dataclass(frozen=True)
class Field:
    """One field of a point: its name, byte offset, datatype of sensor_msgs/PointField, and number of elements."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class CloudData:
    """The parts of a PointCloud2 message other than its header.

    Attributes:
        height: Rows of an organised cloud; 1 otherwise.
        width: Points of a row.
        fields: What is in a point.
        point_step: Bytes from a point to the next.
        data: uint8, all points, without padding at the end of rows; in the machine's own byte order.
        dense: Whether the coordinates of every point are finite.
    """

    height: int
    width: int
    fields: tuple[Field, ...]
    point_step: int
    data: ByteArray
    dense: bool

    @property
    def row_step(self) -> int:
        """Bytes of a row."""
        return self.point_step * self.width


def check_cloud(message: Any, topic: str, max_points: int = MAX_POINTS) -> None:
    """Refuse a PointCloud2 message that ``read_cloud`` could not read, at no cost per point.

    Raises:
        CloudError: It is empty or too large, has no x, y and z, or its steps, fields and data do not go together.
    """
    count = message.width * message.height
    of = f"{topic}: a cloud of {message.width}x{message.height} points (WxH)"
    if not count:
        raise CloudError(f"{of}; expected at least one point")
    if count > max_points:
        raise CloudError(f"{of} has {counted(count, 'point')}; expected at most {max_points} (points.max_points)")
    # Of fields with one name the first counts.
    types = {field.name: (FORMATS.get(field.datatype), field.count) for field in reversed(message.fields)}
    wrong = [name for name in "xyz" if types.get(name) not in (("f4", 1), ("f8", 1))]
    if wrong:
        has = ", ".join(field.name for field in message.fields) or "none"
        raise CloudError(
            f"{topic}: no field {wrong[0]} of one float32 or float64 (its fields: {has}); expected a cloud with x, y and z"
        )
    beyond = [
        field.name
        for field in message.fields
        if field.datatype in FORMATS
        and field.offset + np.dtype(FORMATS[field.datatype]).itemsize * field.count > message.point_step
    ]
    if beyond:
        raise CloudError(f"{topic}: field {beyond[0]} ends after the point_step of {message.point_step} bytes")
    row = message.width * message.point_step
    if message.height > 1 and message.row_step < row:
        raise CloudError(f"{topic}: row_step {message.row_step} is less than width x point_step = {row} bytes")
    needed = (message.height - 1) * message.row_step + row
    if len(message.data) < needed:
        raise CloudError(f"{topic}: {len(message.data)} bytes of data; expected {needed} for {of.partition(': ')[2]}")


def read_cloud(message: Any, topic: str, max_points: int = MAX_POINTS) -> AnyArray:
    """Return a (height, width) structured view of a PointCloud2 message, in the byte order of the message; nothing is copied.

    Fields of a datatype that PointField does not define, without a name, without elements or of a name that came before are
    left out.

    Raises:
        CloudError: As ``check_cloud``.
    """
    check_cloud(message, topic, max_points)
    order = ">" if message.is_bigendian else "<"
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    for field in message.fields:
        if field.datatype in FORMATS and field.name and field.count and field.name not in names:
            kind = order + FORMATS[field.datatype]
            names.append(field.name)
            formats.append(kind if field.count == 1 else (kind, (field.count,)))
            offsets.append(field.offset)
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": message.point_step})
    points: AnyArray = np.ndarray(
        (message.height, message.width),
        dtype,
        memoryview(message.data).cast("B"),
        strides=(message.row_step, message.point_step),
    )
    return points


def coordinates(points: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return x, y and z of a structured array, each (N,) of float32 or float64 in the machine's own byte order."""
    x, y, z = (np.ascontiguousarray(points[name].ravel(), dtype=points[name].dtype.newbyteorder("=")) for name in "xyz")
    return x, y, z


class Painted(NamedTuple):
    """What is added to each point; all (N,).

    Attributes:
        label: uint8, the class id; 255 where the point was not seen.
        confidence: uint8.
        rgb: uint32, 0x00RRGGBB.
        temperature: float32, K; NaN where it is not known. None: the scale of the thermal camera is not known.
    """

    label: ByteArray
    confidence: ByteArray
    rgb: AnyArray
    temperature: Float32Array | None


def painted_cloud(points: AnyArray, painted: Painted, chosen: IntArray | None) -> CloudData:
    """Return a cloud of points with what was painted on them.

    Args:
        points: (H, W) structured, as of ``read_cloud``. Its fields ``rgb``, ``rgba``, ``label``, ``confidence`` and
            ``temperature`` are replaced.
        painted: Of the H·W points.
        chosen: Indices of the points to keep, in rising order; None: all. Of an organised cloud the others become NaN, so
            that it stays organised; of another they are dropped.
    """
    height, width = points.shape
    new = _new_fields(painted.temperature is not None)
    replaced = {name for name, _ in new} | {"rgba"}
    kept = [name for name in points.dtype.names or () if name not in replaced]
    formats = [(points.dtype[name].newbyteorder("="), points.dtype[name].shape) for name in kept]
    dtype = np.dtype(
        [(name, kind.base, shape) for name, (kind, shape) in zip(kept, formats, strict=True)] + new, align=True
    )
    source, values = points.reshape(-1), painted
    count, hole = source.size, None
    if chosen is not None and height == 1:
        source = source[chosen]
        values = Painted(*(None if part is None else part[chosen] for part in painted))  # type: ignore[arg-type]
        width = count = len(chosen)
    elif chosen is not None:
        hole = np.ones(count, np.bool_)
        hole[chosen] = False
    out = np.empty(count, dtype)
    for name in kept:
        out[name] = source[name]
    out["label"], out["confidence"], out["rgb"] = values.label, values.confidence, values.rgb.view(np.float32)
    if values.temperature is not None:
        out["temperature"] = values.temperature
    if hole is not None:
        for name in "xyz":
            out[name][hole] = np.nan
    dense = hole is None and bool(np.isfinite(out["x"] + out["y"] + out["z"]).all())
    return CloudData(height, width, fields_of(dtype), dtype.itemsize, out.view(np.uint8).reshape(-1), dense)


def _new_fields(temperature: bool) -> list[tuple[str, Any]]:
    """Return names and dtypes of what is added to a point; bytes last, so that the floats stay aligned."""
    warm: list[tuple[str, Any]] = [("temperature", np.float32)] if temperature else []
    return [("rgb", np.float32), *warm, ("label", np.uint8), ("confidence", np.uint8)]


def fields_of(dtype: Any) -> tuple[Field, ...]:
    """Return the fields of a structured dtype whose parts are of the datatypes of PointField."""
    found = []
    for name in dtype.names:
        kind, offset = dtype.fields[name][:2]
        found.append(Field(name, offset, _DATATYPES[kind.base], int(np.prod(kind.shape, dtype=int))))
    return tuple(found)


def organised_cloud(planes: Sequence[Float32Array], painted: Painted) -> CloudData:
    """Return an organised cloud of an image's pixels.

    Args:
        planes: x, y, z, each (H, W) float32 in m; NaN where a pixel has no point.
        painted: Of the pixels; each (H, W).
    """
    height, width = planes[0].shape
    zero = np.zeros((height, width), np.uint8)
    # One pass of cv2.merge puts 4 bytes of each image next to each other: a quarter of the time of filling a structured array.
    marks = np.asarray(cv2.merge([painted.label, painted.confidence, zero, zero])).view(np.int32)[..., 0]
    parts = [*(plane.view(np.int32) for plane in planes), painted.rgb.view(np.int32)]
    names = ["x", "y", "z", "rgb"]
    if painted.temperature is not None:
        parts.append(painted.temperature.view(np.int32))
        names.append("temperature")
    data = np.asarray(cv2.merge([*parts, marks]))
    offset = 4 * len(parts)
    fields = (
        *(Field(name, 4 * index, FLOAT32) for index, name in enumerate(names)),
        Field("label", offset, UINT8),
        Field("confidence", offset + 1, UINT8),
    )
    return CloudData(height, width, fields, offset + 4, data.view(np.uint8).reshape(-1), False)


def packed_rgb(rgb: ByteArray) -> AnyArray:
    """Return (H, W) uint32 of (H, W, 3) uint8 RGB: 0x00RRGGBB, as the field ``rgb`` has it in PCL and RViz."""
    packed: AnyArray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)).view(np.uint32)[..., 0]
    # An opaque alpha would make a NaN of the float that the field is.
    packed &= np.uint32(0x00FFFFFF)
    return packed


assert sys.byteorder == "little", "the packing above is for little-endian machines"
