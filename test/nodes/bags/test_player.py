"""Playing a bag: the messages of the bag over real DDS, from a process as a person would start it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.messages import header, image, make
from rgbt_seg_ros.data.bags.reader import Bag, Topic
from rgbt_seg_ros.data.bags.writer import BagWriter, qos

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="needs ROS 2")

START = 1_700_000_000_000_000_000
SPACING = 20_000_000
COUNT = 50
IMAGE = "sensor_msgs/msg/Image"
STRING = "std_msgs/msg/String"


def make_bag(path, storage="mcap"):
    """A second of images at 50 Hz, a note latched at the start, and one replaced in the middle.

    All images fit into the player's queue: nothing is lost on the way, however long a listener is kept from listening.
    """
    random = np.random.default_rng(3)
    with BagWriter(path, storage) as writer:
        writer.add_topic("/rgb/image_raw", IMAGE, [qos(reliable=True, depth=1000)])
        writer.add_topic("/thermal/image_raw", IMAGE, [qos(reliable=False, depth=5)])
        writer.add_topic("/note", STRING, [qos(latched=True, depth=1)])
        writer.write("/note", START, make(STRING, data="first"))
        for index in range(COUNT):
            log_time = START + index * SPACING
            head = header(log_time - 7_000_000, "optical")
            writer.write("/rgb/image_raw", log_time, image(head, random.integers(0, 256, (24, 32, 3), np.uint8)))
            writer.write("/thermal/image_raw", log_time, image(head, random.integers(0, 256, (12, 16), np.uint8)))
            if index == COUNT // 2:
                writer.write("/note", log_time, make(STRING, data="second"))
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return make_bag(tmp_path_factory.mktemp("bag") / "drive")


@dataclass
class Playing:
    process: subprocess.Popen

    def end(self, timeout=180):
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@pytest.fixture
def play():
    """Start `rgbt-seg bag play`; what is left of it is killed after the test."""
    started = []

    def begin(*arguments):
        command = [sys.executable, "-m", "rgbt_seg_ros.cli", "bag", "play", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return Playing(started[-1])

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def nanoseconds(message):
    return message.clock.sec * 10**9 + message.clock.nanosec


def listen_to_images(client):
    from sensor_msgs.msg import Image

    return client.listen(Image, "/rgb/image_raw", 1000)


def listen_to_clock(client):
    from rosgraph_msgs.msg import Clock

    return client.listen(Clock, "/clock", 1000)


def latched_notes(client):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    return client.listen(String, "/note", QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))


def test_every_message_arrives_in_order_as_it_was_recorded_and_clock_tells_the_log_times(bag, play, client):
    from sensor_msgs.msg import Image

    images, ticks = listen_to_images(client), listen_to_clock(client)
    raw = []
    client.node.create_subscription(Image, "/rgb/image_raw", raw.append, 1000, raw=True)
    player = play(bag, "--wait-for", "/rgb/image_raw=2", "/clock")
    client.wait(lambda: len(images) >= COUNT and len(raw) >= COUNT)
    code, out, err = player.end()
    assert code == 0, err
    # Behind its time, the player lets the clock go on.
    end = START + (COUNT - 1) * SPACING
    client.wait(lambda: ticks and nanoseconds(ticks[-1]) >= end)

    with Bag(bag) as recorded:
        messages = list(recorded.messages(["/rgb/image_raw"]))
        expected = [recorded.decode(message) for message in messages]
    # The middleware fills up to a multiple of four bytes.
    assert all(ours[: len(sent.data)] == sent.data for ours, sent in zip(raw, messages, strict=True))
    assert [stamp(message) for message in images] == [stamp(message) for message in expected]
    assert all(
        bytes(ours.data) == theirs.data.tobytes() and ours.encoding == theirs.encoding
        for ours, theirs in zip(images, expected, strict=True)
    )
    times = [nanoseconds(message) for message in ticks]
    assert times == sorted(times)
    assert START <= times[0] < times[-1]
    assert "played 102 messages" in out
    assert "late by at most" in out


def test_an_hour_in_which_nothing_was_recorded_is_skipped(tmp_path, play, client):
    """As of a clock that began in 1970 and was set later."""
    with BagWriter(tmp_path / "drive") as writer:
        writer.add_topic("/note", STRING, [qos(reliable=True, depth=10)])
        for log_time, words in ((10**9, "1970"), (START, "today")):
            writer.write("/note", log_time, make(STRING, data=words))
    from std_msgs.msg import String

    notes = client.listen(String, "/note", 10)
    code, _, errors = play(tmp_path / "drive", "--wait-for", "/note").end()
    client.wait(lambda: len(notes) == 2)
    assert code == 0
    assert f"no message for {START / 10**9 - 1:.0f} s of the bag: the gap is skipped" in errors


def test_the_rate_sets_how_long_it_takes_and_the_clock_goes_with_it(bag, play, client):
    images, ticks = listen_to_images(client), listen_to_clock(client)
    seconds, late = {}, {}
    for rate in (2, 0.5):
        images.clear()
        ticks.clear()
        player = play(bag, "--rate", rate, "--wait-for", "/rgb/image_raw", "/clock", "--delay", "0.5")
        client.wait(lambda: len(images) == COUNT)
        code, out, err = player.end()
        assert code == 0, err
        seconds[rate] = float(re.search(r"played 102 messages in ([\d.]+) s", out)[1])
        late[rate] = float(re.search(r"late by at most ([\d.]+) ms", out)[1]) / 1000
        client.wait(lambda: ticks and nanoseconds(ticks[-1]) >= START + (COUNT - 1) * SPACING)
        times = [nanoseconds(message) for message in ticks]
        assert times == sorted(times)
        # A message is never early, but for what rounding to 0.1 s takes off; a busy machine may take longer.
        assert seconds[rate] > (COUNT - 1) * SPACING / 1e9 / rate - 0.06
    # But for what a busy machine made it late by, as it says itself.
    assert seconds[0.5] > seconds[2] - late[2]


def test_a_loop_begins_again_with_the_time_jumping_back_until_a_signal_ends_it(bag, play, client):
    images, ticks = listen_to_images(client), listen_to_clock(client)
    player = play(bag, "--loop", "--wait-for", "/rgb/image_raw", "/clock", "--delay", "0.5", "--rate", "4")

    def times():
        return [nanoseconds(message) for message in ticks]

    client.wait(lambda: len(images) > 2 * COUNT and any(later < earlier for earlier, later in pairwise(times())))
    player.process.send_signal(signal.SIGINT)
    code, out, err = player.end()
    assert code == 0, err
    assert "stopped after" in out.splitlines()[-1]
    stamps = [stamp(message) for message in images]
    assert stamps[COUNT : 2 * COUNT] == stamps[:COUNT] == sorted(set(stamps))


def test_latched_messages_from_before_the_start_reach_a_late_subscriber(bag, play, client):
    images = listen_to_images(client)
    # Slow enough for the one that replaces it to be minutes away.
    options = ["--start", "0.3", "--rate", "0.001", "--wait-for", "/rgb/image_raw", "--delay", "0.2"]
    player = play(bag, *options)
    client.wait(lambda: images)
    notes = latched_notes(client)
    client.wait(lambda: notes)
    assert [note.data for note in notes] == ["first"]
    assert stamp(images[0]) == START + 15 * SPACING - 7_000_000
    player.process.send_signal(signal.SIGTERM)
    assert player.end()[0] == 0


def test_only_the_topics_and_the_part_that_were_asked_for_are_played_under_the_new_name(tmp_path, play, client):
    from sensor_msgs.msg import Image

    bag = make_bag(tmp_path / "drive", "sqlite3")
    original, ticks = listen_to_images(client), listen_to_clock(client)
    renamed = client.listen(Image, "/front/color", 1000)
    part = ["--start", "0.2", "--duration", "0.4", "--no-clock"]
    remap = ["--topics", "/rgb/image_raw", "--remap", "/rgb/image_raw:=/front/color"]
    player = play(bag, *part, *remap, "--wait-for", "/rgb/image_raw", "--delay", "0.5")
    client.wait(lambda: len(renamed) >= 20)
    code, out, err = player.end()
    client.spin(0.2)
    assert code == 0, err
    assert [stamp(message) for message in renamed] == [START + n * SPACING - 7_000_000 for n in range(10, 30)]
    assert not original
    assert not ticks
    assert "played 20 messages" in out


def foreign_topic(name, type_, definition):
    """A topic of a type that the bag alone defines."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, type_))
    return Topic(name, type_, 0, (), store.generate_msgdef(type_, ros_version=2)[0], store.hash_rihs01(type_))


