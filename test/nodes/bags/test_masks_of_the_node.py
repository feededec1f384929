"""A bag played to the live node gives the masks that evaluating the bag gives, pixel by pixel."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag, header_stamp
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.data.synthetic import render_sequence
from rgbt_seg_ros.pipeline.backends.cache import cache_folder

pytestmark = pytest.mark.ros

NAMESPACE = "/front"
IMAGE = "sensor_msgs/msg/Image"
FRAMES = 24
STEP = 100_000_000
START = 1_700_000_000_000_000_000
PARAMETERS = """/**:
  ros__parameters:
    model: {input_size: "96x128"}
    runtime: {threads: 1}
    sync: {thermal_offset: -0.03, slop: 0.01}
    output: {threshold: 0.3}
    thermal: {normalisation: "percentile", low: 2.0, high: 98.0}
"""


def write(path):
    """RGB at 10 Hz as bgr8, thermal as mono16 that comes 30 ms late; every fifth thermal frame is lost."""
    with BagWriter(path) as bag:
        topics = [f"{NAMESPACE}/{name}/image_raw" for name in ("rgb", "thermal")]
        for topic in topics:
            bag.add_topic(topic, IMAGE)
        for index, sample in enumerate(render_sequence(8, FRAMES, (96, 128), rate_hz=10.0)):
            stamp = START + index * STEP
            rgb = messages.image(messages.header(stamp, "rgb_optical"), np.ascontiguousarray(sample.rgb[..., ::-1]))
            rgb.encoding = "bgr8"
            bag.write(topics[0], stamp, rgb)
            if index % 5 != 4:
                late = stamp + 30_000_000
                counts = sample.thermal.astype(np.uint16) * 37 + 5000
                bag.write(topics[1], late, messages.image(messages.header(late, "thermal_optical"), counts))
    return path


def masks_of(path):
    found = {}
    with Bag(path) as bag:
        for name in ("mask", "confidence"):
            for raw in bag.messages([f"{NAMESPACE}/segmentation/{name}"]):
                found.setdefault(header_stamp(raw), {})[name] = bag.decode(raw).data
    return found


def test_masks_of_the_node_and_of_the_evaluation_are_equal(tmp_path, client, start):
    from sensor_msgs.msg import Image

    bag = write(tmp_path / "bag")
    params = tmp_path / "params.yaml"
    params.write_text(PARAMETERS)
    words = ["bag", "evaluate", str(bag), "-o", str(tmp_path / "out"), "--model", "demo", "--params", str(params)]
    assert main([*words, "--write-bag", str(tmp_path / "masks"), "--namespace", NAMESPACE]) == 0
    evaluated = masks_of(tmp_path / "masks")
    assert len(evaluated) == 20

    received = {name: client.listen(Image, f"segmentation/{name}") for name in ("mask", "confidence")}
    # With the engine that the evaluation has built: the bag would be over before another is.
    start(params_file=params, cache=cache_folder())
    client.connect()
    topics = [f"{NAMESPACE}/{name}/image_raw" for name in ("rgb", "thermal")]
    player = [sys.executable, "-m", "rgbt_seg_ros.cli", "bag", "play", str(bag), "--rate", "0.5", "--no-clock"]
    # Again and again: of a pass, the node may drop pairs on a busy machine.
    process = subprocess.Popen([*player, "--loop", "--wait-for", *topics], stdout=subprocess.DEVNULL)

    def of(name):
        stamps = ((message, message.header.stamp) for message in received[name])
        return [(stamp.sec * 10**9 + stamp.nanosec, np.frombuffer(message.data, np.uint8)) for message, stamp in stamps]

    try:
        client.wait(lambda: all({stamp for stamp, _ in of(name)} >= evaluated.keys() for name in received))
    finally:
        process.kill()
        process.wait()
    for name in received:
        for stamp, pixels in of(name):
            # Nor does the node make a pair that the evaluation has not.
            np.testing.assert_array_equal(pixels, evaluated[stamp][name])
    assert len({pixels.tobytes() for _, pixels in of("mask")}) > 1, "the masks tell nothing"
