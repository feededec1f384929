"""Play pairs through the node in a process of its own and collect what it publishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.children import python_module
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.nodes.demo.shots import Shot, shots
from rgbt_seg_ros.pipeline.health.choice import trained_alone
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream
from rgbt_seg_ros.resources import prepare_image_transport
from rgbt_seg_ros.scenes.faults import LATE, Fault
from rgbt_seg_ros.terminal import say

# Before the first import of rclpy.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
prepare_image_transport()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from rgbt_seg_ros.msg import FrameReport  # noqa: E402
from rgbt_seg_ros.nodes.conversions import image_message  # noqa: E402
from rgbt_seg_ros.nodes.demo.report import Received, Run, table, write  # noqa: E402
from rgbt_seg_ros.pipeline.drops import DropReason  # noqa: E402
from rgbt_seg_ros.pipeline.images import stamp_ns  # noqa: E402

NAMESPACE = "/rgbt_demo"
_START_TIMEOUT = 600.0
"""s; an engine that is built at the first start takes seconds, and minutes on a busy machine."""
_PROBES = 3
_PROBE_TIMEOUT = 300.0
_MOST_PER_SECOND = 30.0
_ANSWER_TIMEOUT = 30.0
"""s after which a pair is sent again: best effort may lose one, and a busy machine may take seconds for it."""
_ATTEMPTS = 3
_REFUSED = "configure refused"
"""In the node's log where it will never come up."""
_BROKEN = (DropReason.PAIR_ERROR, DropReason.PAIR_NOT_ALIGNED, DropReason.PAIR_OUT_OF_MEMORY)
"""Reasons that no overload explains."""
_ENCODINGS = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}


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
        self._publishers = {name: create(Image, f"{name}/image_raw", qos_profile_sensor_data) for name in STREAMS}
        # Of each camera what is sent late: when (time.monotonic, s), and the message.
        self._late: dict[Stream, deque[tuple[float, Image]]] = {name: deque() for name in STREAMS}
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
            self._send_due()
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def _send_due(self) -> None:
        for name, waiting in self._late.items():
            while waiting and waiting[0][0] <= time.monotonic():
                self._publishers[name].publish(waiting.popleft()[1])

    def connected(self) -> bool:
        """Return whether the node listens to both images and its masks reach this process."""
        listening = all(publisher.get_subscription_count() for publisher in self._publishers.values())
        return listening and bool(self.node.count_publishers(f"{NAMESPACE}/segmentation/report"))

    def publish(self, shot: Shot) -> int:
        """Publish what there is of a pair, stamped now; return its stamp in ns."""
        header = Header(frame_id="rgb_camera", stamp=self.node.get_clock().now().to_msg())
        messages = {
            "rgb": None if shot.rgb is None else image_message(header, shot.rgb),
            "thermal": None if shot.thermal is None else thermal_message(header, shot.thermal),
        }
        for name in STREAMS:
            message, waiting = messages[name], self._late[name]
            if message is not None:
                # A picture does not overtake a late one.
                due = time.monotonic() + LATE * (name in shot.late)
                waiting.append((max(due, waiting[-1][0] if waiting else 0.0), message))
        self._send_due()
        return stamp_ns(header)

    def close(self) -> None:
        """Destroy the node."""
        self.node.destroy_node()


def start_node(model: str, log: Path, frozen: bool = False) -> subprocess.Popen[bytes]:
    """Start the segmentation node as a process of its own; ``frozen``: whether it is to tell frozen cameras."""
    command = python_module("rgbt_seg_ros.nodes.segmentation_node", "--ros-args")
    # A pair that got lost is sent again: the node would take the same pictures for frozen cameras.
    command += ["-r", f"__ns:={NAMESPACE}", "-p", f"model.file:={model}", "-p", f"health.frozen:={str(frozen).lower()}"]
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


