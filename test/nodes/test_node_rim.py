"""No request and no message ends the node: what a stranger may send, over DDS, to the real node."""

from __future__ import annotations

import json
import os
from datetime import datetime
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from rgbt_seg_ros.network import read_model, write_model
from rgbt_seg_ros.network.model_file import METADATA_KEY

NODE = "/front/rgbt_segmentation"

PLANE = """
rgb: {width: 64, height: 48}
thermal: {width: 64, height: 48}
homography: [[1, 0, 0], [0, 1, 0], [0, 0, %s]]
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def segments(client):
    """Whether a pair that is sent now comes back as a mask."""
    from sensor_msgs.msg import Image

    if not client.received["segmentation/mask"]:
        client.listen(Image, "segmentation/mask")
        client.connect()
    before = len(client.received["segmentation/mask"])

    def send():
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp)

    client.until(lambda: len(client.received["segmentation/mask"]) > before, send)
    return True


def test_no_file_that_a_parameter_names_ends_or_stops_the_node(client, start, tmp_path):
    texts = {"bool": PLANE % "!!bool foo", "int": PLANE % '!!int ""', "time": PLANE % "!!timestamp x", "bomb": BOMB}
    files = {name: tmp_path / f"{name}.yaml" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    files["fifo"] = tmp_path / "fifo.yaml"
    os.mkfifo(files["fifo"])
    node = start()
    assert segments(client)
    for file in (*files.values(), "/dev/zero", "/proc/self/maps"):
        answer = client.set_parameter("alignment.calibration", str(file))
        assert not answer.successful
        assert str(file) in answer.reason
        assert len(answer.reason) < 1000
        assert client.parameters("alignment.calibration") == [""]
    assert segments(client)
    assert "Traceback" not in node.log


def test_a_model_with_a_number_too_large_for_a_float_is_refused_and_the_old_one_stays(client, start, tmp_path):
    spec, network = read_model("demo")
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    write_model(good, spec, network.state_dict())
    with safe_open(good, "np") as file:
        fields = json.loads(file.metadata()[METADATA_KEY])
    save_file(network.state_dict(), bad, {METADATA_KEY: json.dumps({**fields, "temperature": 10**400})})
    node = start()
    assert segments(client)
    answer = client.set_parameter("model.file", str(bad))
    assert not answer.successful
    assert "temperature: a number of 401 digits" in answer.reason
    assert client.parameters("model.file") == ["demo"]
    assert segments(client)
    assert "Traceback" not in node.log


def test_a_parameter_of_an_unknown_type_is_refused_by_name_and_those_before_it_are_set(client, start):
    from rcl_interfaces.msg import Parameter as Message
    from rcl_interfaces.msg import ParameterValue
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically
    from rclpy.parameter import Parameter

    node = start(autostart=False)
    good = Parameter("sync.slop", value=0.125).to_parameter_msg()
    bad = Message(name="sync.queue_size", value=ParameterValue(type=200))
    for _ in range(3):
        request = SetParameters.Request(parameters=[good, bad])
        results = client.call(SetParameters, f"{NODE}/set_parameters", request)[0].results
        assert [entry.successful for entry in results] == [True, False]
        assert results[1].reason.startswith("sync.queue_size: ")
        request = SetParametersAtomically.Request(parameters=[bad])
        assert not client.call(SetParametersAtomically, f"{NODE}/set_parameters_atomically", request)[
            0
        ].result.successful
    assert client.parameters("sync.slop") == [0.125]
    # Once for each cause.
    assert node.log.count("the node goes on") == 2


@pytest.mark.parametrize("seconds", [-1, -(2**31)])
def test_a_clock_before_zero_does_not_end_a_node_in_simulated_time(client, start, seconds):
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    node = start(use_sim_time=True)
    publisher = client.node.create_publisher(Clock, "/clock", 10)
    client.until(
        lambda: "/clock: ValueError" in node.log, lambda: publisher.publish(Clock(clock=Time(sec=seconds, nanosec=5)))
    )
    publisher.publish(Clock(clock=Time(sec=100)))
    assert segments(client)
    assert node.log.count("/clock: ValueError") == 1


def test_a_text_that_is_no_choice_is_refused_when_it_is_set(client, start):
    start(autostart=False)
    for name, value, words in (
        ("sync.policy", "neares", "'neares' is not one of nearest, approximate, exact"),
        ("runtime.backend", "tensorflow", "is not one of auto"),
        ("model.input_size", "big", "model.input_size: "),
        ("runtime.worker_cores", "0-x", "runtime.worker_cores: "),
        ("pairs", ["a b"], "pairs: 'a b'"),
    ):
        before = client.parameters(name)
        answer = client.set_parameter(name, value)
        assert not answer.successful
        assert words in answer.reason
        assert client.parameters(name) == before
    assert client.set_parameter("sync.policy", "nearest").successful


def test_a_misspelt_parameter_of_a_file_is_named_with_the_nearest_known_one(client, start, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    model.input_size: 32x64\n    runtime.backend: torch\n    runtime.treads: 1\n"
        "    slop: 0.1\n    robot_name: anna\n    pairs: [front]\n    front:\n      thermal.presett: centikelvin\n"
    )
    node = start(params_file=file)
    client.wait(lambda: "active: listening to" in node.log)
    for name, meant in (("runtime.treads", "runtime.threads"), ("slop", "sync.slop")):
        assert f"{name}: not a parameter of this node, so it has no effect; did you mean {meant}?" in node.log
    assert "did you mean front.thermal.preset?" in node.log
    assert "robot_name: not a parameter of this node, so it has no effect\n" in node.log


def test_the_log_names_what_is_missing_and_every_change_once(client, start):
    from std_msgs.msg import String
    from std_srvs.srv import SetBool

    client.node.destroy_publisher(client._publishers.pop("thermal"))
    wrong = client.node.create_publisher(String, "thermal/image_raw", 10)
    node = start()
    client.wait(lambda: "no images on /front/rgb/image_raw: 1 publisher(s), nothing arrives" in node.log)
    assert (
        "no images on /front/thermal/image_raw: its publisher sends std_msgs/msg/String, expected sensor_msgs/msg/Image"
        in node.log
    )
    assert ("vision_msgs is not installed" in node.log) == (find_spec("vision_msgs") is None)
    client.node.destroy_publisher(wrong)
    client.add_pair("")

    def apart():
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp + 10**11)

    client.until(lambda: "none are paired: their stamps are 9" in node.log, apart)
    assert "and sync.slop is 0.05 s; the drivers stamp with different clocks" in node.log
    for value in (False, True):
        assert client.call(SetBool, f"{NODE}/enable", SetBool.Request(data=value))[0].success
    client.wait(lambda: "enabled by ~/enable" in node.log and "disabled by ~/enable" in node.log)
    assert node.log.count("no images on /front/rgb/image_raw: 1 publisher(s)") == 1


def test_debug_says_something_of_each_pair_and_nothing_is_said_of_it_otherwise(client, start):
    node = start(level="debug")
    assert segments(client)
    client.wait(lambda: "since the last look: " in node.log)
    client.wait(lambda: "ms; latency" in node.log or "1 in one run; ms: wait" in node.log)


def test_sizes_that_change_with_every_frame_neither_flood_the_log_nor_fill_memory(client, start):
    node = start()
    assert segments(client)
    lines = node.log.count("\n")
    rng = np.random.default_rng(0)
    began = datetime.now()
    for number in range(60):
        stamp = client.later()
        height, width = 40 + number, 64
        client.send("rgb", stamp, rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        client.send("thermal", stamp)
        client.spin(0.1)
    assert segments(client)
    seconds = (datetime.now() - began).total_seconds()
    assert node.log.count("engine: building for RGB images") <= 7 + seconds / 10
    assert node.log.count("\n") - lines <= 30 + seconds
    assert "change their size all the time" in node.log
