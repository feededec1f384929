"""The replay launch file with the real launch and launch_ros, and the commands it chooses."""

from __future__ import annotations

import importlib.util
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


def test_a_bag_that_is_not_there_is_named_and_nothing_starts(run_launch, tmp_path):
    process, log = run_launch(bag=tmp_path / "missing")

    assert process.wait(180) == 1
    assert f"bag: {tmp_path / 'missing'}: no such bag" in log.read_text()
    assert "process started" not in log.read_text()


def test_the_cameras_are_found_by_name_or_named(bag):
    module = load()

    found = module.inspect(str(bag), "", "")
    assert (found.rgb, found.thermal) == ("/car/rgb/image_raw", "/car/thermal/image_raw")
    assert (found.has_clock, found.storage) == (False, "rosbag2_storage_mcap")
    swapped = module.inspect(str(bag), "/car/thermal/image_raw", "/car/rgb/image_raw")
    assert swapped.rgb == "/car/thermal/image_raw"
    with pytest.raises(RuntimeError, match="no topic /left; it has /car/rgb/image_raw"):
        module.inspect(str(bag), "/left", "")
    with pytest.raises(RuntimeError, match="expected bag:=PATH"):
        module.inspect("", "", "")


def test_a_compressed_camera_goes_by_its_raw_name(tmp_path):
    module = load()
    with BagWriter(tmp_path / "drive") as writer:
        for camera in ("rgb", "thermal"):
            writer.add_topic(f"/{camera}/image_raw/compressed", "sensor_msgs/msg/CompressedImage")

    for given in (("", ""), ("/rgb/image_raw", "/thermal/image_raw")):
        found = module.inspect(str(tmp_path / "drive"), *given)
        assert (found.rgb, found.thermal) == ("/rgb/image_raw", "/thermal/image_raw")
        assert found.topics == ("/rgb/image_raw/compressed", "/thermal/image_raw/compressed")


@pytest.mark.parametrize("rosbag2", [True, False])
def test_either_player_tells_the_time_and_waits_for_discovery(rosbag2):
    module = load()
    recording = module.Recording(
        Path("/drive"), "/rgb", "/thermal", ("/rgb", "/thermal"), rosbag2, "rosbag2_storage_mcap"
    )

    command = module.player_command(recording, rosbag2, "2.0", True, 2)
    assert ("ros2" in command) == rosbag2
    assert command[command.index("play") + 1] == "/drive"
    for option in (["--rate", "2.0"], ["--clock", "100"], ["--delay", "1.0"]):
        assert command[command.index(option[0]) + 1] == option[1]
    assert "--loop" in command
    # A time of the bag's own would contradict the player's; ours leaves it out by itself.
    assert (command[-2:] == ["--exclude-topics", "/clock"]) == rosbag2
    assert "--loop" not in module.player_command(recording, rosbag2, "1.0", False, 2)


@pytest.mark.parametrize("rosbag2", [True, False])
def test_either_recorder_goes_by_sim_time(rosbag2):
    command = load().recorder_command(Path("/out"), rosbag2)

    assert ("ros2" in command) == rosbag2
    assert {"--all", "--use-sim-time"} <= set(command)
    assert command[command.index("--output") + 1] == "/out"


def test_our_commands_are_ones_that_our_command_line_takes():
    from rgbt_seg_ros.cli import build_parser

    module = load()
    recording = module.Recording(Path("/drive"), "/rgb", "/thermal", ("/rgb", "/thermal"), False, "")
    played = build_parser().parse_args(module.player_command(recording, False, "2.0", True, 2)[3:])
    assert (played.rate, played.clock, played.delay, played.loop) == (2.0, 100.0, 1.0, True)
    assert dict(played.wait_for) == {"/rgb": 2, "/thermal": 2, "/clock": 2}
    kept = build_parser().parse_args(module.recorder_command(Path("/out"), False)[3:])
    assert (kept.all, kept.use_sim_time, kept.output) == (True, True, Path("/out"))


def test_auto_takes_rosbag2_where_it_is_whole(monkeypatch):
    module = load()
    here = {"ros2bag"}

    def prefix(package):
        if package not in here:
            raise module.PackageNotFoundError(package)
        return "/opt"

    monkeypatch.setattr(module, "get_package_prefix", prefix)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/bin/{name}")
    assert not module.use_rosbag2("auto", "rosbag2_storage_mcap")
    here.add("rosbag2_storage_mcap")
    assert module.use_rosbag2("auto", "rosbag2_storage_mcap")
    assert not module.use_rosbag2("rgbt_seg", "rosbag2_storage_mcap")
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert not module.use_rosbag2("auto", "rosbag2_storage_mcap")
    assert module.use_rosbag2("ros2")


@pytest.mark.parametrize(
    ("process", "code", "ending"),
    [
        ("bag_player-3", 0, "TimerAction"),
        ("bag_player-3", 2, "EmitEvent"),
        ("segmentation_node-1", 0, "EmitEvent"),
        ("bag_recorder-2", 2, "EmitEvent"),
        ("rviz2-2", 0, None),
    ],
)
def test_what_the_end_of_a_process_ends(process, code, ending):
    from types import SimpleNamespace

    event = SimpleNamespace(process_name=process, returncode=code)
    when_process_ends = load().when_process_ends
    actions = when_process_ends(event, SimpleNamespace(is_shutdown=False))
    assert [type(action).__name__ for action in actions] == ([ending] if ending else [])
    assert when_process_ends(event, SimpleNamespace(is_shutdown=True)) == []


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "nan", "inf", "1e-305", "1e12"])
def test_a_rate_that_nothing_can_be_played_at_is_refused(rate):
    with pytest.raises(RuntimeError, match="rate: "):
        load().legal(rate)