def play(
    frames: Sequence[Sample],
    what: str,
    model: str,
    output: Path,
    rate: float,
    faults: Sequence[Fault] = (),
    own_rate: float = 10.0,
) -> int:
    """Run the node on a sequence, write ``strip.png`` and ``table.md`` into ``output`` and print the table.

    With ``rate`` 0 each pair is sent when the one before has come back, so that a busy machine only takes longer. At a given
    rate (pairs per second) the table shows what the machine can do, drops by overload included.

    Args:
        frames: The sequence.
        what: It in words.
        model: A model file, or ``demo``.
        output: The folder.
        rate: Pairs per second; 0: in turn.
        faults: What goes wrong with the cameras; times are those of the sequence.
        own_rate: Frames per second of the sequence's own time, where ``rate`` is 0.

    Returns:
        0; 1 where something is broken (see ``is_broken``), or the node ended with an error.

    Raises:
        UserError: The node did not come up; its last words are in the sentence.
    """
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    in_turn = not rate
    sent = shots(frames, faults, rate or own_rate, trained_alone(read_spec(model)))
    with tempfile.TemporaryDirectory(prefix="rgbt_demo_") as folder:
        log = Path(folder, "node.log")
        process = start_node(model, log, frozen=bool(faults))
        try:
            rclpy.init()
            player = Player()
            print("starting the node …", flush=True)

            def failed() -> bool:
                return process.poll() is not None or _REFUSED in log.read_text(errors="replace")

            player.spin_until(lambda: player.connected() or failed(), _START_TIMEOUT)
            if failed() or not player.connected():
                raise UserError(f"demo: the node did not come up: {_last_line(log)}")
            # Other pictures than the first that counts: it would be one that comes again.
            before = _probe(player, [Shot(frame.rgb, frame.thermal) for frame in reversed(frames)])
            start = time.monotonic()
            if rate:
                stamps = send_at(player, sent, rate)
                due = {stamp for stamp, shot in zip(stamps, sent, strict=True) if shot.answered}
                player.spin_until(lambda: due <= set(player.received.reports), 10.0)
            else:
                stamps = send_in_turn(player, sent, lambda: process.poll() is None)
                rate = len(frames) / (time.monotonic() - start)
            player.close()
        finally:
            code = stop_node(process)
            rclpy.try_shutdown()
        run = Run(frames[: len(stamps)], stamps, player.received, before, rate, what, model, sent[: len(stamps)])
        write(run, output)
        print(table(run))
        print(f"picture strip: {output / 'strip.png'}")
        if code:
            say(f"the node ended with exit code {code}: {_last_line(log)}")
        return int(code != 0 or len(stamps) < len(frames) or is_broken(run, in_turn))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _probe(player: Player, frames: Sequence[Shot]) -> FrameReport:
    """Send single pairs until the node is warm; return the last report, whose counters the sequence starts from.

    The first pairs may get lost: discovery can match one of the two topics before the other.
    """
    reports = player.received.reports
    end = time.monotonic() + _PROBE_TIMEOUT
    for shot in cycle(frames):
        before = len(reports)
        if before >= _PROBES or time.monotonic() >= end:
            break
        player.publish(shot)
        player.spin_until(lambda: len(reports) > before, 2.0)  # noqa: B023  (used at once)
    if not reports:
        raise UserError(f"demo: the node is up, but gave no mask for single pairs within {_PROBE_TIMEOUT:g} s")
    # A pair that was sent beside a slow network is still on its way.
    player.spin_until(lambda: False, 0.5)
    return reports[max(reports)]


def send_at(player: Player, frames: Sequence[Shot], rate: float) -> list[int]:
    """Send the pairs at a rate (per second), whatever becomes of them; return their stamps, ns."""
    stamps = []
    start = time.monotonic()
    for index, frame in enumerate(frames):
        due = start + index / rate
        player.spin_until(lambda: time.monotonic() >= due, 1.0 / rate + 1.0)  # noqa: B023  (used at once)
        stamps.append(player.publish(frame))
    return stamps


def send_in_turn(player: Player, frames: Sequence[Shot], node_runs: Callable[[], bool]) -> list[int]:
    """Send each pair when the one before has come back, again where it is lost; return the stamps that count, ns.

    What no mask can be made of is not waited for.
    """
    stamps = []
    for frame in frames:
        due = time.monotonic() + 1.0 / _MOST_PER_SECOND
        for _ in range(_ATTEMPTS):
            stamp = player.publish(frame)
            done = not frame.answered or player.spin_until(
                lambda: player.received.has_all_of(stamp) or not node_runs(),  # noqa: B023  (used at once)
                _ANSWER_TIMEOUT,
            )
            if done:
                break
        stamps.append(stamp)
        if not node_runs():
            break
        player.spin_until(lambda: time.monotonic() >= due, 1.0)  # noqa: B023  (used at once)
    return stamps


def is_broken(run: Run, in_turn: bool) -> bool:
    """Return whether a run shows a fault, and not only a machine that is too slow for the rate.

    Sent in turn, everything that shows something has its mask. At a rate, overload drops pairs; but some masks come, and no
    pair fails.
    """
    if in_turn:
        return not run.due <= set(run.received.masks)
    drops = run.drops()
    return not set(run.stamps) & set(run.received.masks) or any(drops.get(reason, 0) for reason in _BROKEN)
