"""Labelled points in the real node over DDS: each source, what cannot be used, and several cameras around one cloud."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, default_rig, render_rig
from rgbt_seg_ros.pipeline.calibration import write_calibration
from rgbt_seg_ros.pipeline.points.depth import DepthPoints
from rgbt_seg_ros.pipeline.points.fields import read_cloud

HEIGHT, WIDTH = 48, 64
POINTS, MASK = "segmentation/points", "segmentation/mask"


@pytest.fixture(scope="module")
def rig():
    full = default_rig()
    return replace(
        full,
        rgb=replace(full.rgb.scaled((HEIGHT, WIDTH)), frame_id=""),
        thermal=replace(full.thermal.scaled((51, WIDTH)), frame_id=""),
        depth_pixels="raw",
    )


@pytest.fixture(scope="module")
def scene(rig):
    return render_rig(rig, box_surfaces(3))


def listen(client, prefix=""):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image, PointCloud2

    client.listen(PointCloud2, POINTS)
    client.listen(Image, prefix + MASK)
    client.listen(DiagnosticArray, "/diagnostics")


def mask_of(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def dropped(client, reason):
    """Return the newest count of a reason in the diagnostics."""
    counts = [
        int(entry.value)
        for array in client.received["/diagnostics"]
        for status in array.status
        for entry in status.values
        if entry.key == f"dropped {reason}"
    ]
    return counts[-1] if counts else 0


def cloud_at(stamp, points, frame="rgb_frame", fields="xyz"):
    """A cloud of (N, 3) points with an intensity."""
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import PointCloud2, PointField

    values = np.zeros((len(points), 4), np.float32)
    values[:, :3] = points
    values[:, 3] = np.arange(len(points))
    names = [*fields, "intensity"]
    message = PointCloud2(
        height=1,
        width=len(points),
        point_step=16,
        row_step=16 * len(points),
        fields=[PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate(names)],
    )
    message.data = values.tobytes()
    message.header.frame_id = frame
    message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return message


def publisher_of(client, kind, topic):
    return client.node.create_publisher(kind, topic, 10)


def depth_message(client, stamp, metres):
    message = client.image("rgb", stamp, metres.view(np.uint8))
    message.encoding, message.width, message.step = "32FC1", WIDTH, 4 * WIDTH
    return message


def compressed_depth_message(client, stamp, millimetres):
    """Return the message that compressed_depth_image_transport makes of (H, W) uint16."""
    from sensor_msgs.msg import CompressedImage

    data = bytes(12) + cv2.imencode(".png", millimetres)[1].tobytes()
    header = client.image("rgb", stamp, millimetres.view(np.uint8)).header
    return CompressedImage(header=header, format="16UC1; compressedDepth png", data=data)


def info_of(camera, stamp):
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CameraInfo

    message = CameraInfo(width=camera.size[1], height=camera.size[0], distortion_model=camera.distortion_model)
    message.header.frame_id, message.header.stamp = "rgb_frame", Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    message.k, message.d, message.r = list(camera.k), list(camera.d), list(camera.r)
    return message


@pytest.mark.parametrize(
    ("mode", "topic", "compressed"),
    [
        ("depth", "depth/image", False),
        ("none", "depth/image", False),
        # Where a remapping leads to the compressed topic.
        ("depth", "depth/image", True),
        ("none", "depth/image/compressedDepth", True),
    ],
)
def test_points_of_depth_are_organised_as_the_mask_with_or_without_alignment_by_depth(
    client, start, rig, scene, tmp_path, mode, topic, compressed
):
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    path, given = tmp_path / "rig.yaml", {"points.source": "depth", "alignment.mode": mode}
    if mode == "depth":
        write_calibration(path, rig)
        given["alignment.calibration"] = path
    start(**given, **{"thermal.preset": "centikelvin"})
    listen(client)
    client.connect()
    depths = publisher_of(client, CompressedImage if compressed else Image, topic)
    infos = publisher_of(client, CameraInfo, "rgb/camera_info")
    depth = np.rint(scene.depth * 1000).astype(np.uint16) if compressed else scene.depth
    warm = (scene.thermal.astype(np.uint16) * 10 + 29000).astype(np.uint16)

    def send(stamp):
        infos.publish(info_of(rig.rgb, stamp))
        depths.publish((compressed_depth_message if compressed else depth_message)(client, stamp, depth))
        client.send("rgb", stamp, scene.rgb)
        height, width = warm.shape
        client.send(
            "thermal", stamp, warm.view(np.uint8), encoding="mono16", width=width, height=height, step=2 * width
        )
        # A mask as new as the next cloud, where clouds are paired.
        later = client.later()
        client.send("rgb", later)
        client.send("thermal", later)

    stamp = client.until_seen(send, (POINTS, MASK))
    (message,), (mask,) = client.at(POINTS, stamp), client.at(MASK, stamp)
    assert (message.height, message.width, message.header.frame_id) == (HEIGHT, WIDTH, "rgb_frame")
    points = read_cloud(message, POINTS)
    label = mask_of(mask)
    np.testing.assert_array_equal(points["label"], label)
    here = np.isfinite(points["z"])
    assert here.mean() > 0.8
    # Without a calibration file a depth image is one of rectified pixels.
    pixels = "raw" if mode == "depth" else "rectified"
    expected = DepthPoints(replace(rig.rgb, frame_id="rgb_frame"), pixels).planes(depth, label)
    for name, plane in zip("xyz", expected, strict=True):
        np.testing.assert_array_equal(points[name], plane)
    bits = points["rgb"].copy().view(np.uint32)
    np.testing.assert_array_equal(bits & 255, scene.rgb[..., 2])
    assert 285 < np.nanmedian(points["temperature"]) < 320


def test_a_cloud_is_painted_and_keeps_its_fields_and_what_cannot_be_used_leaves_the_masks_alone(
    client, start, rig, scene, tmp_path
):
    from sensor_msgs.msg import PointCloud2

    path = tmp_path / "rig.yaml"
    write_calibration(path, replace(rig, plane_distance=5.0))
    node = start(
        **{
            "points.source": "cloud",
            "alignment.calibration": path,
            "points.extrinsic": "0.1 0 0 0 0 0 1",
            "points.max_points": 5000,
        }
    )
    listen(client)
    client.connect()
    clouds = publisher_of(client, PointCloud2, "points/input")
    ahead = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 20), np.linspace(-0.3, 0.3, 20), [3.0]), -1).reshape(-1, 3)
    points = np.concatenate((ahead, -ahead, [(np.nan, 0, 1), (np.inf, 0, 2)]))

    def send_masks(stamp):
        client.send("rgb", stamp, scene.rgb)
        client.send("thermal", stamp, scene.thermal)

    def send(stamp):
        clouds.publish(cloud_at(stamp, points, "lidar"))
        send_masks(stamp)
        send_masks(client.later())

    stamp = client.until_seen(send, (POINTS, MASK))
    (message,) = client.at(POINTS, stamp)
    assert message.header.frame_id == "lidar"
    assert [field.name for field in message.fields] == ["x", "y", "z", "intensity", "rgb", "label", "confidence"]
    painted = read_cloud(message, POINTS)[0]
    np.testing.assert_array_equal(painted["intensity"], np.arange(len(points)))
    assert (painted["label"][len(ahead) :] == 255).all(), "behind the camera, or nowhere"
    known = painted["label"][: len(ahead)]
    (mask,) = client.at(MASK, stamp)
    assert set(known.tolist()) <= {*np.unique(mask_of(mask)).tolist(), 255}
    assert (painted["confidence"][: len(ahead)][known != 255] > 0).all()

    def refused(words, reason, cloud_of):
        """Send clouds until one is refused with these words; masks go on."""
        before, masks = dropped(client, reason), len(client.received[MASK])

        def again():
            at = client.later()
            clouds.publish(cloud_of(at))
            send_masks(at)

        client.until(lambda: dropped(client, reason) > before and words in node.log, again, 0.2)
        assert len(client.received[MASK]) > masks

    refused("no field z of one float32", "points_invalid", lambda at: cloud_at(at, points, fields="xyw"))
    refused("expected at least one point", "points_invalid", lambda at: cloud_at(at, points[:0]))
    refused("expected at most 5000 (points.max_points)", "points_invalid", lambda at: cloud_at(at, np.zeros((5001, 3))))
    refused("no mask lies within points.cloud_slop", "points_no_partner", lambda at: cloud_at(at - 5 * 10**9, points))
    (mask,) = client.at(MASK, client.until_seen(send_masks, (MASK,)))
    client.until_seen(send, (POINTS, MASK))


def test_a_cloud_of_another_frame_needs_tf_and_one_of_the_camera_does_not(client, start, rig, scene, tmp_path):
    from sensor_msgs.msg import PointCloud2

    path = tmp_path / "rig.yaml"
    write_calibration(path, replace(rig, plane_distance=5.0))
    node = start(**{"points.source": "cloud", "alignment.calibration": path, "points.exclude": "[person]"})
    listen(client)
    client.connect()
    clouds = publisher_of(client, PointCloud2, "points/input")

    def send(stamp, frame="rgb_frame"):
        clouds.publish(cloud_at(stamp, [(0, 0, 3.0)], frame))
        for when in (stamp, client.later()):
            client.send("rgb", when, scene.rgb)
            client.send("thermal", when, scene.thermal)

    client.until_seen(send, (POINTS, MASK))
    client.until(lambda: dropped(client, "points_not_placed"), lambda: send(client.later(), "lidar"), 0.2)
    assert "points/input: no transform from 'lidar' to 'rgb_frame'" in node.log


def test_the_ground_needs_no_depth(client, start, rig, scene, tmp_path):
    path = tmp_path / "rig.yaml"
    write_calibration(path, replace(rig, plane_distance=5.0))
    start(
        **{
            "points.source": "ground",
            "alignment.calibration": path,
            "points.ground_height": 1.2,
            "points.ground_classes": "[unlabeled, car, person, bike, curve, car_stop, guardrail, color_cone, bump]",
        }
    )
    listen(client)
    client.connect()

    def send(stamp):
        client.send("rgb", stamp, scene.rgb)
        client.send("thermal", stamp, scene.thermal)

    stamp = client.until_seen(send, (POINTS, MASK))
    points = read_cloud(client.at(POINTS, stamp)[0], POINTS)
    known = mask_of(client.at(MASK, stamp)[0]) != 255
    here = np.isfinite(points["y"])
    assert here.sum() > 100
    np.testing.assert_allclose(points["y"][here], 1.2, atol=1e-4)
    assert known[here].all()

    refused = client.set_parameter("points.exclude", ["persn"])
    assert not refused.successful
    assert "points.exclude: 'persn' is not a class of the model; did you mean person" in refused.reason
    everything = ["unlabeled", "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump"]
    assert client.set_parameter("points.exclude", everything).successful
    stamp = client.until_seen(send, (POINTS, MASK))
    assert not np.isfinite(read_cloud(client.at(POINTS, stamp)[0], POINTS)["y"]).any()


def test_two_camera_pairs_paint_one_cloud(client, start, rig, scene, tmp_path):
    from sensor_msgs.msg import PointCloud2

    path = tmp_path / "rig.yaml"
    write_calibration(path, replace(rig, plane_distance=5.0))
    client.remove_pair("")
    client.add_pair("left/")
    client.add_pair("right/")
    start(
        **{
            "pairs": "[left, right]",
            "points.source": "cloud",
            "alignment.calibration": path,
            "left.points.extrinsic": "0 0 0 0 0 0 1",
            # It looks back: turned by half a circle about the axis that points down.
            "right.points.extrinsic": "0 0 0 0 1 0 0",
        }
    )
    listen(client, "left/")
    client.connect()
    clouds = publisher_of(client, PointCloud2, "points/input")

    def send(stamp):
        clouds.publish(cloud_at(stamp, [(0, 0, 3.0), (0, 0, -3.0), (3.0, 0, 0)], "lidar"))
        for when in (stamp, client.later()):
            for side in ("left", "right"):
                client.send(f"{side}/rgb", when, scene.rgb)
                client.send(f"{side}/thermal", when, scene.thermal)

    stamp = client.until_seen(send, (POINTS,))
    bits = read_cloud(client.at(POINTS, stamp)[0], POINTS)["rgb"][0].copy().view(np.uint32)
    assert bits[0] == bits[1] != 0, "each is seen by one of the cameras, at the same pixel of the same picture"
    assert bits[2] == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"points.classes": "[persn]"}, "points.classes: 'persn' is not a class of the model; did you mean person"),
        ({"points.source": "ground"}, "points.ground_height: 0, and points.source is ground"),
        ({"points.extrinsic": "1 2"}, "points.extrinsic: '1 2' has 2 numbers"),
    ],
)
def test_what_points_cannot_be_made_by_refuses_configure(client, start, given, sentence):
    node = start(**given)
    client.until(lambda: sentence in node.log, lambda: None, 0.2)
    assert client.state() == "unconfigured"
