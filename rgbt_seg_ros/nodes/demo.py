"""Play pairs through the node in a process of its own and collect what it publishes."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.resources import fastdds_profile, prepare_ros_environment

# Before the first import of rclpy: the middleware reads its profile when it is loaded.
os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(fastdds_profile()))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
prepare_ros_environment()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from rgbt_seg_ros.data.folders import write_image  # noqa: E402
from rgbt_seg_ros.msg import FrameReport  # noqa: E402
from rgbt_seg_ros.nodes.conversions import image_message, stamp_ns, to_rgb, view  # noqa: E402
from rgbt_seg_ros.pipeline.rendering import heat, strip  # noqa: E402
from rgbt_seg_ros.pipeline.thermal import ThermalSettings, normalise  # noqa: E402

Frame = tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]

NAMESPACE = "/rgbt_demo"
_START_TIMEOUT = 90.0
_PROBES = 3
_ENCODINGS = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}


@dataclass
class Received:
    """Messages of the node by the stamp of their pair, in ns."""

    masks: dict[int, Image] = field(default_factory=dict)
    confidence: dict[int, Image] = field(default_factory=dict)
    overlay: dict[int, Image] = field(default_factory=dict)
    reports: dict[int, FrameReport] = field(default_factory=dict)


def thermal_message(header: Header, thermal: npt.NDArray[Any]) -> Image:
    """Return a message of (H, W) uint8, uint16 or float32."""
    message = image_message(header, thermal.view(np.uint8))
    message.encoding = _ENCODINGS[thermal.dtype.name]
    message.width = int(thermal.shape[1])
    message.is_bigendian = int(sys.byteorder == "big")
    return message


class Player:
    """Publish pairs and collect masks."""

    def __init__(self) -> None:
        """Create the node, its publishers and subscriptions."""
        self.node = rclpy.create_node("rgbt_demo", namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.received = Received()
        create = self.node.create_publisher
        self._publishers = [create(Image, f"{name}/image_raw", qos_profile_sensor_data) for name in ("rgb", "thermal")]
        self._collect(Image, "mask", self.received.masks)
        self._collect(Image, "confidence", self.received.confidence)
        self._collect(Image, "overlay", self.received.overlay)
        self._collect(FrameReport, "report", self.received.reports)

    def _collect(self, kind: Any, name: str, into: dict[int, Any]) -> None:
        def store(message: Any) -> None:
            into[stamp_ns(message.header)] = message

        self.node.create_subscription(kind, f"segmentation/{name}", store, 10)

    def spin_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Handle messages until ``done``; return whether it came within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not done():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def connected(self) -> bool:
        """Return whether the node listens to both images and its masks reach this process."""
        listening = all(publisher.get_subscription_count() for publisher in self._publishers)
        return listening and bool(self.node.count_publishers(f"{NAMESPACE}/segmentation/report"))

    def publish(self, frame: Frame) -> int:
        """Publish a pair stamped now; return its stamp in ns."""
        header = Header(frame_id="rgb_camera", stamp=self.node.get_clock().now().to_msg())
        for publisher, message in zip(
            self._publishers,
            (image_message(header, frame[0]), thermal_message(header, frame[1])),
            strict=True,
        ):
            publisher.publish(message)
        return stamp_ns(header)

    def close(self) -> None:
        """Destroy the node."""
        self.node.destroy_node()


def start_node(model: str, log: Path) -> subprocess.Popen[bytes]:
    """Start the segmentation node as a process of its own."""
    command = [sys.executable, "-m", "rgbt_seg_ros.nodes.segmentation_node", "--ros-args"]
    command += ["-r", f"__ns:={NAMESPACE}", "-p", f"model.file:={model}"]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def stop_node(process: subprocess.Popen[bytes]) -> int:
    """End the node as Ctrl-C would; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def play(frames: Sequence[Frame], what: str, model: str, output: Path, rate: float) -> int:
    """Run the node on a sequence, write ``strip.png`` and ``table.md`` into ``output`` and print the table.

    Returns:
        0; 1 where a pair got no mask.

    Raises:
        UserError: The node did not come up; its last words are in the sentence.
    """
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    with tempfile.TemporaryDirectory(prefix="rgbt_demo_") as folder:
        log = Path(folder, "node.log")
        process = start_node(model, log)
        try:
            rclpy.init()
            player = Player()
            print("starting the node …", flush=True)
            if not player.spin_until(lambda: player.connected() or process.poll() is not None, _START_TIMEOUT) or (
                process.poll() is not None
            ):
                raise UserError(f"demo: the node did not come up: {_last_line(log)}")
            before = _probe(player, frames[0])
            rate = rate or _sustainable(player.received.reports.values())
            stamps = _send(player, frames, rate)
            player.spin_until(lambda: set(stamps) <= set(player.received.reports), 10.0)
            player.close()
        finally:
            code = stop_node(process)
            rclpy.try_shutdown()
        table = _table(player.received, stamps, before, rate, what)
        _write(frames, stamps, player.received, output, table)
        print(table)
        print(f"picture strip: {output / 'strip.png'}")
        if code:
            print(f"the node ended with exit code {code}: {_last_line(log)}", file=sys.stderr)
        return 0 if not code and set(stamps) <= set(player.received.masks) else 1


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _probe(player: Player, frame: Frame) -> FrameReport:
    """Send single pairs until the node is warm; return the last report, whose counters the sequence starts from."""
    report = None
    for _ in range(_PROBES):
        stamp = player.publish(frame)
        if player.spin_until(lambda: stamp in player.received.reports, 30.0):  # noqa: B023  (used at once)
            report = player.received.reports[stamp]
    if report is None:
        raise UserError("demo: the node is up, but gave no mask for single pairs within 30 s each")
    return report