def bag_with_foreign_topics(path, *topics, own=True):
    from rgbt_seg_ros.data.bags.reader import RawMessage

    with BagWriter(path) as writer:
        if own:
            writer.add_topic("/text", STRING)
            writer.write("/text", START, make(STRING, data="here"))
        for topic in topics:
            writer.copy_topic(topic)
            writer.write_raw(RawMessage(topic.name, topic.type, START, bytes([0, 1, 0, 0, 1, 0, 0, 0])))
    return path


def test_types_that_are_not_here_or_are_another_version_are_left_out_with_a_warning(tmp_path, capsys):
    from rgbt_seg_ros.nodes.bags.plan import PlaySettings, make_plan

    missing = foreign_topic("/odd", "no_such_msgs/msg/Thing", "int32 a\n")
    other = foreign_topic("/changed", "std_msgs/msg/Int32", "int32 number\n")
    path = bag_with_foreign_topics(tmp_path / "drive", missing, other)
    assert list(make_plan(path, PlaySettings()).topics) == ["/text"]
    first, second = capsys.readouterr().err.splitlines()
    assert "not installed: /odd (no_such_msgs/msg/Thing)" in first
    assert "another version here: /changed (std_msgs/msg/Int32)" in second


def test_a_bags_own_clock_is_played_only_where_the_player_tells_no_time(tmp_path, capsys):
    from rgbt_seg_ros.nodes.bags.plan import PlaySettings, make_plan

    with BagWriter(tmp_path / "drive") as writer:
        for name, type_ in (("/clock", "rosgraph_msgs/msg/Clock"), ("/text", STRING)):
            writer.add_topic(name, type_)
            writer.write(name, START, make(type_))
    assert list(make_plan(tmp_path / "drive", PlaySettings()).topics) == ["/text"]
    assert "/clock of the bag is left out" in capsys.readouterr().err
    assert set(make_plan(tmp_path / "drive", PlaySettings(clock_hz=0)).topics) == {"/clock", "/text"}


