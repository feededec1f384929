"""What the pictures show is told while masks go on, and what strangers send as a compressed image is bounded: over DDS."""

from __future__ import annotations

import re
from itertools import cycle

import cv2
import numpy as np
import pytest


@pytest.fixture
def statuses(client):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    client.listen(Image, "segmentation/mask")
    client.listen(FrameReport, "segmentation/report")
    return client.listen(DiagnosticArray, "/diagnostics")


def content(statuses):
    values = {entry.key: entry.value for entry in statuses[-1].status[0].values} if statuses else {}
    return values.get("content", "")


def drops(client):
    found = client.received["segmentation/report"]
    return dict(zip(found[-1].drop_reason, found[-1].drop_count, strict=True)) if found else {}


def pairs(client, **thermal):
    """Return what sends one pair; the thermal image as given."""

    def send():
        stamp = client.later(0.1)
        client.send("rgb", stamp)
        client.send("thermal", stamp, **thermal)

    return send


def test_a_finding_is_told_once_with_the_way_out_and_ends_when_the_pictures_are_good_again(client, start, statuses):
    process = start()
    client.connect()
    client.until(lambda: content(statuses) == "ok", pairs(client))
    flat = np.full((48, 64), 7, np.uint8)
    client.until(lambda: content(statuses) == "one_value", pairs(client, pixels=flat))
    status = statuses[-1].status[0]
    assert status.level == b"\x01"
    assert status.message.startswith(
        "/front/thermal/image_raw: all pixels, or all but a few, are 7; expected a picture"
    )
    masks = len(client.received["segmentation/mask"])
    client.until(lambda: len(client.received["segmentation/mask"]) > masks + 5, pairs(client, pixels=flat))
    client.until(lambda: content(statuses) == "ok", pairs(client))
    client.until(lambda: content(statuses) == "one_value", pairs(client, pixels=flat))
    assert process.log.count("are 7; expected a picture") == 1


def test_a_frozen_thermal_camera_and_two_pictures_in_one_are_told(client, start, statuses):
    start()
    client.connect()
    still = np.random.default_rng(1).integers(0, 255, (48, 64), np.uint8)
    client.until(lambda: content(statuses) == "frozen", pairs(client, pixels=still))
    coarse = cv2.resize(np.random.default_rng(2).integers(0, 255, (6, 8)).astype(np.uint8), (64, 48))

    def send():
        stamp = client.later(0.1)
        noisy = cv2.add(coarse, np.random.default_rng(stamp // 10**6).integers(0, 9, (48, 64)).astype(np.uint8))
        client.send("rgb", stamp)
        client.send("thermal", stamp, pixels=np.vstack([noisy, noisy]))

    client.until(lambda: content(statuses) == "two_pictures", send)
    assert "thermal.crop_bottom: 48" in statuses[-1].status[0].message


def test_garbage_bombs_and_cut_off_images_are_counted_and_told_in_one_sentence_and_a_good_pair_gets_its_mask(
    client, start, statuses
):
    from sensor_msgs.msg import CompressedImage

    process = start(**{"rgb.transport": "compressed", "input.max_pixels": 10_000})
    camera = client.node.create_publisher(CompressedImage, "rgb/image_raw/compressed", 10)
    picture = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    good = cv2.imencode(".jpg", picture)[1].tobytes()

    def send(data, text="jpeg"):
        stamp = client.later(0.1)
        message = CompressedImage(format=text, data=data)
        message.header = client.image("rgb", stamp, picture).header
        camera.publish(message)
        client.send("thermal", stamp)

    client.until(lambda: drops(client) is not None and client.received["segmentation/mask"], lambda: send(good))
    large = cv2.imencode(".png", np.zeros((200, 200), np.uint8))[1].tobytes()
    bad = [b"", b"abc", good[:500], large, cv2.imencode(".webp", picture)[1].tobytes(), b"\xff\xd8\xff" + bytes(200)]
    sent = cycle([good, *bad])
    client.until(lambda: drops(client).get("rgb_invalid", 0) >= 24, lambda: send(next(sent)))
    masks = len(client.received["segmentation/mask"])
    client.until(lambda: len(client.received["segmentation/mask"]) > masks + 2, lambda: send(good))
    refusals = [line for line in process.log.splitlines() if "frame dropped" in line]
    assert 1 <= len(refusals) < 24, "throttled to one in five seconds"
    assert all("/front/rgb/image_raw/compressed: compressed 'jpeg': " in line for line in refusals)
    assert not re.search(r"libpng|Corrupt JPEG|WARN:0@|ERROR:0@|Traceback", process.log)
