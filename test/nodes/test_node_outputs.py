"""What the node publishes beside its masks: the real node over DDS."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.pipeline.image_data import decode_image
from rgbt_seg_ros.pipeline.images import to_rgb
from rgbt_seg_ros.pipeline.rendering import colourise

MASKS = ("segmentation/mask", "segmentation/confidence")


def both(client):
    """Return what sends one pair."""

    def send(stamp):
        rgb = np.zeros((48, 64, 3), np.uint8)
        # Areas: noise is what a JPEG keeps worst.
        rgb[:, :32], rgb[:, 32:] = (220, 60, 20), (10, 40, stamp // 10**6 % 256)
        client.send("rgb", stamp, rgb)
        client.send("thermal", stamp)

    return send


def pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


@pytest.fixture
def beside(start, client):
    """A node whose outputs beside the masks are all listened to."""
    start()
    for topic in ("segmentation/mask", "segmentation/overlay", "segmentation/color_mask"):
        client.listen(Image, topic)
    for topic in ("segmentation/mask/compressed", "segmentation/overlay/compressed"):
        client.listen(CompressedImage, topic)
    client.connect()
    return client


def test_the_mask_travels_as_png_without_a_loss_and_the_overlay_as_jpeg(beside):
    stamp = beside.until_seen(both(beside), beside.received)
    found = {topic: beside.at(topic, stamp)[0] for topic in beside.received}
    assert all(message.header.frame_id == "rgb_frame" for message in found.values())
    mask = pixels(found["segmentation/mask"])
    png = found["segmentation/mask/compressed"]
    # As image_transport says it, which decodes it to mono8 again.
    assert png.format == "mono8; png compressed "
    np.testing.assert_array_equal(decode_image(png.data.tobytes(), formats=("PNG",)), mask)
    jpeg = found["segmentation/overlay/compressed"]
    assert jpeg.format == "rgb8; jpeg compressed bgr8"
    overlay = to_rgb(found["segmentation/overlay"], "overlay")
    difference = np.abs(to_rgb(jpeg, "overlay").astype(int) - overlay)
    # Exchanged channels would be off by a third of the range.
    assert difference.mean() < 20
    colours = to_rgb(found["segmentation/color_mask"], "color_mask")
    np.testing.assert_array_equal(colours, colourise(mask, read_spec("demo").classes))


def test_a_lazy_node_rests_until_somebody_listens(start, client, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray

    folder = tmp_path / "stand_in"
    folder.mkdir()
    start(stand_in=folder, **{"runtime.lazy": True})
    statuses = client.listen(DiagnosticArray, "/diagnostics")
    client.connect()
    send = both(client)

    def values():
        return {entry.key: entry.value for entry in statuses[-1].status[0].values} if statuses else {}

    # Pairs come, and are counted as unwanted; the network runs for none of them.
    client.until(lambda: int(values().get("dropped pair_unwanted", 0)) > 3, lambda: send(client.later()))
    client.wait(lambda: values()["code"] == "resting" or send(client.later()))
    warm = (folder / "runs").read_text() if (folder / "runs").exists() else ""
    client.until(lambda: int(values().get("dropped pair_unwanted", 0)) > 8, lambda: send(client.later()))
    assert ((folder / "runs").read_text() if warm else "") == warm
    assert values()["processed"] == "0"
    client.listen(Image, "segmentation/mask")
    client.until_seen(send, ["segmentation/mask"])


def test_masks_in_another_size_are_reduced_together_wherever_they_are_published(start, client):
    from rgbt_seg_ros.msg import Segmentation

    start(**{"output.size": "12x32"})
    for topic in ("mask", "confidence", "overlay", "color_mask"):
        client.listen(Image, f"segmentation/{topic}")
    client.listen(CompressedImage, "segmentation/mask/compressed")
    client.listen(Segmentation, "segmentation/result")
    client.connect()
    stamp = client.until_seen(both(client), client.received)
    found = {topic.partition("/")[2]: client.at(topic, stamp)[0] for topic in client.received}
    sizes = {
        topic: (found[topic].height, found[topic].width) for topic in ("mask", "confidence", "color_mask", "overlay")
    }
    assert sizes == {"mask": (12, 32), "confidence": (12, 32), "color_mask": (12, 32), "overlay": (48, 64)}
    mask = pixels(found["mask"])
    assert found["mask"].step == 32
    np.testing.assert_array_equal(decode_image(found["mask/compressed"].data.tobytes()), mask)
    np.testing.assert_array_equal(pixels(found["result"].mask), mask)
    np.testing.assert_array_equal(pixels(found["result"].confidence), pixels(found["confidence"]))


def test_objects_and_the_class_table_come_with_vision_msgs(start, client):
    messages = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not among the wheels of ROS")
    from rclpy.qos import DurabilityPolicy, QoSProfile

    start(**{"objects.min_pixels": 20, "output.threshold": 0.25, "thermal.normalisation": "none"})
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    tables = client.listen(messages.LabelInfo, "segmentation/label_info", latched)
    client.listen(messages.Detection2DArray, "segmentation/objects")
    client.listen(Image, "segmentation/mask")
    client.connect()

    def send(stamp):
        rgb, thermal = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64), 60, np.uint8)
        rgb[20:44, 24:34], thermal[20:44, 24:34] = (200, 60, 40), 230
        rgb[0, 0] = stamp // 10**6 % 256
        client.send("rgb", stamp, rgb)
        client.send("thermal", stamp, thermal)

    stamp = client.until_seen(send, ["segmentation/objects", "segmentation/mask"])
    client.wait(lambda: tables)
    assert tables[0].threshold == 0.25
    names = {entry.class_id: entry.class_name for entry in tables[0].class_map}
    assert names == {entry.id: entry.name for entry in read_spec("demo").classes}
    mask = pixels(client.at("segmentation/mask", stamp)[0])
    found = client.at("segmentation/objects", stamp)[0].detections
    assert found
    for detection in found:
        box = detection.bbox
        x, y = box.center.position.x - box.size_x / 2, box.center.position.y - box.size_y / 2
        inside = mask[round(y) : round(y + box.size_y), round(x) : round(x + box.size_x)]
        assert detection.results[0].hypothesis.class_id in {
            names[number] for number in np.unique(inside) if number != 255
        }
