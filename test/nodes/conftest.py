"""The real node in a process of its own, and a client beside it: real rclpy over real DDS."""

from __future__ import annotations

import contextlib
import math
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
from test.nodes.warm import Nursery

prepare_ros_environment()

try:
    import rclpy
except ImportError:
    rclpy = None
    collect_ignore_glob = ["test_conversions.py", "test_node*.py", "test_lifecycle.py"]

NAMESPACE = "/front"
NODE = f"{NAMESPACE}/rgbt_segmentation"
MODULE = "rgbt_seg_ros.nodes.segmentation_node"
SIZE = (48, 64)
PATIENCE = 180.0
"""s until a test fails because something is missing. A machine that is ten times slower than others gets there in time."""
# Eager torch: an engine that is built would be built for every size of every test.
# No masks of one camera: most tests send what no camera would, such as the same picture again.
SMALL = {"model.input_size": "32x64", "runtime.threads": 1, "runtime.backend": "torch", "sync.fallback": "none"}
OUTPUTS = ("mask", "confidence", "overlay", "result", "report")


class NodeProcess:
    """The node's process and its log; without a nursery it starts cold, as a person starts it."""

    def __init__(self, log, parameters, cache, params_file=None, stand_in=None, level="info", nursery=None):
        program = MODULE if stand_in is None else str(Path(__file__).parent / "stand_in_node.py")
        arguments = ["--ros-args", "-r", f"__ns:={NAMESPACE}"]
        arguments += ["--log-level", f"{NODE[1:].replace('/', '.')}:={level}"]
        environment = {**os.environ, "STAND_IN": str(stand_in), "RGBT_SEG_CACHE": str(cache)}
        if params_file is not None:
            arguments += ["--params-file", str(params_file)]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        self._log = log
        if nursery is not None:
            self.process = nursery.start(program, arguments, environment, log)
            return
        command = [sys.executable, *(["-m", program] if program == MODULE else [program]), *arguments]
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
        self._publishers, self._callers = {}, {}
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

    def within(self, done, seconds):
        """Spin until done() is true; return whether that came within so many seconds."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    def wait(self, done, timeout=PATIENCE):
        """Spin until done() is true; fails the test after timeout seconds."""
        assert self.within(done, timeout), f"nothing came within {timeout} s"

    def spin(self, seconds):
        self.within(lambda: False, seconds)

    def until(self, done, send, pause=0.05):
        """Call send() again and again until done() is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            send()
            self.spin(pause)
            if done():
                return
        raise AssertionError("it never came")

    def at(self, topic, stamp):
        """Return what came on a topic with a stamp, ns."""
        stamps = ((message, message.header.stamp) for message in self.received[topic])
        return [message for message, found in stamps if found.sec * 10**9 + found.nanosec == stamp]

    def until_seen(self, send, topics):
        """Call send(stamp) until something of that stamp has come on all topics; return the stamp.

        One at a time, so that nothing is on its way any more. What is sent before discovery has ended is lost.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            stamp = self.later()
            send(stamp)
            if self.within(lambda s=stamp: all(self.at(topic, s) for topic in topics), 2.0):
                return stamp
        raise AssertionError(f"nothing came back whole on {topics} {[(t, len(self.received[t])) for t in topics]}")

    def connect(self):
        """Wait until the node listens to every stream as it is published.

        Where it subscribes before it knows of the publisher, it subscribes again within a second: what is sent just then is lost.
        """
        self.wait(lambda: all(self._is_listened_to(publisher) for publisher in self._publishers.values()))

    def _is_listened_to(self, publisher):
        from rclpy.qos import ReliabilityPolicy

        found = self.node.get_subscriptions_info_by_topic(publisher.topic_name)
        reliable = all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in found)
        return reliable and publisher.get_subscription_count() == len(found) > 0

    def connected(self):
        return all(p.get_subscription_count() for p in self._publishers.values())

    def call(self, kind, name, request):
        """Return the first answer of a service, and how often it was asked."""
        if name not in self._callers:
            self._callers[name] = self.node.create_client(kind, name)
        caller, futures, due = self._callers[name], [], -math.inf
        self.wait(caller.service_is_ready)

        def answered():
            nonlocal due
            # The answer is lost where the server has not discovered this client yet: asking again is what a person would do.
            if time.monotonic() >= due:
                futures.append(caller.call_async(request))
                due = time.monotonic() + 20
            return any(future.done() for future in futures)

        self.wait(answered)
        return next(future.result() for future in futures if future.done()), len(futures)

    def state(self):
        """Return the label of the node's state."""
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, f"{NODE}/get_state", GetState.Request())[0].current_state.label

    def change(self, transition):
        """Ask for a transition; return whether it was made."""
        from lifecycle_msgs.srv import ChangeState

        before, request = self.state(), ChangeState.Request()
        request.transition.id = transition
        answer, times = self.call(ChangeState, f"{NODE}/change_state", request)
        # Who asks again, because the answer was lost, is refused: the state tells.
        return answer.success or (times > 1 and self.state() != before)

    def set_parameter(self, name, value):
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.call(SetParameters, f"{NODE}/set_parameters", request)[0].results[0]

    def parameters(self, *names):
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        answer, _ = self.call(GetParameters, f"{NODE}/get_parameters", GetParameters.Request(names=names))
        return [parameter_value_to_python(value) for value in answer.values]

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
            pixels = np.random.default_rng(stamp // 10**6).integers(0, 256, shape, dtype=np.uint8)
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


@pytest.fixture(scope="session")
def warm():
    """What starts nodes that need not import first; there is one for all tests of this process."""
    instance = Nursery()
    yield instance
    instance.close()


@pytest.fixture(scope="module")
def nursery(request):
    """As ``warm``; None in a module that has COLD_START, because it is about what a node does while it starts."""
    return None if getattr(request.module, "COLD_START", False) else request.getfixturevalue("warm")


@pytest.fixture
def start(tmp_path, nursery):
    """Start a node with parameters; ended after the test.

    The folder of its engines is the test's own, or ``cache``: a node warms up for what others of its name have seen there.
    """
    started = []

    def begin(params_file=None, stand_in=None, cache=tmp_path / "cache", level="info", **parameters):
        # A file decides by itself: what -p says would win over it.
        given = parameters if params_file is not None else {**SMALL, **parameters}
        process = NodeProcess(tmp_path / f"node{len(started)}.log", given, cache, params_file, stand_in, level, nursery)
        started.append(process)
        return process

    yield begin
    for process in started:
        # In order, so that the middleware gives its shared memory back: 64 MB a process.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.stop(signal.SIGINT, timeout=5)


@pytest.fixture(scope="module")
def module_start(tmp_path_factory, nursery):
    """Start a node for the tests of a module, with parameters."""
    folder, started = tmp_path_factory.mktemp("nodes"), []

    def begin(**parameters):
        log = folder / f"node{len(started)}.log"
        started.append(NodeProcess(log, {**SMALL, **parameters}, folder / "cache", nursery=nursery))
        return started[-1]

    yield begin
    for process in started:
        assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def running(tmp_path_factory, module_client, nursery):
    """One active node for the tests of a module, with everything it publishes collected."""
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport, Segmentation

    folder = tmp_path_factory.mktemp("node")
    process = NodeProcess(folder / "node.log", SMALL, folder / "cache", nursery=nursery)
    for name in ("mask", "confidence", "overlay"):
        module_client.listen(Image, f"segmentation/{name}")
    module_client.listen(Segmentation, "segmentation/result")
    module_client.listen(FrameReport, "segmentation/report")
    try:
        module_client.connect()

        def send(stamp):
            module_client.send("rgb", stamp)
            module_client.send("thermal", stamp)

        # What is published only while somebody listens must have discovered that somebody does.
        module_client.until_seen(send, [f"segmentation/{name}" for name in OUTPUTS])
        yield module_client
    finally:
        code = process.stop()
    assert code == 0, process.log
