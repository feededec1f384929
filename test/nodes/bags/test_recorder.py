"""Recording live topics into a bag, from a process as a person would start it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.messages import header, image, make
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.bags.writer import BagWriter, qos

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="needs ROS 2")

START = 1_700_000_000_000_000_000
SPACING = 20_000_000
COUNT = 50
STRING = "std_msgs/msg/String"


@pytest.fixture
def start(tmp_path):
    """Start a `rgbt-seg bag` action; what is left of it is killed after the test."""
    started = []

    def begin(*arguments):
        command = [sys.executable, "-m", "rgbt_seg_ros.cli", "bag", *map(str, arguments)]
        log = tmp_path / f"{arguments[0]}{len(started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        process.log = log
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def wait_for(process, text):
    end = time.monotonic() + 180
    while text not in process.log.read_text():
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < end, process.log.read_text()
        time.sleep(0.05)


def stop(process, number=signal.SIGINT):
    process.send_signal(number)
    assert process.wait(180) == 0, process.log.read_text()


def test_what_is_played_is_what_is_recorded_at_the_times_of_clock(tmp_path, start):
    random = np.random.default_rng(3)
    with BagWriter(tmp_path / "drive") as writer:
        writer.add_topic("/rgb/image_raw", "sensor_msgs/msg/Image", [qos(depth=COUNT)])
        writer.add_topic("/note", STRING, [qos(latched=True, depth=1)])
        writer.write("/note", START, make(STRING, data="at the start"))
        for log_time in range(START, START + COUNT * SPACING, SPACING):
            pixels = random.integers(0, 256, (24, 32, 3), np.uint8)
            writer.write("/rgb/image_raw", log_time, image(header(log_time - 7_000_000, "optical"), pixels))

    recorder = start("record", "--all", "--use-sim-time", "-o", tmp_path / "again")
    wait_for(recorder, "recording to")
    player = start("play", tmp_path / "drive", "--wait-for", "/rgb/image_raw", "/note", "/clock")
    assert player.wait(180) == 0, player.log.read_text()
    time.sleep(0.2)
    stop(recorder)

    assert re.search(rf"/rgb/image_raw +{COUNT}\n", recorder.log.read_text())
    with Bag(tmp_path / "drive") as played, Bag(tmp_path / "again") as again:
        # The nodes' own /parameter_events may be there, too.
        assert set(again.topics) - {"/parameter_events"} == set(played.topics)
        for name, topic in played.topics.items():
            assert (again.topics[name].type, again.topics[name].digest) == (topic.type, topic.digest)
            assert again.topics[name].qos[0][2:4] == topic.qos[0][2:4]
            theirs, ours = list(played.messages([name])), list(again.messages([name]))
            # The middleware fills up to a multiple of four bytes.
            assert all(b.data[: len(a.data)] == a.data for a, b in zip(theirs, ours, strict=True))
            # By /clock, not by the machine's time; a busy machine may be late by any part of the bag.
            times = [message.log_time for message in ours]
            assert START <= times[0] <= times[-1] < START + 3600 * 10**9
            assert times == sorted(times)


def test_all_leaves_hidden_topics_out_and_sigterm_ends_it_with_the_bag_complete(tmp_path, start, client):
    from std_msgs.msg import String

    publishers = [client.node.create_publisher(String, name, 10) for name in ("/talk", "/_hidden")]
    recorder = start("record", "--all", "--storage", "sqlite3", "-o", tmp_path / "talk")
    client.wait(publishers[0].get_subscription_count)
    # This machine's own topics, such as /rosout, are recorded, too.
    for index in range(5):
        for publisher in publishers:
            publisher.publish(String(data=f"message {index}"))
        client.spin(0.05)
    assert publishers[0].wait_for_all_acked()
    stop(recorder, signal.SIGTERM)

    with Bag(tmp_path / "talk") as bag:
        assert "/_hidden" not in bag.topics
        messages = list(bag.messages(["/talk"]))
        assert [bag.decode(message).data for message in messages] == [f"message {index}" for index in range(5)]
        assert abs(messages[0].log_time - time.time_ns()) < 600e9
    assert list(tmp_path.glob(".*.part")) == []


def test_messages_without_a_time_are_not_recorded_and_nothing_is_left(tmp_path, start, client):
    from std_msgs.msg import String

    publisher = client.node.create_publisher(String, "/talk", 10)
    recorder = start("record", "talk", "--use-sim-time", "-o", tmp_path / "talk")
    client.wait(publisher.get_subscription_count)
    publisher.publish(String(data="too early"))
    assert publisher.wait_for_all_acked()
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(180) == 2
    assert "nothing came on /clock" in recorder.log.read_text()
    assert not (tmp_path / "talk").exists()
    assert list(tmp_path.glob(".*.part")) == []


def test_a_recording_that_got_nothing_says_so(tmp_path, capsys):
    from rgbt_seg_ros.cli import main

    assert main(["bag", "record", "/silence", "-o", str(tmp_path / "out"), "--duration", "0.3"]) == 2
    assert capsys.readouterr().err.strip().endswith("not written, since no message came on /silence")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [["--all", "/talk"], []])
def test_topics_or_all_are_expected(wrong, tmp_path, capsys):
    from rgbt_seg_ros.cli import main

    assert main(["bag", "record", *wrong, "-o", str(tmp_path / "out")]) == 2
    assert "expected topics, or --all" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["/bad name", "", "a//b", "{x}"])
def test_a_name_that_ros_does_not_allow_is_one_sentence_and_nothing_is_left(name, tmp_path, capsys):
    from rgbt_seg_ros.cli import main

    assert main(["bag", "record", name, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"rgbt-seg: error: '{name}' is not a topic name (")
    assert error.count("\n") == 1
    assert ".c:" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_refused(tmp_path, capsys):
    from rgbt_seg_ros.cli import main

    assert main(["bag", "record", "--all", "-o", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_definitions_are_ours_or_the_installed_ones_of_the_same_hash():
    from rgbt_seg_ros.data.bags.types import typestore
    from rgbt_seg_ros.nodes.bags.recorder import find_definition
    from rgbt_seg_ros.nodes.bags.types import installed_definition, installed_digest

    for type_ in ("sensor_msgs/msg/CameraInfo", "rgbt_seg_ros/msg/FrameReport"):
        ours = find_definition(type_, "INVALID")
        assert ours == installed_definition(type_)
        assert ours.digest == installed_digest(type_) == typestore().hash_rihs01(type_)
        assert find_definition(type_, "RIHS01_" + "0" * 64) is None
    assert find_definition("no_such_msgs/msg/Thing", "INVALID") is None


def test_an_installed_type_that_rosbags_cannot_parse_has_no_definition(tmp_path, monkeypatch):
    from rgbt_seg_ros.nodes.bags.types import installed_definition

    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/odd_msgs").touch()
    (tmp_path / "share/odd_msgs/msg").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    for name, text in (("Good", "int32 a\n"), ("Wide", "wstring text\n"), ("Broken", "int32 = =\n")):
        (tmp_path / f"share/odd_msgs/msg/{name}.msg").write_text(text)
    assert "int32 a" in installed_definition("odd_msgs/msg/Good").text
    assert installed_definition("odd_msgs/msg/Wide") is None
    assert installed_definition("odd_msgs/msg/Broken") is None


def test_a_publisher_that_tells_no_hash_is_recorded_by_the_types_name(tmp_path):
    from types import SimpleNamespace

    from rclpy.qos import QoSProfile

    from rgbt_seg_ros.nodes.bags.recorder import BagRecorder, RecordSettings

    subscribed = []
    # As rclpy of Humble describes a publisher.
    publisher = SimpleNamespace(qos_profile=QoSProfile(depth=5))
    node = SimpleNamespace(
        resolve_topic_name=lambda name: name,
        get_topic_names_and_types=lambda: [("/talk", [STRING])],
        get_publishers_info_by_topic=lambda name: [publisher],
        create_subscription=lambda kind, name, *_, **__: subscribed.append(name),
    )
    BagRecorder(node, None, RecordSettings(topics=("/talk",))).look()
    assert subscribed == ["/talk"]


def test_what_was_recorded_can_be_read_after_a_kill(tmp_path, start, client):
    from std_msgs.msg import String

    publisher = client.node.create_publisher(String, "/talk", 10)
    recorder = start("record", "/talk", "-o", tmp_path / "talk")
    client.wait(publisher.get_subscription_count)
    file = tmp_path / "talk" / "talk.mcap"
    publisher.publish(String(data="a" * 5000))
    client.wait(lambda: file.stat().st_size > 5000)
    recorder.kill()
    recorder.wait()
    with Bag(file) as bag:
        assert bag.topics["/talk"].count == 1
        assert bag.decode(next(bag.messages(["/talk"]))).data == "a" * 5000
