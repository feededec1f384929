"""Measures many camera pairs in one node, and the gap in its masks while another model takes over.

    python benchmarks/node_pairs.py [--rates 30,10] [--seconds 30] [--param NAME:=VALUE] [--swap] [--json OUT]

The real node runs in a process of its own with its real model, cameras of every pair (a second process) publish 640x480 rgb8 and
640x512 mono16 over Fast DDS with this package's profile, and this process listens to masks and reports. With ``--swap`` the
parameter ``model.file`` is set half-way, to the demo model cut down to five classes, and the gaps between masks meanwhile
are compared with those of before.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from rgbt_seg_ros.resources import prepare_image_transport

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
prepare_image_transport()

NAMESPACE = "/benchmark"
NODE = f"{NAMESPACE}/rgbt_segmentation"
SETTLE = 4.0
"""Seconds whose frames are not counted: discovery and caches."""


def run_cameras(rates: list[float]) -> None:
    """Be the cameras of pairs p0, p1, ... until SIGTERM, each at its rate."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from rgbt_seg_ros.nodes.conversions import image_message

    rclpy.init()
    node = rclpy.create_node("cameras", namespace=NAMESPACE)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    counts = rng.integers(28000, 31000, (512, 640), dtype=np.uint16)

    def run(pair: str, rate: float) -> None:
        streams = [
            node.create_publisher(Image, f"{pair}/{name}/image_raw", qos_profile_sensor_data)
            for name in ("rgb", "thermal")
        ]
        rgb = image_message(Header(frame_id=f"{pair}_rgb"), pixels)
        thermal = image_message(Header(frame_id=f"{pair}_thermal"), counts.view(np.uint8))
        thermal.encoding, thermal.width = "mono16", 640
        start, frame = time.perf_counter(), 0
        while True:
            for stream, message in zip(streams, (rgb, thermal), strict=True):
                message.header.stamp = node.get_clock().now().to_msg() if message is rgb else rgb.header.stamp
                stream.publish(message)
            frame += 1
            time.sleep(max(0.0, start + frame / rate - time.perf_counter()))

    for index, rate in enumerate(rates):
        threading.Thread(target=run, args=(f"p{index}", rate), daemon=True).start()
    signal.pause()


def write_other_model(path: Path) -> None:
    """Write the demo model with its first five classes alone, so that its title tells the two apart."""
    from dataclasses import replace

    from rgbt_seg_ros.network import read_model, write_model

    spec, network = read_model("demo")
    state = {
        key: tensor[:5] if tensor.ndim and tensor.shape[0] == spec.num_classes else tensor
        for key, tensor in network.state_dict().items()
    }
    write_model(path, replace(spec, classes=spec.classes[:5]), state)


def spread(values: list[float]) -> dict[str, float]:
    """Return median, p99 and maximum in ms."""
    percents = {"median": 50, "p99": 99, "max": 100}
    return {name: round(1000 * float(np.percentile(values, percent)), 1) for name, percent in percents.items()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the processes and return the figures."""
    import rclpy
    from rcl_interfaces.srv import SetParameters
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    rates = [float(rate) for rate in arguments.rates.split(",")]
    names = [f"p{index}" for index in range(len(rates))]
    this = [sys.executable, str(Path(__file__).absolute())]
    node_command = [
        sys.executable,
        "-m",
        "rgbt_seg_ros.nodes.segmentation_node",
        "--ros-args",
        "-r",
        f"__ns:={NAMESPACE}",
    ]
    given = [f"pairs:=[{','.join(names)}]", *arguments.param]
    node = subprocess.Popen(
        [*node_command, *(word for text in given for word in ("-p", text))], stderr=subprocess.DEVNULL
    )
    cameras: subprocess.Popen[bytes] | None = None
    rclpy.init()
    client = rclpy.create_node("listener", namespace=NAMESPACE)
    executor = SingleThreadedExecutor()
    executor.add_node(client)
    reports: dict[str, list[tuple[float, Any]]] = {name: [] for name in names}
    masks: dict[str, list[float]] = {name: [] for name in names}

    def listen(name: str) -> None:
        take = reports[name]
        client.create_subscription(
            FrameReport, f"{name}/segmentation/report", lambda message: take.append((time.perf_counter(), message)), 50
        )
        client.create_subscription(
            Image, f"{name}/segmentation/mask", lambda message: masks[name].append(time.perf_counter()), 5
        )

    def spin(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            executor.spin_once(timeout_sec=0.05)

    for name in names:
        listen(name)
    swapped = loaded = 0.0
    folder = tempfile.TemporaryDirectory()
    other = Path(folder.name) / "other.safetensors"
    if arguments.swap:
        write_other_model(other)
    try:
        while not client.count_publishers(f"{NAMESPACE}/p0/segmentation/mask"):
            if node.poll() is not None:
                raise SystemExit("the node did not come up")
            spin(0.1)
        cameras = subprocess.Popen([*this, "--be-cameras", arguments.rates])
        while not all(reports.values()):
            spin(0.1)
        spin(SETTLE)
        begin = time.perf_counter()
        spin(arguments.seconds / 2)
        if arguments.swap:
            service = client.create_client(SetParameters, f"{NODE}/set_parameters")
            service.wait_for_service(10)
            before = reports["p0"][-1][1].model
            swapped = time.perf_counter()
            message = Parameter("model.file", value=str(other)).to_parameter_msg()
            service.call_async(SetParameters.Request(parameters=[message]))
            while reports["p0"][-1][1].model == before and time.perf_counter() < swapped + 60:
                spin(0.02)
            loaded = time.perf_counter()
        spin(arguments.seconds / 2)
        wall = time.perf_counter() - begin
        memory = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    finally:
        for process in (cameras, node):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(10)
        folder.cleanup()
        client.destroy_node()
        rclpy.try_shutdown()
    found: dict[str, Any] = {"seconds": round(wall, 1), "memory_mib": round(memory, 1), "pairs": {}}
    for name, rate in zip(names, rates, strict=True):
        seen = [message for moment, message in reports[name] if moment >= begin]
        last = seen[-1]
        found["pairs"][name] = {
            "rate_hz": rate,
            "masks_per_s": round(len(seen) / wall, 2),
            "latency_ms": spread([message.latency for message in seen]),
            "dropped": dict(zip(last.drop_reason, map(int, last.drop_count), strict=True)),
        }
    if arguments.swap:
        moments = np.asarray(masks["p0"])
        steady = np.diff(moments[(moments >= begin) & (moments < swapped)])
        during = np.diff(moments[(moments >= swapped - steady.max()) & (moments <= loaded + 1.0)])
        found["swap"] = {
            "load_s": round(loaded - swapped, 2),
            "masks_meanwhile": int(((moments > swapped) & (moments < loaded)).sum()),
            "gap_before_ms": spread([float(gap) for gap in steady]),
            "gap_meanwhile_ms": spread([float(gap) for gap in during]),
        }
    return found


def main() -> None:
    """Measure, or be the cameras."""
    if len(sys.argv) > 2 and sys.argv[1] == "--be-cameras":
        run_cameras([float(rate) for rate in sys.argv[2].split(",")])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="30,30", help="Hz of the cameras of each pair")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--swap", action="store_true", help="another model takes over half-way")
    parser.add_argument("--param", action="append", default=[], help="name:=value for the node; may be repeated")
    parser.add_argument("--json", help="file for the measurements")
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments), indent=2)
    print(text)
    if arguments.json:
        Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
