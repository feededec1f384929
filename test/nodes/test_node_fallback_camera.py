"""A camera that is a process of its own, and a node that does not fall back."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from test.nodes.conftest import NAMESPACE, SIZE
from test.nodes.test_node_fallback import INTERVAL, RGB, RGBT, codes, count, listen, play, reports, stamp_of

pytest.importorskip("rclpy")

THERMAL_CAMERA = f"""
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from rgbt_seg_ros.nodes.conversions import image_message
from std_msgs.msg import Header

rclpy.init()
node = rclpy.create_node("thermal_camera", namespace="{NAMESPACE}")
publisher = node.create_publisher(Image, "thermal/image_raw", 10)
noise = np.random.default_rng()
while True:
    now = time.time_ns() // 50_000_000 * 50_000_000
    header = Header(stamp=Time(sec=now // 10**9, nanosec=now % 10**9), frame_id="thermal_frame")
    publisher.publish(image_message(header, noise.integers(0, 256, {SIZE}, dtype=np.uint8)))
    time.sleep(max(0.0, (now + 50_000_000 - time.time_ns()) * 1e-9))
"""


def test_without_fallback_nothing_comes_of_one_camera(client, start):
    client.process = start()
    listen(client)
    client.connect()
    play(client, count(client, RGBT, 8))
    before = len(reports(client))
    play(client, lambda: "thermal_silent" in codes(client, "segmentation"), ["rgb"])
    assert len(reports(client)) <= before + 2  # pairs that were on their way
    assert not reports(client, RGB)


def test_a_camera_process_that_is_killed_and_started_again(client, start, tmp_path):
    client.process = start(**{"sync.fallback": "both"})
    listen(client)
    client.node.destroy_publisher(client._publishers.pop("thermal"))
    program = tmp_path / "camera.py"
    program.write_text(textwrap.dedent(THERMAL_CAMERA))

    def send():
        client.send("rgb", time.time_ns() // 50_000_000 * 50_000_000)

    def until(modality, many):
        client.until(count(client, modality, many), send, INTERVAL)

    cameras = []
    try:
        cameras.append(subprocess.Popen([sys.executable, str(program)]))
        until(RGBT, 8)
        cameras[-1].send_signal(signal.SIGKILL)
        cameras[-1].wait()
        killed = time.time_ns()
        until(RGB, 8)
        assert all(stamp_of(r.header.stamp) <= killed + 100_000_000 for r in reports(client, RGBT))
        cameras.append(subprocess.Popen([sys.executable, str(program)]))
        until(RGBT, 8)
    finally:
        for camera in cameras:
            camera.kill()
            camera.wait()


def test_a_model_that_was_never_trained_for_it_falls_back_where_it_is_asked_to_with_a_warning(client, start, tmp_path):
    from rgbt_seg_ros.cli import main

    file = tmp_path / "new.safetensors"
    assert main(["model", "new", "--variant", "atto", "--input-size", "32x64", "--half", "-o", str(file)]) == 0
    client.process = start(**{"sync.fallback": "rgb", "model.file": file})
    listen(client)
    client.connect()
    play(client, count(client, RGBT, 8))
    play(client, count(client, RGB, 2), ["rgb"])
    assert client.process.log.count("masks will be made of the rgb image alone") == 1


def test_a_repeated_picture_is_told_also_where_the_network_is_too_slow_for_every_pair(client, start, tmp_path):
    client.process = start(stand_in=tmp_path, **{"sync.fallback": "both"})
    listen(client)
    client.connect()
    (tmp_path / "seconds").write_text("0.3")
    play(client, count(client, RGBT, 4))
    noise = np.random.default_rng(3)
    for _ in range(4):
        # Only the last of these is seen before it comes again, and hardly ever segmented.
        last = noise.integers(0, 256, SIZE, dtype=np.uint8)
        play(client, lambda: True, thermal=last)
        sent = play(client, count(client, RGB, 2), thermal=last)
        play(client, count(client, RGBT, 2))
        assert not {stamp_of(r.header.stamp) for r in reports(client, RGBT)} & set(sent)
    assert "pair_superseded" in reports(client)[-1].drop_reason


@pytest.mark.parametrize("pixels", ["none", "flat"])
def test_a_camera_that_never_showed_anything_is_gone_without(client, start, pixels):
    client.process = start(**{"sync.fallback": "both"})
    listen(client)
    client.connect()
    shown = {} if pixels == "none" else {"thermal": np.full(SIZE, 90, np.uint8)}
    play(client, count(client, RGB, 5), ["rgb", *shown], **shown)
    assert not reports(client, RGBT)
    play(client, lambda: {"silent", "blind"} & set(codes(client, "thermal camera")), ["rgb", *shown], **shown)
    play(client, count(client, RGBT, 3))
