"""The bag of a replay, and the commands that the launch file chooses; needs no launch."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from rgbt_seg_ros.commands.bag.play import rate
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.launching import replay


@pytest.fixture
def bag(tmp_path):
    """Two topics whose names tell the cameras."""
    with BagWriter(tmp_path / "drive") as writer:
        for camera in ("rgb", "thermal"):
            writer.add_topic(f"/car/{camera}/image_raw", "sensor_msgs/msg/Image")
    return tmp_path / "drive"


def test_the_cameras_are_found_by_name_or_named(bag):
    found = replay.inspect(str(bag), "", "")
    assert (found.rgb, found.thermal) == ("/car/rgb/image_raw", "/car/thermal/image_raw")
    assert (found.has_clock, found.storage) == (False, "rosbag2_storage_mcap")
    swapped = replay.inspect(str(bag), "/car/thermal/image_raw", "/car/rgb/image_raw")
    assert swapped.rgb == "/car/thermal/image_raw"
    with pytest.raises(UserError, match="no topic /left; it has /car/rgb/image_raw"):
        replay.inspect(str(bag), "/left", "")
    with pytest.raises(UserError, match="expected bag:=PATH"):
        replay.inspect("", "", "")


def test_a_compressed_camera_goes_by_its_raw_name(tmp_path):
    with BagWriter(tmp_path / "drive") as writer:
        for camera in ("rgb", "thermal"):
            writer.add_topic(f"/{camera}/image_raw/compressed", "sensor_msgs/msg/CompressedImage")

    for given in (("", ""), ("/rgb/image_raw", "/thermal/image_raw")):
        found = replay.inspect(str(tmp_path / "drive"), *given)
        assert (found.rgb, found.thermal) == ("/rgb/image_raw", "/thermal/image_raw")
        assert found.topics == ("/rgb/image_raw/compressed", "/thermal/image_raw/compressed")


@pytest.mark.parametrize("rosbag2", [True, False])
def test_either_player_tells_the_time_and_waits_for_discovery(rosbag2):
    recording = replay.Recording(
        Path("/drive"), "/rgb", "/thermal", ("/rgb", "/thermal"), rosbag2, "rosbag2_storage_mcap"
    )

    command = replay.player_command(recording, rosbag2, "2.0", True, 2)
    assert ("ros2" in command) == rosbag2
    assert command[command.index("play") + 1] == "/drive"
    for option in (["--rate", "2.0"], ["--clock", "100"], ["--delay", "1.0"]):
        assert command[command.index(option[0]) + 1] == option[1]
    assert "--loop" in command
    # A time of the bag's own would contradict the player's; ours leaves it out by itself.
    assert (command[-2:] == ["--exclude-topics", "/clock"]) == rosbag2
    assert "--loop" not in replay.player_command(recording, rosbag2, "1.0", False, 2)


@pytest.mark.parametrize("rosbag2", [True, False])
def test_either_recorder_goes_by_sim_time(rosbag2):
    command = replay.recorder_command(Path("/out"), rosbag2)

    assert ("ros2" in command) == rosbag2
    assert {"--all", "--use-sim-time"} <= set(command)
    assert command[command.index("--output") + 1] == "/out"


def test_our_commands_are_ones_that_our_command_line_takes():
    from rgbt_seg_ros.cli import build_parser

    recording = replay.Recording(Path("/drive"), "/rgb", "/thermal", ("/rgb", "/thermal"), False, "")
    command = replay.player_command(recording, False, "2.0", True, 2)
    played = build_parser().parse_args(command[command.index("bag") :])
    assert (played.rate, played.clock, played.delay, played.loop) == (2.0, 100.0, 1.0, True)
    assert dict(played.wait_for) == {"/rgb": 2, "/thermal": 2, "/clock": 2}
    command = replay.recorder_command(Path("/out"), False)
    kept = build_parser().parse_args(command[command.index("bag") :])
    assert (kept.all, kept.use_sim_time, kept.output) == (True, True, Path("/out"))


def test_auto_takes_rosbag2_where_it_is_whole(monkeypatch):
    here = {"ros2bag"}

    def uses_rosbag2(choice, *storages):
        return replay.use_rosbag2(choice, here.__contains__, *storages)

    monkeypatch.setattr(replay.shutil, "which", lambda name: f"/bin/{name}")
    assert not uses_rosbag2("auto", "rosbag2_storage_mcap")
    here.add("rosbag2_storage_mcap")
    assert uses_rosbag2("auto", "rosbag2_storage_mcap")
    assert not uses_rosbag2("rgbt_seg", "rosbag2_storage_mcap")
    monkeypatch.setattr(replay.shutil, "which", lambda name: None)
    assert not uses_rosbag2("auto", "rosbag2_storage_mcap")
    assert uses_rosbag2("ros2")


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "nan", "inf", "1e-305", "1e12"])
def test_a_rate_that_nothing_can_be_played_at_is_refused(rate):
    with pytest.raises(UserError, match="rate: "):
        replay.checked_rate(rate)


@pytest.mark.parametrize("end", replay.RATES)
def test_the_rates_are_those_of_the_player(end):
    assert rate(replay.checked_rate(f"{end:g}")) == end
    for beyond in (end * 0.9, end * 1.1):
        if not replay.RATES[0] <= beyond <= replay.RATES[1]:
            with pytest.raises(ArgumentTypeError):
                rate(f"{beyond:g}")


def test_several_cameras_are_told_by_the_launch_arguments_that_choose(tmp_path):
    with BagWriter(tmp_path / "drive") as writer:
        for topic in ("/left/rgb/image", "/right/rgb/image", "/thermal/image"):
            writer.add_topic(topic, "sensor_msgs/msg/Image")

    with pytest.raises(UserError, match=r"^bag: .*choose one with rgb_topic:="):
        replay.inspect(str(tmp_path / "drive"), "", "")


def test_a_recording_that_exists_is_not_written_into(tmp_path):
    with pytest.raises(UserError, match=r"record: .* exists already"):
        replay.output_folder(str(tmp_path))
    assert replay.output_folder("") is None
    assert replay.output_folder(f"{tmp_path}/new") == tmp_path / "new"
