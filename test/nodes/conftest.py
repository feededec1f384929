"""The real node in a process of its own, and a client beside it: real rclpy over real DDS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rgbt_seg_ros.resources import prepare_ros_environment

prepare_ros_environment()

try:
    import rclpy
except ImportError:
    rclpy = None
    collect_ignore_glob = ["test_conversions.py", "test_node*.py", "test_lifecycle.py"]

NAMESPACE = "/front"
NODE = f"{NAMESPACE}/rgbt_segmentation"
SIZE = (48, 64)
# Eager torch: an engine that is built would be built for every size of every test.
SMALL = {"model.input_size": "32x64", "runtime.threads": 1, "runtime.backend": "torch"}


class NodeProcess:
    """The node's process and its log."""

    def __init__(self, log, parameters, cache, params_file=None, stand_in=None):
        program = ["-m", "rgbt_seg_ros.nodes.segmentation_node"]
        if stand_in is not None:
            program = [str(Path(__file__).parent / "stand_in_node.py")]
        command = [sys.executable, *program, "--ros-args", "-r", f"__ns:={NAMESPACE}"]
        environment = {**os.environ, "STAND_IN": str(stand_in), "RGBT_SEG_CACHE": str(cache)}
        if params_file is not None:
            command += ["--params-file", str(params_file)]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    def stop(self, number=signal.SIGINT, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Client:
    """Publishes images, collects what the node publishes, calls its services."""

    def __init__(self):
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("client", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received = defaultdict(list)
        self._publishers = {}
        self.add_pair("")
        self._clock = 1_000_000_000_000

    def add_pair(self, prefix):
        """Publish the images of another camera pair too; its streams are ``PREFIXrgb`` and ``PREFIXthermal``."""
        from sensor_msgs.msg import Image

        for name in ("rgb", "thermal"):
            topic = f"{prefix}{name}/image_raw"
            self._publishers[prefix + name] = self.node.create_publisher(Image, topic, 10)

    def remove_pair(self, prefix):
        for name in ("rgb", "thermal"):
            self.node.destroy_publisher(self._publishers.pop(prefix + name))

    def listen(self, kind, topic, qos=10):
        self.node.create_subscription(kind, topic, self.received[topic].append, qos)
        return self.received[topic]

    def wait(self, done, timeout=30.0):
        """Spin until done() is true; fails the test after timeout seconds."""
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, f"nothing came within {timeout} s"
            self.executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def connect(self):
        self.wait(lambda: all(p.get_subscription_count() for p in self._publishers.values()), 60)

    def connected(self):
        return all(p.get_subscription_count() for p in self._publishers.values())

    def call(self, kind, name, request):
        client = self.node.create_client(kind, name)
        self.wait(client.service_is_ready, 60)
        # The answer is lost where the server has not discovered this client yet: asking again is what a person would do.
        for _ in range(6):
            future = client.call_async(request)
            end = time.monotonic() + 10
            while not future.done() and time.monotonic() < end:
                self.executor.spin_once(timeout_sec=0.02)
            if future.done():
                break
        assert future.done(), f"{name} did not answer"
        self.node.destroy_client(client)
        return future.result()

    def later(self, seconds=0.033):
        """Move the cameras' clock on by one frame at 30 Hz, or more, and return it, in ns."""
        self._clock += round(seconds * 1e9)
        return self._clock

    def image(self, stream, stamp, pixels=None, **changes):
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        from rgbt_seg_ros.nodes.conversions import image_message

        if pixels is None:
            shape = (*SIZE, 3) if stream.endswith("rgb") else SIZE
            pixels = np.random.default_rng(stamp % 1000).integers(0, 256, shape, dtype=np.uint8)
        header = Header(
            frame_id=f"{stream.replace('/', '_')}_frame", stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        )
        message = image_message(header, pixels)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def send(self, stream, stamp, pixels=None, **changes):
        message = self.image(stream, stamp, pixels, **changes)
        self._publishers[stream].publish(message)
        return message

    def close(self):
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def client():
    instance = Client()
    yield instance
    instance.close()


@pytest.fixture(scope="module")
def module_client():
    instance = Client()
    yield instance
    instance.close()


@pytest.fixture
def start(tmp_path):
    """Start a node with parameters; ended after the test.

    The folder of its engines is the test's own, or ``cache``: a node warms up for what others of its name have seen there.
    """
    started = []

    def begin(params_file=None, stand_in=None, cache=tmp_path / "cache", **parameters):
        # A file decides by itself: what -p says would win over it.
        given = parameters if params_file is not None else {**SMALL, **parameters}
        process = NodeProcess(tmp_path / f"node{len(started)}.log", given, cache, params_file, stand_in)
        started.append(process)
        return process

    yield begin
    for process in started:
        # In order, so that the middleware gives its shared memory back: 64 MB a process.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.stop(signal.SIGINT, timeout=5)


@pytest.fixture(scope="module")
def running(tmp_path_factory, module_client):
    """One active node for the tests of a module, with everything it publishes collected."""
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport, Segmentation

    folder = tmp_path_factory.mktemp("node")
    process = NodeProcess(folder / "node.log", SMALL, folder / "cache")
    for name in ("mask", "confidence", "overlay"):
        module_client.listen(Image, f"segmentation/{name}")
    module_client.listen(Segmentation, "segmentation/result")
    module_client.listen(FrameReport, "segmentation/report")
    try:
        module_client.connect()
        reports = module_client.received["segmentation/report"]
        # Discovery of the outputs' matches may trail that of the inputs': pairs are sent until a report comes back.
        for _ in range(60):
            if reports:
                break
            stamp = module_client.later()
            module_client.send("rgb", stamp)
            module_client.send("thermal", stamp)
            module_client.spin(0.5)
        assert reports, process.log
        # The 1 Hz look at the publishers' QoS has happened by now or happens before the first test's pair.
        module_client.spin(1.2)
        yield module_client
    finally:
        code = process.stop()
    assert code == 0, process.log
