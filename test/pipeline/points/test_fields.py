"""PointCloud2 messages to arrays and back, with the layouts that drivers send."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from rgbt_seg_ros.pipeline.points.fields import (
    CloudError,
    Field,
    Painted,
    coordinates,
    fields_of,
    organised_cloud,
    packed_rgb,
    painted_cloud,
    read_cloud,
)

LIDAR = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "ring", "normal"],
        "formats": ["f4", "f4", "f4", "f4", "u2", ("f4", (3,))],
        "offsets": [0, 4, 8, 16, 20, 24],
        "itemsize": 40,
    }
)


def random_points(shape, dtype=LIDAR, seed=0):
    rng, points = np.random.default_rng(seed), np.zeros(shape, dtype)
    for name in dtype.names:
        part = points[name]
        part[...] = rng.integers(0, 1000, part.shape) if part.dtype.kind == "u" else rng.normal(size=part.shape)
    return points


def message_of(points, row_padding=0, big=False):
    """A PointCloud2 of a (H, W) structured array, as a driver would send it."""
    height, width = points.shape
    fields = fields_of(points.dtype)
    dtype = points.dtype.newbyteorder(">") if big else points.dtype
    rows = [points[row].astype(dtype).tobytes() + b"\xab" * row_padding for row in range(height)]
    return SimpleNamespace(
        height=height,
        width=width,
        fields=list(fields),
        is_bigendian=big,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * width + row_padding,
        data=b"".join(rows),
        is_dense=True,
    )


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 24])
def test_every_field_is_read_whatever_the_padding_and_the_byte_order(big, padding):
    points = random_points((3, 5))
    read = read_cloud(message_of(points, padding, big), "points/input")
    assert read.shape == (3, 5)
    for name in LIDAR.names:
        np.testing.assert_array_equal(read[name], points[name])


def test_fields_of_unknown_types_without_names_or_named_twice_are_left_out():
    message = message_of(random_points((1, 4)))
    message.fields += [Field("future", 12, 42), Field("", 12, 2), Field("x", 12, 2), Field("none", 12, 2, 0)]
    assert read_cloud(message, "points/input").dtype.names == LIDAR.names


def without(name):
    return lambda message: message.fields.pop([field.name for field in message.fields].index(name))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            without("y"),
            "points/input: no field y of one float32 or float64 (its fields: x, z, intensity, ring, normal)",
        ),
        (lambda m: m.fields.__setitem__(0, Field("x", 0, 6)), "points/input: no field x of one float32 or float64"),
        (lambda m: m.fields.clear(), "points/input: no field x of one float32 or float64 (its fields: none)"),
        (lambda m: setattr(m, "width", 0), "points/input: a cloud of 0x3 points (WxH); expected at least one point"),
        (lambda m: setattr(m, "width", 10_000_000), "expected at most 4000000 (points.max_points)"),
        (lambda m: setattr(m, "point_step", 34), "field normal ends after the point_step of 34 bytes"),
        (lambda m: setattr(m, "row_step", 40), "row_step 40 is less than width x point_step = 200 bytes"),
        (lambda m: setattr(m, "data", m.data[:-1]), "599 bytes of data; expected 600 for a cloud of 5x3 points (WxH)"),
    ],
)
def test_a_cloud_that_cannot_be_read_is_refused_in_one_sentence(change, sentence):
    message = message_of(random_points((3, 5)))
    change(message)
    with pytest.raises(CloudError, match=re.escape(sentence)):
        read_cloud(message, "points/input")


def painted(count, temperature=True, shape=None):
    rng, shape = np.random.default_rng(1), shape or (count,)
    label = rng.integers(0, 9, shape, dtype=np.uint8)
    warm = rng.uniform(280, 310, shape).astype(np.float32) if temperature else None
    return Painted(label, label + np.uint8(100), packed_rgb(np.stack([label] * 3, -1).reshape(1, -1, 3))[0], warm)


@pytest.mark.parametrize("temperature", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_what_is_painted_is_added_to_the_fields_that_the_cloud_has(temperature, big):
    points = random_points((1, 50))
    marks = painted(50, temperature)
    cloud = painted_cloud(read_cloud(message_of(points, big=big), "points/input"), marks, None)
    names = [field.name for field in cloud.fields]
    added = ["rgb", "temperature", "label", "confidence"] if temperature else ["rgb", "label", "confidence"]
    assert names == [*LIDAR.names, *added]
    assert (cloud.height, cloud.width, cloud.dense) == (1, 50, True)
    again = read_cloud(as_message(cloud), "segmentation/points")
    for name in LIDAR.names:
        np.testing.assert_array_equal(again[name], points[name])
    np.testing.assert_array_equal(again["label"][0], marks.label)
    np.testing.assert_array_equal(again["confidence"][0], marks.confidence)
    np.testing.assert_array_equal(again["rgb"][0].copy().view(np.uint32), marks.rgb)
    if temperature:
        np.testing.assert_array_equal(again["temperature"][0], marks.temperature)


def as_message(cloud):
    return SimpleNamespace(
        height=cloud.height,
        width=cloud.width,
        fields=cloud.fields,
        is_bigendian=False,
        point_step=cloud.point_step,
        row_step=cloud.row_step,
        data=cloud.data.tobytes(),
        is_dense=cloud.dense,
    )


def test_points_that_are_left_out_are_dropped_from_a_row_and_holes_in_an_organised_cloud():
    chosen = np.array([1, 4, 5])
    row = painted_cloud(random_points((1, 6)), painted(6), chosen)
    assert (row.height, row.width, len(row.data), row.dense) == (1, 3, 3 * row.point_step, True)
    grid = painted_cloud(random_points((2, 3)), painted(6), chosen)
    assert (grid.height, grid.width, grid.dense) == (2, 3, False)
    x, _, _ = coordinates(read_cloud(as_message(grid), "segmentation/points"))
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(x)), chosen)


def test_fields_of_a_cloud_with_the_names_of_new_ones_are_replaced():
    dtype = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("rgba", "u4"), ("label", "u4")])
    cloud = painted_cloud(random_points((1, 8), dtype), painted(8, temperature=False), None)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    assert {field.name: field.datatype for field in cloud.fields}["label"] == 2


@pytest.mark.parametrize("temperature", [False, True])
def test_an_organised_cloud_lies_row_by_row_as_its_image(temperature):
    planes = [np.random.default_rng(axis).normal(size=(4, 6)).astype(np.float32) for axis in range(3)]
    rgb = np.random.default_rng(9).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    label = np.arange(24, dtype=np.uint8).reshape(4, 6)
    warm = planes[0] + 300 if temperature else None
    cloud = organised_cloud(planes, Painted(label, label + np.uint8(1), packed_rgb(rgb), warm))
    read = read_cloud(as_message(cloud), "segmentation/points")
    assert read.shape == (4, 6)
    for name, plane in zip("xyz", planes, strict=True):
        np.testing.assert_array_equal(read[name], plane)
    np.testing.assert_array_equal(read["label"], label)
    np.testing.assert_array_equal(read["confidence"], label + 1)
    bits = read["rgb"].copy().view(np.uint32)
    np.testing.assert_array_equal(np.stack((bits >> 16, bits >> 8 & 255, bits & 255), -1), rgb)
    if temperature:
        np.testing.assert_array_equal(read["temperature"], warm)


# The real sensor_msgs_py, where it is installed.


@pytest.fixture
def point_cloud2():
    pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")
    return pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is not among the wheels")


def ros(message):
    from sensor_msgs.msg import PointCloud2, PointField

    fields = [
        PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=field.count)
        for field in message.fields
    ]
    names = ("height", "width", "is_bigendian", "point_step", "row_step", "is_dense")
    cloud = PointCloud2(fields=fields, **{name: getattr(message, name) for name in names})
    cloud.data = bytes(message.data)
    return cloud


@pytest.mark.parametrize("big", [False, True])
def test_sensor_msgs_py_reads_what_this_reads(point_cloud2, big):
    message = ros(message_of(random_points((1, 40)), big=big))
    ours = [part.copy() for part in coordinates(read_cloud(message, "points/input"))]
    # It swaps the bytes of the message itself.
    theirs = point_cloud2.read_points(message)
    for axis, name in enumerate("xyz"):
        np.testing.assert_array_equal(ours[axis], theirs[name])


@pytest.mark.parametrize("organised", [False, True])
def test_sensor_msgs_py_reads_what_this_writes(point_cloud2, organised):
    points, marks = random_points((4, 10) if organised else (1, 40)), painted(40)
    cloud = painted_cloud(points, marks, np.arange(40) if organised else None)
    theirs = point_cloud2.read_points(ros(as_message(cloud)))
    for name in ("x", "y", "z", "intensity", "ring"):
        np.testing.assert_array_equal(theirs[name], points[name].ravel())
    np.testing.assert_array_equal(theirs["label"], marks.label)
    np.testing.assert_array_equal(theirs["temperature"], marks.temperature)


def test_sensor_msgs_py_writes_the_same_bytes_as_this(point_cloud2):
    from std_msgs.msg import Header

    cloud = painted_cloud(random_points((1, 40)), painted(40), None)
    message = ros(as_message(cloud))
    dtype = point_cloud2.dtype_from_fields(message.fields, message.point_step)
    theirs = point_cloud2.create_cloud(
        Header(), message.fields, np.frombuffer(cloud.data.tobytes(), dtype), message.point_step
    )
    assert (theirs.height, theirs.width, theirs.row_step) == (cloud.height, cloud.width, cloud.row_step)
    # Padding between fields is nobody's.
    ours, written = (np.frombuffer(bytes(data), dtype) for data in (cloud.data.tobytes(), theirs.data))
    for name in dtype.names:
        np.testing.assert_array_equal(written[name], ours[name])
