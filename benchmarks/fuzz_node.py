"""Sends seeded nonsense to the real node over DDS, and looks at what becomes of it.

    python benchmarks/fuzz_node.py [--messages 2000] [--seed 1] [--json OUT]

Raw and compressed images of any encoding, size, step, stamp and content, and camera_info messages of any numbers, to a node of
two camera pairs (``raw`` and ``squeezed``) in a process of its own. Exit code 1 where the node ended or logged a traceback, a
frame is not accounted for, memory grew by more than 400 MB, the log was flooded, or a good pair got no mask afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from rgbt_seg_ros.resources import prepare_image_transport

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
prepare_image_transport()

NAMESPACE = "/fuzz"
SIZE = (48, 64)
PATIENCE = 240.0
ENCODINGS = [
    *(
        "rgb8",
        "bgr8",
        "rgba8",
        "bgra8",
        "mono8",
        "8UC1",
        "mono16",
        "16UC1",
        "32FC1",
        "64FC1",
        "rgb16",
        "8UC3",
        "jpeg",
        "RGB8",
    ),
    *("bayer_rggb8", "bayer_gbrg16", "uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21", "nv24"),
    *("\N{SNOWMAN}", "", " ", "x" * 500),
]
FORMATS = [
    "jpeg",
    "png",
    "16UC1; jpeg compressed",
    "16UC1; compressedDepth png",
    "32FC1; compressedDepth rvl",
    "",
    "\N{SNOWMAN}",
]
INT32 = 2**31 - 1


class Camera:
    """Makes messages from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pixels = np.random.default_rng(seed)
        self.clock = 1_000_000_000_000

    def picture(self, thermal: bool) -> np.ndarray[Any, Any]:
        """Return noise: (H, W) or (H, W, 3) uint8."""
        return self._pixels.integers(0, 256, SIZE if thermal else (*SIZE, 3), dtype=np.uint8)

    def later(self) -> int:
        """Move the clock on by one frame and return it (ns)."""
        self.clock += 40_000_000
        return self.clock

    def header(self, stamp: int) -> Any:
        """Return the header of a stamp (ns)."""
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        return Header(frame_id="camera", stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9))

    def odd_header(self) -> Any:
        """Return a header that may be anything."""
        header = self.header(self.later() + self._random.choice([0, 0, 0, -(10**10), 10**7, 10**12]))
        if self._random.random() < 0.1:
            header.stamp.sec = self._random.choice([0, -1, INT32, -INT32 - 1])
        if self._random.random() < 0.1:
            header.stamp.nanosec = self._random.choice([0, 2**32 - 1, 10**9])
        if self._random.random() < 0.05:
            header.frame_id = self._random.choice(["", "/", "a" * 2000, "\N{SNOWMAN}\n\x1b[31m"])
        return header

    def raw(self, thermal: bool) -> Any:
        """Return an Image that may be anything."""
        from rgbt_seg_ros.nodes.conversions import image_message

        choose = self._random.choice
        message = image_message(self.odd_header(), self.picture(thermal))
        message.encoding = choose(ENCODINGS)
        if self._random.random() < 0.5:
            message.height, message.width = (
                choose([0, 1, 2, 3, 48, 64, 65, 1000, 70_000, 2**31, 2**32 - 1]) for _ in "hw"
            )
            message.step = choose([0, 1, message.width % 2**32, 3 * message.width % 2**32, 2**32 - 1])
        if self._random.random() < 0.3:
            message.data = message.data[: self._random.randrange(len(message.data) + 1)]
        message.is_bigendian = choose([0, 0, 1, 255])
        return message

    def compressed_data(self, thermal: bool) -> bytes:
        """Return a picture in a format that may be one of many."""
        buffer = io.BytesIO()
        kind = self._random.choice(["JPEG", "PNG", "JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
        Picture.fromarray(self.picture(thermal)).save(buffer, kind)
        return buffer.getvalue()

    def compressed(self, thermal: bool) -> Any:
        """Return a CompressedImage that may be anything."""
        from sensor_msgs.msg import CompressedImage

        data = bytearray(self.compressed_data(thermal))
        damage = self._random.random()
        if damage < 0.3:
            del data[self._random.randrange(len(data)) :]
        elif damage < 0.6:
            for _ in range(self._random.randrange(1, 60)):
                data[self._random.randrange(len(data))] = self._random.randrange(256)
        elif damage < 0.7:
            data = bytearray(self._random.randbytes(self._random.randrange(3000)))
        elif damage < 0.8 and data[:4] == b"\x89PNG":
            data[16:24] = self._random.choice([2**14, 2**16, 2**31 - 1]).to_bytes(4, "big") * 2
        return CompressedImage(header=self.odd_header(), format=self._random.choice(FORMATS), data=bytes(data))

    def good(self, thermal: bool, squeezed: bool, stamp: int) -> Any:
        """Return a message that deserves a mask."""
        from sensor_msgs.msg import CompressedImage

        from rgbt_seg_ros.nodes.conversions import image_message

        if not squeezed:
            return image_message(self.header(stamp), self.picture(thermal))
        buffer = io.BytesIO()
        Picture.fromarray(self.picture(thermal)).save(buffer, "PNG")
        return CompressedImage(header=self.header(stamp), format="png", data=buffer.getvalue())

    def info(self) -> Any:
        """Return a CameraInfo that may be anything."""
        from sensor_msgs.msg import CameraInfo

        def number() -> float:
            return self._random.choice([0.0, 1.0, -1.0, float("nan"), float("inf"), 1e308, 500.0, 320.5])

        choose = self._random.choice
        message = CameraInfo(header=self.odd_header(), distortion_model=choose(["", "plumb_bob", "equidistant", "x"]))
        message.height, message.width = (choose([0, 48, 64, 480, 2**32 - 1]) for _ in "hw")
        message.k = np.array([number() for _ in range(9)])
        message.r = np.array([number() for _ in range(9)])
        message.p = np.array([number() for _ in range(12)])
        message.d = [number() for _ in range(self._random.choice([0, 4, 5, 8, 12, 14, 200]))]
        message.binning_x = choose([0, 1, 2, 2**32 - 1])
        message.roi.width = choose([0, 1, 64, 2**32 - 1])
        return message


class Node:
    """The node in a process of its own, and a client beside it."""

    def __init__(self, folder: Path) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        options = {
            "pairs": "[raw,squeezed]",
            "model.input_size": "32x64",
            "runtime.threads": "1",
            "runtime.backend": "torch",
            # Each mask then belongs to an RGB frame, which is what the counts are compared by.
            "sync.fallback": "rgb",
            "squeezed.rgb.transport": "compressed",
            "squeezed.thermal.transport": "compressed",
        }
        command = [
            sys.executable,
            "-m",
            "rgbt_seg_ros.nodes.segmentation_node",
            "--ros-args",
            "-r",
            f"__ns:={NAMESPACE}",
        ]
        for name, value in options.items():
            command += ["-p", f"{name}:={value}"]
        self._log = folder / "node.log"
        with self._log.open("wb") as output:
            environment = {**os.environ, "RGBT_SEG_CACHE": str(folder / "cache")}
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        rclpy.init()
        self._node = rclpy.create_node("fuzz", namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.masks: set[tuple[str, int]] = set()
        self.statuses: list[Any] = []
        self._publishers = {}
        for pair, kind, suffix in (("raw", Image, ""), ("squeezed", CompressedImage, "/compressed")):
            for stream in ("rgb", "thermal"):
                topic = f"{pair}/{stream}/image_raw{suffix}"
                self._publishers[pair, stream] = self._node.create_publisher(kind, topic, 10)
            self._publishers[pair, "info"] = self._node.create_publisher(CameraInfo, f"{pair}/rgb/camera_info", 10)
            self._node.create_subscription(Image, f"{pair}/segmentation/mask", lambda m, p=pair: self._take(p, m), 10)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self.statuses.append, 10)

    def _take(self, pair: str, mask: Any) -> None:
        self.masks.add((pair, mask.header.stamp.sec * 10**9 + mask.header.stamp.nanosec))

    @property
    def log(self) -> str:
        """Return what the node has written."""
        return self._log.read_text(errors="replace")

    @property
    def memory(self) -> int:
        """Return the resident memory in MB; 0: the process has ended."""
        with contextlib.suppress(OSError, AttributeError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]
        return 0

    def send(self, pair: str, stream: str, message: Any) -> None:
        """Publish a message."""
        self._publishers[pair, stream].publish(message)

    def spin(self, seconds: float) -> None:
        """Receive for so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=min(0.02, seconds))

    def good_pair(self, camera: Camera, pair: str) -> bool:
        """Send good pairs until one of them has its mask; return whether one came in time."""
        end = time.monotonic() + PATIENCE
        camera.clock += 2 * 10**12
        sent = set()
        while time.monotonic() < end and self.process.poll() is None:
            stamp = camera.later()
            sent.add((pair, stamp))
            for stream in ("rgb", "thermal"):
                self.send(pair, stream, camera.good(stream == "thermal", pair == "squeezed", stamp))
            self.spin(0.2)
            if sent & self.masks:
                return True
        return False

    def counts(self) -> dict[str, dict[str, str]]:
        """Return the values of the newest diagnostic status of each pair."""
        self.statuses.clear()
        end = time.monotonic() + PATIENCE
        while len(self.statuses) < 2 and time.monotonic() < end and self.process.poll() is None:
            self.spin(0.1)
        newest = self.statuses[-1].status if self.statuses else []
        return {
            status.name.split()[-1]: {entry.key: entry.value for entry in status.values}
            for status in newest
            if ": segmentation " in status.name
        }

    def close(self) -> int:
        """End the node and return its exit code."""
        import rclpy

        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._node.destroy_node()
        rclpy.try_shutdown()
        return code


def unaccounted(values: dict[str, str], queue: int = 30) -> str:
    """Return in words which RGB frames of a pair are neither processed nor dropped nor waiting; empty: none."""
    dropped = {key.removeprefix("dropped "): int(value) for key, value in values.items() if key.startswith("dropped ")}
    of_rgb = sum(
        count
        for reason, count in dropped.items()
        if reason.startswith(("rgb_", "pair_")) and reason != "rgb_lost_in_transport"
    )
    missing = int(values["received rgb"]) - int(values["processed"]) - of_rgb
    return (
        "" if 0 <= missing <= queue + 2 else f"{missing} of {values['received rgb']} RGB frames are missing: {dropped}"
    )


def fuzz(messages: int, seed: int, folder: Path) -> dict[str, Any]:
    """Send the messages and return what was found; ``problems`` is empty where all is well."""
    camera, node, chooser = Camera(seed), Node(folder), random.Random(seed + 1)
    problems: list[str] = []
    start = time.monotonic()
    try:
        problems += [f"no first mask of {pair}" for pair in ("raw", "squeezed") if not node.good_pair(camera, pair)]
        before = node.memory
        for _ in range(messages):
            pair = chooser.choice(("raw", "squeezed"))
            stream = chooser.choice(("rgb", "rgb", "thermal", "thermal", "info"))
            make = camera.raw if pair == "raw" else camera.compressed
            node.send(pair, stream, camera.info() if stream == "info" else make(stream == "thermal"))
            node.spin(0.005)
        sent = time.monotonic() - start
        problems += [
            f"no mask of {pair} afterwards" for pair in ("raw", "squeezed") if not node.good_pair(camera, pair)
        ]
        counts = node.counts()
        problems += [f"{pair}: {text}" for pair, values in counts.items() if (text := unaccounted(values))]
        grown = node.memory - before
    finally:
        alive = node.process.poll() is None
        code = node.close()
    log = node.log
    lines = log.count("\n")
    found = {
        "the node ended by itself": not alive,
        f"it ended with code {code}": code != 0,
        "a traceback in its log": "Traceback" in log,
        "lines of OpenCV, libpng or libjpeg in its log": bool(re.search(r"libpng|Corrupt JPEG|(WARN|ERROR):\d+@", log)),
        f"memory grew by {grown} MB": grown > 400,
        f"{lines} lines in its log": lines > 200 + 4 * sent,
    }
    problems += [text for text, wrong in found.items() if wrong]
    return {
        "messages": messages,
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        "memory_grown_mb": grown,
        "log_lines": lines,
        "counts": counts,
        "problems": problems,
        "log": log[-4000:] if problems else "",
    }


def main() -> int:
    """Fuzz the node and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(args.messages, args.seed, Path(folder))
    text = json.dumps(report, indent=1)
    if args.json:
        args.json.write_text(text + "\n")
    print(text)
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