def test_what_cannot_be_played_is_said_in_one_line(bag, tmp_path, capsys):
    from rgbt_seg_ros.cli import main

    def refused(*arguments):
        assert main(["bag", "play", *map(str, arguments)]) == 2
        (line,) = [text for text in capsys.readouterr().err.splitlines() if not text.startswith("warning")]
        return line

    assert "no topic /depth; it has /note" in refused(bag, "--topics", "/depth")
    assert "no topic /depth" in refused(bag, "--wait-for", "/depth")
    assert "the bag holds 0.98 s" in refused(bag, "--start", "5")
    assert "/note was named, but is not among" in refused(bag, "--topics", "/rgb/image_raw", "--wait-for", "/note")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes((bag / "drive.mcap").read_bytes()[:-4000])
    assert "messages read, then: it ends in the middle of a record" in refused(cut)
    foreign = foreign_topic("/odd", "no_such_msgs/msg/Thing", "int32 a\n")
    assert "nothing to play" in refused(bag_with_foreign_topics(tmp_path / "odd", foreign, own=False))
    assert "/note cannot be published as '/new name' (Invalid topic name" in refused(bag, "--remap", "/note:=/new name")
    assert "'{new}' (topic name '{new}' is invalid: unknown" in refused(bag, "--remap", "/note:={new}")
    for name in ("/rgb/image_raw", "rgb/image_raw"):
        sentence = "/note and /rgb/image_raw would both be published as /rgb/image_raw; expected a name for each"
        assert sentence in refused(bag, "--remap", f"/note:={name}")
    assert "/note and the time would both be published as /clock" in refused(bag, "--remap", "/note:=/clock")
    assert "/clock alone was named, whose time the player tells itself" in refused(bag, "--topics", "/clock")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--rate", "0"],
        ["--rate", "1e-305"],
        ["--rate", "1e12"],
        ["--start", "-1"],
        ["--start", "1e300"],
        ["--duration", "1e300"],
        ["--duration", "0"],
        ["--delay", "inf"],
        ["--remap", "a:b"],
        ["--clock", "nan"],
        ["--clock", "1e12"],
        ["--clock", "1e-320"],
        ["--wait-for", "/a=0"],
    ],
)
def test_a_wrong_option_is_refused(wrong, bag, capsys):
    from rgbt_seg_ros.cli import main

    with pytest.raises(SystemExit) as refusal:
        main(["bag", "play", str(bag), *wrong])
    assert refusal.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_without_ros_it_says_that_ros_is_needed(bag, monkeypatch, capsys):
    from rgbt_seg_ros.cli import main

    for name in ("player", "recorder"):
        monkeypatch.delitem(sys.modules, f"rgbt_seg_ros.nodes.bags.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "rclpy", None)
    assert main(["bag", "play", str(bag)]) == 2
    assert main(["bag", "record", "--all", "-o", "out"]) == 2
    assert capsys.readouterr().err.count("ROS 2 is needed") == 2
