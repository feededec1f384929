"""Measures the node around the network: what a pair costs besides it, and what overload does to latency and memory.

    python benchmarks/node.py [--seconds 60] [--rate 30] [--network-ms 20] [--subscribe overlay,result] [--json OUT]

The real node runs in a process of its own, with a stand-in of a fixed time in place of the network, real cameras (a second
process) publish 640x480 rgb8 and 640x512 mono16 over Fast DDS with this package's profile, and this process listens to mask,
confidence and report. With ``--rate`` above what the stand-in allows (50 Hz at 20 ms) it is an overload run.

``--alternate color_mask,mask/compressed,overlay/compressed`` (and ``objects``, where vision_msgs is installed) listens to these
topics for 5 s and leaves them alone for 5 s, in turn, and gives the latency of both kinds of frames side by side: what an output
costs the masks, whatever else the machine does.

Overhead is the report's: from the arrival of the pair's last message to the publication of both masks, less the network's
time. Every frame is accounted for: processed + dropped by reason = received.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.optional import optional_module
from rgbt_seg_ros.resources import prepare_image_transport

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
prepare_image_transport()

NAMESPACE = "/benchmark"
RGB_SIZE = (480, 640)
THERMAL_SIZE = (512, 640)
TURN = 5.0
"""s of a turn of ``--alternate``; the first second of each is not counted."""
SETTLE = 3.0
"""Seconds whose frames are not counted: discovery and caches."""


def run_node(network: float, arguments: list[str]) -> None:
    """Be the node, with a stand-in for the network that takes ``network`` seconds."""
    import rclpy
    from rclpy.experimental import EventsExecutor

    from rgbt_seg_ros.nodes import image_stream, runtime
    from rgbt_seg_ros.nodes.segmentation_node import main
    from rgbt_seg_ros.pipeline import segmenter
    from rgbt_seg_ros.pipeline.backends import Engine, Inference

    class StandIn(Engine):
        """Finds nine bands of classes, after a time in which it sleeps."""

        name = f"stand-in of {1000 * network:g} ms"
        # As with a network on a GPU, the processor is free meanwhile.
        device = "stand-in"

        def infer(self, pairs: Any, output_size: tuple[int, int], scales: Any = None) -> list[Inference]:
            start = time.perf_counter()
            time.sleep(network)
            spent = time.perf_counter() - start
            label = np.tile(np.linspace(0, 8.99, output_size[0]).astype(np.uint8)[:, None], (1, output_size[1]))
            durations = {"preprocess": 0.0, "network": spent, "masks": 0.0}
            return [Inference(label, np.full(output_size, 200, np.uint8), durations) for _ in pairs]

        def close(self) -> None:
            pass

    for part in filter(None, os.environ.get("WITHOUT", "").split(",")):
        setattr(runtime, part, lambda: None)
    if "events" in os.environ.get("WITH", ""):
        # Its subscriptions cannot take the message's info, so that losses in transport are not counted.
        rclpy.executors.SingleThreadedExecutor = EventsExecutor
        callback = image_stream.ImageStream._callback
        image_stream.ImageStream._callback = lambda self, message: callback(self, message, {})  # type: ignore[method-assign]
    segmenter.select_engine = lambda _: StandIn()
    main(["node", *arguments])


def run_cameras(rate: float) -> None:
    """Be both cameras until SIGTERM, stamps of a pair 4 ms apart."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from rgbt_seg_ros.nodes.conversions import image_message

    rclpy.init()
    node = rclpy.create_node("cameras", namespace=NAMESPACE)
    publishers = [
        node.create_publisher(Image, f"{name}/image_raw", qos_profile_sensor_data) for name in ("rgb", "thermal")
    ]
    rng = np.random.default_rng(0)
    # In turn: a camera that repeats one picture is frozen, and gets no masks.
    pairs = []
    for _ in range(5):
        rgb = image_message(Header(frame_id="rgb"), rng.integers(0, 256, (*RGB_SIZE, 3), dtype=np.uint8))
        counts = rng.integers(28000, 31000, THERMAL_SIZE, dtype=np.uint16)
        thermal = image_message(Header(frame_id="thermal"), counts.view(np.uint8))
        thermal.encoding, thermal.width = "mono16", THERMAL_SIZE[1]
        pairs.append((rgb, thermal))
    start = time.perf_counter()
    frame = 0
    while True:
        now = node.get_clock().now()
        rgb, thermal = pairs[frame % len(pairs)]
        rgb.header.stamp = now.to_msg()
        thermal.header.stamp = now.to_msg()
        publishers[0].publish(rgb)
        publishers[1].publish(thermal)
        frame += 1
        time.sleep(max(0.0, start + frame / rate - time.perf_counter()))


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_time(pid: int) -> float:
    """Return the processor time of a process in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values: list[float]) -> dict[str, float]:
    """Return median, p95, p99 and maximum in ms."""
    percents = {"median": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(1000 * float(np.percentile(values, percent)), 3) for name, percent in percents.items()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all three processes and return the figures."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import CompressedImage, Image, PointCloud2

    from rgbt_seg_ros.msg import FrameReport
    from rgbt_seg_ros.msg import Segmentation as SegmentationMessage

    this = [sys.executable, str(Path(__file__).absolute())]
    ros = ["--ros-args", "-r", f"__ns:={NAMESPACE}", *(word for text in arguments.param for word in ("-p", text))]
    log = Path(arguments.log) if arguments.log else None
    output = log.open("wb") if log else subprocess.DEVNULL
    node = subprocess.Popen([*this, "--be-node", str(arguments.network_ms / 1000), *ros], stdout=output, stderr=output)
    cameras: subprocess.Popen[bytes] | None = None
    rclpy.init()
    client = rclpy.create_node("listener", namespace=NAMESPACE)
    executor = SingleThreadedExecutor()
    executor.add_node(client)
    reports: list[tuple[float, Any]] = []
    masks = [0]

    def count(message: Any) -> None:
        masks[0] += 1

    client.create_subscription(
        FrameReport, "segmentation/report", lambda m: reports.append((time.perf_counter(), m)), 50
    )
    for name in ("mask", "confidence"):
        client.create_subscription(Image, f"segmentation/{name}", count, 5)
    for name in filter(None, arguments.subscribe.split(",")):
        kind = {"result": SegmentationMessage, "points": PointCloud2}.get(name, Image)
        client.create_subscription(kind, f"segmentation/{name}", count, 5)
    alternating = [name for name in arguments.alternate.split(",") if name]
    subscriptions: list[Any] = []
    turns: dict[bool, list[Any]] = {False: [], True: []}
    turn_since = 0.0

    def take_turn() -> None:
        """Listen, or stop listening, to the topics of ``--alternate``; sort the reports of the turn that has ended."""
        nonlocal turn_since
        if not alternating or time.perf_counter() < turn_since + TURN:
            return
        if turn_since:
            turns[bool(subscriptions)] += [message for when, message in reports if when > turn_since + 1.0]
        if subscriptions:
            while subscriptions:
                client.destroy_subscription(subscriptions.pop())
        else:
            for name in alternating:
                kind = CompressedImage if name.endswith("compressed") else PointCloud2 if name == "points" else Image
                if name == "objects":
                    kind = optional_module("vision_msgs.msg").Detection2DArray
                subscriptions.append(client.create_subscription(kind, f"segmentation/{name}", count, 5))
        turn_since = time.perf_counter()

    memory: list[tuple[float, float]] = []
    try:
        end = time.monotonic() + 120
        while not client.count_publishers(f"{NAMESPACE}/segmentation/mask"):
            if time.monotonic() > end or node.poll() is not None:
                raise SystemExit("the node did not come up; --log FILE keeps what it says")
            executor.spin_once(timeout_sec=0.1)
        cameras = subprocess.Popen([*this, "--be-cameras", str(arguments.rate)])
        while not reports:
            executor.spin_once(timeout_sec=0.1)
        settled = time.perf_counter() + SETTLE
        while time.perf_counter() < settled:
            executor.spin_once(timeout_sec=0.1)
        begin, used = time.perf_counter(), processor_time(node.pid)
        first = len(reports)
        while time.perf_counter() < begin + arguments.seconds:
            executor.spin_once(timeout_sec=0.1)
            take_turn()
            if not memory or time.perf_counter() - memory[-1][0] > 1.0:
                memory.append((time.perf_counter(), resident(node.pid)))
        wall, used = time.perf_counter() - begin, processor_time(node.pid) - used
        cameras.send_signal(signal.SIGTERM)
        # The last pair is still on its way.
        last = time.perf_counter() + 1.0
        while time.perf_counter() < last:
            executor.spin_once(timeout_sec=0.1)
    finally:
        for process in (cameras, node):
            if process is not None:
                process.send_signal(signal.SIGINT)
                process.wait(10)
        client.destroy_node()
        rclpy.try_shutdown()
    seen = [message for _, message in reports[first:]]
    result = figures(arguments, seen, wall, used, [value for _, value in memory])
    if alternating:
        result["alternating"] = {
            name: {
                "frames": len(turns[listened]),
                "latency_ms": spread([report.latency for report in turns[listened]]),
                "overhead_ms": spread([report.overhead for report in turns[listened]]),
            }
            for name, listened in (("alone", False), ("listened", True))
        }
    return result


def figures(
    arguments: argparse.Namespace, seen: list[Any], wall: float, used: float, memory: list[float]
) -> dict[str, Any]:
    """Return what the reports say."""
    stages: dict[str, list[float]] = {}
    for report in seen:
        for name, duration in zip(report.stage, report.stage_duration, strict=True):
            stages.setdefault(name, []).append(duration)
    last = seen[-1]
    drops = dict(zip(last.drop_reason, last.drop_count, strict=True))
    lost = sum(count for name, count in drops.items() if name.endswith("lost_in_transport"))
    of_pairs = sum(count for name, count in drops.items() if name.startswith("pair_"))
    accounted = {
        stream: last.processed + of_pairs + sum(count for name, count in drops.items() if name.startswith(f"{stream}_"))
        for stream in ("rgb", "thermal")
    }
    third = max(1, len(memory) // 3)
    latency = [report.latency for report in seen]
    return {
        "rate_hz": arguments.rate,
        "network_ms": arguments.network_ms,
        "seconds": round(wall, 1),
        "reports": len(seen),
        "masks_per_s": round(len(seen) / wall, 2),
        "overhead_ms": spread([report.overhead for report in seen]),
        "latency_ms": spread(latency),
        "latency_first_third_ms": spread(latency[: len(latency) // 3 or 1]),
        "latency_last_third_ms": spread(latency[-(len(latency) // 3 or 1) :]),
        "stages_ms": {name: spread(values) for name, values in stages.items()},
        "cpu_ms_per_mask": round(1000 * used / len(seen), 2),
        "memory_mib": {
            "first": round(float(np.median(memory[:third])), 1),
            "last": round(float(np.median(memory[-third:])), 1),
        },
        "received": {"rgb": last.received_rgb, "thermal": last.received_thermal},
        "processed": last.processed,
        "dropped": {name: int(count) for name, count in drops.items()},
        "lost_in_transport": int(lost),
        # Frames in the pair that waits, in the pairing, or received since the last report are on neither side yet. A thermal
        # frame that fills the gap of one that was lost in transport is counted twice.
        "unaccounted": {
            "rgb": int(last.received_rgb - accounted["rgb"] + drops.get("rgb_lost_in_transport", 0)),
            "thermal": int(last.received_thermal - accounted["thermal"] + drops.get("thermal_lost_in_transport", 0)),
        },
    }


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    if len(sys.argv) > 2 and sys.argv[1] == "--be-node":
        run_node(float(sys.argv[2]), sys.argv[3:])
        return
    if len(sys.argv) > 2 and sys.argv[1] == "--be-cameras":
        run_cameras(float(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=30.0, help="Hz of both cameras")
    parser.add_argument("--network-ms", type=float, default=20.0, help="time of the stand-in")
    parser.add_argument(
        "--subscribe",
        default="",
        help="further topics to listen to: overlay, result, thermal_aligned, points (with --param points.source:=...)",
    )
    parser.add_argument("--alternate", default="", help="topics to listen to in every other turn of 5 s")
    parser.add_argument("--param", action="append", default=[], help="name:=value for the node; may be repeated")
    parser.add_argument("--log", help="file for what the node says")
    parser.add_argument("--json", help="file for the measurements")
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments), indent=2)
    print(text)
    if arguments.json:
        Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
