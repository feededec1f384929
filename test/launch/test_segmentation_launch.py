"""The launch file with the real launch and launch_ros: the node that it starts, and how it ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "segmentation.launch.py"
PARAMETERS = """
/**:
  ros__parameters:
    model: {input_size: "32x64"}
    sync: {slop: 0.02}
    runtime: {threads: 1, precision: "fp32"}
"""
# Pictures of one value would be those of broken cameras.
RANDOM = np.random.default_rng(0)


@pytest.fixture
def params_file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMETERS)
    return path


@pytest.fixture
def client():
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("launch_client", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.spin_until = lambda done, process, log, step=lambda: None: spin_until(executor, done, process, log, step)
    yield node
    node.destroy_node()
    context.try_shutdown()


def spin_until(executor, done, process, log, step):
    end = time.monotonic() + 180
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        step()
        executor.spin_once(timeout_sec=0.1)


def call(client, kind, name, request, process, log):
    caller = client.create_client(kind, name)
    client.spin_until(caller.service_is_ready, process, log)
    # An answer is lost where the server has not yet discovered its way back: ask again. The first answer that comes counts.
    futures, due = [], [0.0]

    def ask():
        if time.monotonic() >= due[0]:
            futures.append(caller.call_async(request))
            due[0] = time.monotonic() + 10

    client.spin_until(lambda: any(future.done() for future in futures), process, log, ask)
    return next(future.result() for future in futures if future.done())


def parameters(client, node, names, process, log):
    from rcl_interfaces.srv import GetParameters
    from rclpy.parameter import parameter_value_to_python

    answer = call(client, GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names), process, log)
    return [parameter_value_to_python(value) for value in answer.values]


def test_masks_come_out_of_the_topics_it_was_given_and_sigint_ends_it(run_launch, client, params_file):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from rgbt_seg_ros.nodes.conversions import image_message

    process, log = run_launch(
        namespace="front", rgb_topic="/camera/color", thermal_topic="lwir", params_file=params_file, device="cpu"
    )
    publishers = [
        client.create_publisher(Image, topic, qos_profile_sensor_data) for topic in ("/camera/color", "/front/lwir")
    ]
    masks = []
    client.create_subscription(Image, "/front/segmentation/mask", masks.append, 10)

    def publish():
        header = Header(frame_id="optical", stamp=client.get_clock().now().to_msg())
        for publisher, shape in zip(publishers, ((48, 64, 3), (48, 64)), strict=True):
            publisher.publish(image_message(header, RANDOM.integers(0, 256, shape, np.uint8)))

    client.spin_until(lambda: masks, process, log, publish)
    assert (masks[0].header.frame_id, masks[0].width, masks[0].height) == ("optical", 64, 48)

    # What an argument names comes from it, the rest from the file, and from the node where neither says anything.
    names = ["runtime.device", "model.input_size", "sync.slop", "model.file", "autostart", "use_sim_time"]
    values = parameters(client, "/front/rgbt_segmentation", names, process, log)
    assert values == ["cpu", "32x64", 0.02, "demo", True, False]

    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, log.read_text()
    assert "process has finished cleanly" in log.read_text()
    assert "escalating" not in log.read_text()


def test_without_autostart_a_lifecycle_manager_configures_it(run_launch, client, params_file):
    from lifecycle_msgs.msg import State, Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    process, log = run_launch(autostart="false", use_sim_time="true", params_file=params_file)
    node = "/rgbt_segmentation"
    state = call(client, GetState, f"{node}/get_state", GetState.Request(), process, log).current_state
    assert state.id == State.PRIMARY_STATE_UNCONFIGURED
    assert parameters(client, node, ["autostart", "use_sim_time"], process, log) == [False, True]

    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    call(client, ChangeState, f"{node}/change_state", request, process, log)
    state = call(client, GetState, f"{node}/get_state", GetState.Request(), process, log).current_state
    assert state.id == State.PRIMARY_STATE_INACTIVE


def test_a_params_file_that_is_not_there_is_named(run_launch, tmp_path):
    process, log = run_launch(params_file=tmp_path / "missing.yaml")

    assert process.wait(180) == 1
    assert f"params_file: {tmp_path / 'missing.yaml'} is not there" in log.read_text()


def test_a_wrong_log_level_is_refused_with_the_legal_ones(run_launch):
    process, log = run_launch(log_level="loud")

    assert process.wait(180) == 1
    assert "'debug', 'info', 'warn', 'error', 'fatal'" in log.read_text()


def test_masks_of_several_pairs_come_out_below_their_names(run_launch, client, params_file):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from rgbt_seg_ros.nodes.conversions import image_message

    process, log = run_launch(
        pairs="ahead,rear", rgb_topic="/cameras/{pair}/color", params_file=params_file, device="cpu"
    )
    publishers = [
        (client.create_publisher(Image, topic, qos_profile_sensor_data), shape)
        for pair in ("ahead", "rear")
        for topic, shape in ((f"/cameras/{pair}/color", (48, 64, 3)), (f"/{pair}/thermal/image_raw", (48, 64)))
    ]
    masks = {"ahead": [], "rear": []}
    for pair, received in masks.items():
        client.create_subscription(Image, f"/{pair}/segmentation/mask", received.append, 10)

    def publish():
        header = Header(frame_id="optical", stamp=client.get_clock().now().to_msg())
        for publisher, shape in publishers:
            publisher.publish(image_message(header, RANDOM.integers(0, 256, shape, np.uint8)))

    client.spin_until(lambda: all(masks.values()), process, log, publish)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, log.read_text()


def test_rviz_that_is_missing_leaves_nothing_behind(run_launch, params_file):
    process, log = run_launch(params_file=params_file, rviz="true")

    assert process.wait(180) == 1
    assert "rviz: the package rviz2 is not installed" in log.read_text()
    assert "process started" not in log.read_text()
