"""Plays a bag through the real node, in a process of its own, and collects what both publish. Used by benchmarks/faults.py."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.children import python_module
from rgbt_seg_ros.resources import prepare_image_transport

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
prepare_image_transport()

CAMERAS = ("rgb", "thermal")
_START = 600.0
"""s for the node to come up; an engine that is built takes minutes on a busy machine."""
_REST = 3.0
"""s after the last message until everything has come."""


@dataclass
class Live:
    """What was heard, by stamp (ns).

    Attributes:
        arrived: When each image came (time.perf_counter, s), by camera.
        came: When each mask came.
        masks: (H, W) uint8.
        confidence: (H, W) uint8.
        reports: FrameReport messages.
        codes: Of every diagnostic status, by the end of its name: how often each code was published.
        log: What the node said.
    """

    arrived: dict[str, dict[int, float]] = field(default_factory=lambda: {name: {} for name in CAMERAS})
    came: dict[int, float] = field(default_factory=dict)
    masks: dict[int, ByteArray] = field(default_factory=dict)
    confidence: dict[int, ByteArray] = field(default_factory=dict)
    reports: dict[int, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, int]] = field(default_factory=dict)
    log: str = ""

    @property
    def dropped(self) -> dict[str, int]:
        """Frames and pairs that the node dropped, by reason."""
        last = max(self.reports.values(), key=lambda report: report.processed)
        return {name: int(count) for name, count in zip(last.drop_reason, last.drop_count, strict=True) if count}


def _pixels(message: Any) -> ByteArray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, : message.width].copy()


def _listen(node: Any, live: Live) -> None:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport
    from rgbt_seg_ros.pipeline.images import stamp_ns

    def arrived(name: str, message: Any) -> None:
        live.arrived[name][stamp_ns(message.header)] = time.perf_counter()

    def mask(message: Any) -> None:
        stamp = stamp_ns(message.header)
        live.came[stamp] = time.perf_counter()
        live.masks[stamp] = _pixels(message)

    def status(message: Any) -> None:
        for entry in message.status:
            if "rgbt_segmentation: " in entry.name:
                code = {value.key: value.value for value in entry.values}["code"]
                counts = live.codes.setdefault(entry.name.partition(": ")[2], {})
                counts[code] = counts.get(code, 0) + 1

    for name in CAMERAS:
        node.create_subscription(
            Image, f"/{name}/image_raw", lambda message, name=name: arrived(name, message), qos_profile_sensor_data
        )
    node.create_subscription(Image, "/segmentation/mask", mask, 20)
    node.create_subscription(
        Image, "/segmentation/confidence", lambda m: live.confidence.__setitem__(stamp_ns(m.header), _pixels(m)), 20
    )
    node.create_subscription(
        FrameReport, "/segmentation/report", lambda m: live.reports.__setitem__(stamp_ns(m.header), m), 20
    )
    node.create_subscription(DiagnosticArray, "/diagnostics", status, 20)


def play(bag: Path, parameters: Mapping[str, Any], folder: Path, play_options: tuple[str, ...] = ()) -> Live:
    """Play a bag of the topics ``/rgb/image_raw`` and ``/thermal/image_raw``.

    Args:
        bag: The bag.
        parameters: Of the node.
        folder: For the node's log.
        play_options: Of ``rgbt-seg bag play``.

    Raises:
        SystemExit: The node did not come up, or ended with an error; its last words are in the sentence.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    command = python_module("rgbt_seg_ros.nodes.segmentation_node", "--ros-args", "-p", "use_sim_time:=true")
    for name, value in parameters.items():
        command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    log = folder / "node.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    live, player = Live(), None
    rclpy.init(args=[])
    try:
        node = rclpy.create_node("listener")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        _listen(node, live)
        end = time.monotonic() + _START
        while not (node.count_publishers("/segmentation/report") and node.count_subscribers("/thermal/image_raw") >= 2):
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"the node did not come up: {log.read_text(errors='replace')[-500:]}")
            executor.spin_once(timeout_sec=0.1)
        topics = [f"/{name}/image_raw" for name in CAMERAS]
        waits = [f"{topic}=2" for topic in topics]
        options = ["--topics", *topics, "--wait-for", *waits, "/clock", "--delay", "2", *play_options]
        player = subprocess.Popen(python_module("rgbt_seg_ros.cli", "bag", "play", str(bag), *options))
        while player.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        rest = time.monotonic() + _REST
        while time.monotonic() < rest:
            executor.spin_once(timeout_sec=0.05)
        node.destroy_node()
    finally:
        for each in (player, process):
            if each is not None and each.poll() is None:
                each.send_signal(signal.SIGINT)
                each.wait(20)
        rclpy.try_shutdown()
    live.log = log.read_text(errors="replace")
    if process.returncode:
        raise SystemExit(f"the node ended with exit code {process.returncode}: {live.log[-500:]}")
    return live
