"""A small recording with true labels, and a tiny model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.data.synthetic import render_sequence
from rgbt_seg_ros.network.conventions import MFNET

SIZE = (48, 64)
START = 1_700_000_000_000_000_000
MS = 1_000_000
RGB, THERMAL, LABELS = "/rgb/image_raw", "/thermal/image_raw", "/ground_truth/mask"
INFO = "/ground_truth/label_info"
IMAGE = "sensor_msgs/msg/Image"


@dataclass(frozen=True)
class Recording:
    """What is in the bag: samples by RGB stamp, and which thermal frame belongs to which."""

    path: Path
    samples: tuple
    stamps: tuple[int, ...]


def write_recording(
    path, frames=12, seed=3, size=SIZE, change=lambda topic, index, message: message, repeat=1, every=3
):
    """RGB at 30 Hz; thermal of every third frame, or of ``every``, 4 ms late; a true label mask for each RGB image."""
    samples = tuple(render_sequence(seed, frames, size)) * repeat
    stamps = tuple(START + index * 33_333_333 for index in range(frames * repeat))
    entries = []
    for index, (stamp, sample) in enumerate(zip(stamps, samples, strict=True)):
        head = messages.header(stamp, "rgb_optical")
        entries.append((stamp + MS, RGB, messages.image(head, sample.rgb)))
        entries.append((stamp + 2 * MS, LABELS, messages.image(head, sample.label)))
        if index % every == 0:
            late = messages.header(stamp + 4 * MS, "thermal_optical")
            entries.append((stamp + 6 * MS, THERMAL, messages.image(late, sample.thermal)))
    seen = {RGB: -1, THERMAL: -1, LABELS: -1}
    with BagWriter(path) as bag:
        for topic in seen:
            bag.add_topic(topic, IMAGE)
        bag.add_topic(INFO, "vision_msgs/msg/LabelInfo")
        bag.write(INFO, START, messages.label_info(messages.header(START, ""), MFNET.classes))
        for log_time, topic, message in sorted(entries, key=lambda entry: entry[0]):
            seen[topic] += 1
            changed = change(topic, seen[topic], message)
            if changed is not None:
                bag.write(topic, log_time, changed)
    return Recording(path, samples, stamps)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_recording(tmp_path_factory.mktemp("bags") / "drive")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    assert main(["model", "new", "--variant", "atto", "--input-size", "64x64", "--half", "-o", str(path)]) == 0
    return str(path)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "other.safetensors"
    arguments = ["model", "new", "--variant", "atto", "--input-size", "64x64", "--seed", "5", "--half", "-o", str(path)]
    assert main(arguments) == 0
    return str(path)


@pytest.fixture(scope="session")
def record():
    return write_recording
