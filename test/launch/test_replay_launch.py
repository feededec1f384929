"""The replay launch file with the real launch and launch_ros, and the commands it chooses."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.messages import header, image
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.bags.writer import BagWriter, qos

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "replay.launch.py"
# Eager torch: an engine that is built first would take longer than the bag.
PARAMETERS = """
/**:
  ros__parameters:
    model: {input_size: "32x64"}
    runtime: {threads: 1, backend: torch, precision: "fp32"}
"""
START = 1_700_000_000_000_000_000
SPACING = 200_000_000
COUNT = 8


@pytest.fixture
def bag(tmp_path):
    """Eight pairs at 5 Hz, on topics whose names tell the cameras."""
    random = np.random.default_rng(3)
    with BagWriter(tmp_path / "drive") as writer:
        for camera in ("rgb", "thermal"):
            writer.add_topic(f"/car/{camera}/image_raw", "sensor_msgs/msg/Image", [qos(depth=50)])
        for stamp in range(START, START + COUNT * SPACING, SPACING):
            for camera, shape in (("rgb", (48, 64, 3)), ("thermal", (48, 64))):
                pixels = random.integers(0, 256, shape, np.uint8)
                writer.write(f"/car/{camera}/image_raw", stamp, image(header(stamp, "optical"), pixels))
    return tmp_path / "drive"


def load():
    spec = importlib.util.spec_from_file_location("replay_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_bag_goes_through_the_node_into_a_recording_on_the_bags_time(run_launch, bag, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(PARAMETERS)
    output = tmp_path / "recording"
    process, log = run_launch(
        bag=bag, namespace="front", params_file=params, record=output, player="rgbt_seg", recorder="rgbt_seg"
    )
    assert process.wait(300) == 0, log.read_text()
    text = log.read_text()
    assert "escalating" not in text
    assert text.count("process has finished cleanly") == 3, text

    with Bag(bag) as played, Bag(output) as recorded:
        for topic in played.topics:
            sent, came = list(played.messages([topic])), list(recorded.messages([topic]))
            # The middleware fills up to a multiple of four bytes.
            assert len(came) == len(sent), text
            assert all(b.data[: len(a.data)] == a.data for a, b in zip(sent, came, strict=True))
        end = START + COUNT * SPACING
        # Of the bag's time, which stands still once the bag has ended; a busy machine may be late by any part of it.
        assert all(START <= message.log_time < START + 3600 * 10**9 for message in recorded.messages())
        reports = [recorded.decode(message) for message in recorded.messages(["/front/segmentation/report"])]
        masks = [recorded.decode(message) for message in recorded.messages(["/front/segmentation/mask"])]
    stamps = [mask.header.stamp.sec * 10**9 + mask.header.stamp.nanosec for mask in masks]
    # The last pair is never too late for the recording; a busy machine may have dropped others.
    assert stamps[-1] == START + (COUNT - 1) * SPACING
    assert set(stamps) <= set(range(START, end, SPACING))
    # By any other clock than /clock the latency would be that of years.
    assert all(-1 < report.latency < 60 for report in reports)


def test_a_model_that_is_refused_ends_everything_with_its_sentence(run_launch, bag, tmp_path):
    process, log = run_launch(bag=bag, model=tmp_path / "missing.safetensors", player="rgbt_seg")

    assert process.wait(180) == 1
    assert "missing.safetensors" in log.read_text().partition("Caught exception in launch")[2]
    assert "bag_player" not in log.read_text()
    assert "process has finished cleanly" in log.read_text()


def test_sigint_while_the_replay_waits_ends_all_of_it(run_launch, bag, tmp_path):
    # A node that waits for a lifecycle manager does not listen, so that the player never starts.
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters: {autostart: false}\n")
    process, log = run_launch(bag=bag, params_file=params, record=tmp_path / "out", recorder="rgbt_seg")
    wait_for(process, log, lambda text: text.count("process started with pid") == 2 and "recording to" in text)
    children = [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", log.read_text())]
    process.send_signal(signal.SIGINT)

    assert process.wait(180) == 0, log.read_text()
    assert "canceled" not in log.read_text()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_a_player_that_fails_is_the_launchs_failure(run_launch, bag, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(PARAMETERS)
    # Another option of the player's that the environment cannot give it: a bag that is gone once it has been looked at.
    process, log = run_launch(bag=bag, params_file=params, player="rgbt_seg")
    wait_for(process, log, lambda text: "process started with pid" in text)
    shutil.rmtree(bag)

    assert process.wait(240) == 1, log.read_text()
    assert "bag_player has failed with exit code 2" in log.read_text()


def wait_for(process, log, done):
    end = time.monotonic() + 180
    while not done(log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_a_bag_that_is_not_there_is_named_and_nothing_starts(run_launch, tmp_path):
    process, log = run_launch(bag=tmp_path / "missing")

    assert process.wait(180) == 1
    assert f"bag: {tmp_path / 'missing'}: no such bag" in log.read_text()
    assert "process started" not in log.read_text()


@pytest.mark.parametrize(
    ("process", "code", "ending"),
    [
        ("bag_player-3", 0, "TimerAction"),
        ("bag_player-3", 2, "OpaqueFunction"),
        ("bag_player-3", -2, "EmitEvent"),
        ("segmentation_node-1", 0, "EmitEvent"),
        ("segmentation_node-1", -11, "OpaqueFunction"),
        ("bag_recorder-2", 2, "OpaqueFunction"),
        ("rviz2-2", 0, None),
    ],
)
def test_what_the_end_of_a_process_ends(process, code, ending):
    from types import SimpleNamespace

    event = SimpleNamespace(process_name=process, returncode=code)
    module = load()
    when_process_ends = module.when_process_ends
    actions = when_process_ends(event, SimpleNamespace(is_shutdown=False, launch_configurations={}))
    assert [type(action).__name__ for action in actions] == ([ending] if ending else [])
    # A recorder that could not close its bag is a failure whenever it ends.
    # One that was stopped before anything was played had nothing to close.
    for configurations in ({}, {module.PLAYED: "true"}):
        late = when_process_ends(event, SimpleNamespace(is_shutdown=True, launch_configurations=configurations))
        assert bool(late) == (bool(configurations) and process.startswith("bag_recorder") and code != 0)