def _sustainable(reports: Iterable[FrameReport]) -> float:
    """Return pairs per second: what the slowest of the probes allows, with a third to spare, at most 30."""
    return float(min(30.0, 0.66 / max(sum(report.stage_duration) for report in reports)))


def _send(player: Player, frames: Sequence[Frame], rate: float) -> list[int]:
    stamps = []
    start = time.monotonic()
    for index, frame in enumerate(frames):
        due = start + index / rate
        player.spin_until(lambda: time.monotonic() >= due, 1.0 / rate + 1.0)  # noqa: B023  (used at once)
        stamps.append(player.publish(frame))
    return stamps


def _milliseconds(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{statistics.median(values) * 1e3:.1f} / {float(np.percentile(values, 99)) * 1e3:.1f} ms"


def _table(received: Received, stamps: Sequence[int], before: FrameReport, rate: float, what: str) -> str:
    reports = [received.reports[stamp] for stamp in stamps if stamp in received.reports]
    last = max(received.reports.values(), key=lambda report: report.processed)
    earlier = dict(zip(before.drop_reason, before.drop_count, strict=True))
    drops = {
        reason: count - earlier.get(reason, 0)
        for reason, count in zip(last.drop_reason, last.drop_count, strict=True)
        if count > earlier.get(reason, 0)
    }
    stages = [dict(zip(r.stage, r.stage_duration, strict=True)) for r in reports]
    medians = {name: statistics.median(s[name] for s in stages) * 1e3 for name in (stages[0] if stages else ())}
    rows = [
        ("sequence", what),
        ("model", last.model),
        ("pairs in", f"{len(stamps)} at {rate:.1f} per second"),
        ("masks out", str(sum(stamp in received.masks for stamp in stamps))),
        ("drops by reason", ", ".join(f"{reason} {count}" for reason, count in drops.items()) or "none"),
        ("latency, median / p99", _milliseconds([report.latency for report in reports])),
        ("of it the network", _milliseconds([stage["network"] for stage in stages])),
        ("node overhead, median / p99", _milliseconds([report.overhead for report in reports])),
        ("stages, median ms", ", ".join(f"{name} {value:.2f}" for name, value in medians.items())),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _write(frames: Sequence[Frame], stamps: Sequence[int], received: Received, output: Path, table: str) -> None:
    whole = [index for index, stamp in enumerate(stamps) if stamp in received.overlay and stamp in received.confidence]
    caption = "overlay, UNTRAINED weights" if "UNTRAINED" in table else "overlay"
    rows = []
    for index in whole[:: max(1, len(whole) // 4)][:4]:
        rgb, thermal = frames[index]
        grey = normalise(thermal, ThermalSettings("none" if thermal.dtype == np.uint8 else "percentile"))
        confidence = np.asarray(view(received.confidence[stamps[index]], "confidence", 1, np.uint8), dtype=np.uint8)
        tiles = [
            (f"RGB {index}", rgb),
            ("thermal", grey),
            (caption, to_rgb(received.overlay[stamps[index]], "overlay")),
            ("confidence", heat(confidence)),
        ]
        rows.append(strip(tiles))
    output.mkdir(parents=True, exist_ok=True)
    if rows:
        width = min(row.shape[1] for row in rows)
        write_image(output / "strip.png", np.concatenate([row[:, :width] for row in rows]))
    beside = output / ".table.md.part"
    beside.write_text(table + "\n", encoding="utf-8")
    os.replace(beside, output / "table.md")
