"""The bag with the masks: what was there before is there as it was, and the masks are beside it."""

from __future__ import annotations

import itertools
import sqlite3
import tracemalloc

import numpy as np
import pytest
import yaml
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag, BagError, Topic, header_stamp
from rgbt_seg_ros.data.bags.writer import BagWriter, qos
from rgbt_seg_ros.evaluation.bags.output_bag import TOPICS, PairOutput, copied_topics, output_topics, write_output_bag
from rgbt_seg_ros.network.builtin import untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.preparation import ThermalFacts
from rgbt_seg_ros.pipeline.rendering import overlay
from rgbt_seg_ros.pipeline.report import FrameFacts

SPEC = untrained_spec("atto", MFNET, 0)
START = 1_700_000_000_000_000_000
MS = 1_000_000
SIZE = (12, 16)


def output(index, completed, size=SIZE):
    rng = np.random.default_rng(index)
    label = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
    confidence = np.where(label == 255, 0, rng.integers(1, 256, size)).astype(np.uint8)
    return PairOutput(
        completed=completed,
        rgb_stamp=START + 100 * MS * index,
        thermal_stamp=START + 100 * MS * index + 4 * MS,
        frame_id="rgb_optical",
        label=label,
        confidence=confidence,
        background=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        thermal=ThermalFacts(index, (280.0, 300.0) if index else None, saturated=2),
        facts=FrameFacts(
            modality="rgbt",
            offset=0.004,
            durations={"conversion": 0.001, "network": 0.02},
            latency=0.05,
            overhead=0.003,
            received_rgb=3 * index + 1,
            received_thermal=index + 1,
            processed=index + 1,
            dropped={"rgb_no_partner": 2 * index} if index else {},
        ),
    )


def raws(path, topics=()):
    with Bag(path) as bag:
        return list(bag.messages(topics))


def decoded(path, topic):
    with Bag(path) as bag:
        return [bag.decode(raw) for raw in bag.messages([topic])]


@pytest.fixture(scope="module")
def written(recording, tmp_path_factory):
    """Four pairs, each completed by its thermal image, which comes 6 ms after the RGB stamp."""
    path = tmp_path_factory.mktemp("out") / "bag"
    outputs = [output(index, recording.stamps[3 * index] + 6 * MS) for index in range(4)]
    with Bag(recording.path) as bag:
        write_output_bag(path, bag, iter(outputs), SPEC)
    return path, outputs


def test_every_message_is_copied_as_it_was(recording, written):
    path, _ = written
    new = {f"/segmentation/{name}" for name in TOPICS}
    assert [raw for raw in raws(path) if raw.topic not in new] == raws(recording.path)
    with Bag(recording.path) as before, Bag(path) as after:
        assert {name: after.topics[name] for name in before.topics} == before.topics
        assert set(after.topics) == {*before.topics, *new}


def test_masks_have_stamp_and_frame_of_the_rgb_image(written):
    path, outputs = written
    for name, encoding in (("mask", "mono8"), ("confidence", "mono8"), ("overlay", "rgb8")):
        found = decoded(path, f"/segmentation/{name}")
        assert len(found) == 4
        for message, given in zip(found, outputs, strict=True):
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            assert (stamp, message.header.frame_id) == (given.rgb_stamp, "rgb_optical")
            assert (message.encoding, message.height, message.width) == (encoding, *SIZE)
            assert message.step == SIZE[1] * (3 if name == "overlay" else 1)
            if name == "overlay":
                expected = overlay(given.background, given.label, SPEC.classes, 0.5)
            else:
                expected = given.label if name == "mask" else given.confidence
            np.testing.assert_array_equal(message.data.reshape(expected.shape), expected)


def test_reports_say_what_the_node_would(written):
    path, outputs = written
    report, given = decoded(path, "/segmentation/report")[2], outputs[2]
    assert report.thermal_stamp.sec * 10**9 + report.thermal_stamp.nanosec == given.thermal_stamp
    assert (report.offset, report.latency, report.overhead) == (0.004, 0.05, 0.003)
    assert (report.modality, report.model) == (report.MODALITY_RGB_THERMAL, SPEC.title)
    assert dict(zip(report.stage, report.stage_duration, strict=True)) == given.facts.durations
    assert list(report.class_id) == list(range(9))
    assert list(report.class_pixels[:3]) == [np.count_nonzero(given.label == entry) for entry in range(3)]
    assert report.unlabeled_pixels == np.count_nonzero(given.label == 255)
    mean = given.confidence[given.label == 1].mean() / 255
    assert report.class_confidence[1] == pytest.approx(mean, abs=1e-6)
    assert report.class_confidence[8] == 0
    assert (report.received_rgb, report.received_thermal, report.processed) == (7, 3, 3)
    assert (report.drop_reason, list(report.drop_count)) == (["rgb_no_partner"], [4])


def test_the_class_table_comes_first_and_stays(written):
    path, _ = written
    first = raws(path)[0]
    assert first.topic == "/segmentation/label_info"
    (info,) = decoded(path, "/segmentation/label_info")
    assert [(entry.class_id, entry.class_name) for entry in info.class_map] == [
        (entry.id, entry.name) for entry in MFNET.classes
    ]
    with Bag(path) as bag:
        (latched,) = bag.topics["/segmentation/label_info"].qos
        assert (latched.durability, latched.depth) == (QosDurability.TRANSIENT_LOCAL, 1)
        for name in ("mask", "confidence", "overlay", "report"):
            (profile,) = bag.topics[f"/segmentation/{name}"].qos
            assert (profile.reliability, profile.durability, profile.depth) == (
                QosReliability.RELIABLE,
                QosDurability.VOLATILE,
                5,
            )


def test_the_masks_of_a_pair_follow_the_message_that_completed_it(written):
    path, outputs = written
    seen = raws(path)
    times = [raw.log_time for raw in seen]
    assert times == sorted(times)
    for given in outputs:
        position = next(
            index
            for index, raw in enumerate(seen)
            if raw.topic == "/segmentation/mask" and raw.log_time == given.completed
        )
        assert (seen[position - 1].topic, seen[position - 1].log_time) == ("/thermal/image_raw", given.completed)
        assert [raw.topic for raw in seen[position + 1 : position + 4]] == [
            f"/segmentation/{name}" for name in ("confidence", "overlay", "report")
        ]


def test_the_bag_carries_its_definitions(written):
    path, _ = written
    (file,) = path.glob("*.mcap")
    with Bag(file) as bag:
        for name, word in (
            ("report", "uint64[] drop_count"),
            ("label_info", "uint16 class_id"),
            ("mask", "is_bigendian"),
        ):
            assert word in bag.topics[f"/segmentation/{name}"].definition


def test_another_namespace_leaves_the_masks_of_the_robot_alone(written, tmp_path):
    path, outputs = written
    with Bag(path) as bag:
        with pytest.raises(BagError, match=r"already has /segmentation/mask, .*; .*--namespace"):
            write_output_bag(tmp_path / "no", bag, iter(outputs), SPEC)
        write_output_bag(tmp_path / "again", bag, iter(outputs), SPEC, "/new/one/", alpha=0.0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["again"]
    assert len(decoded(tmp_path / "again", "/segmentation/mask")) == 4
    shown = decoded(tmp_path / "again", "/new/one/segmentation/overlay")
    np.testing.assert_array_equal(shown[3].data.reshape(*SIZE, 3), outputs[3].background)


@pytest.mark.parametrize("namespace", ["/a b", "1a", "a//b", "a/-"])
def test_what_is_no_ros_name_is_refused(recording, namespace):
    with Bag(recording.path) as bag, pytest.raises(BagError, match="not a ROS namespace"):
        output_topics(bag, namespace)


@pytest.mark.parametrize("namespace", ["", "/"])
def test_the_root_is_the_default(recording, namespace):
    with Bag(recording.path) as bag:
        assert output_topics(bag, namespace) == output_topics(bag)
        assert output_topics(bag)["mask"] == "/segmentation/mask"


def test_a_failure_in_the_middle_leaves_nothing(recording, tmp_path):
    def failing():
        yield output(0, START + 6 * MS)
        raise KeyboardInterrupt

    with Bag(recording.path) as bag, pytest.raises(KeyboardInterrupt):
        write_output_bag(tmp_path / "bag", bag, failing(), SPEC)
    assert list(tmp_path.iterdir()) == []


def test_pairs_are_taken_no_sooner_than_they_are_written(recording, tmp_path):
    """At most one waits, so memory does not grow with the bag."""
    alive = 0
    highest = 0

    class Counted(PairOutput):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def outputs():
        nonlocal alive, highest
        for index in range(200):
            given = output(index, recording.stamps[0] + index * MS)
            alive += 1
            highest = max(highest, alive)
            yield Counted(**vars(given))

    with Bag(recording.path) as bag:
        write_output_bag(tmp_path / "bag", bag, outputs(), SPEC)
    assert len(raws(tmp_path / "bag", ["/segmentation/mask"])) == 200
    assert highest <= 2


def test_a_longer_bag_takes_no_more_memory(tmp_path):
    peaks = []
    for frames in (10, 60):
        path = tmp_path / f"in{frames}"
        with BagWriter(path) as bag:
            bag.add_topic("/noise", "sensor_msgs/msg/Image", [qos()])
            for index in range(frames):
                pixels = np.full((256, 256, 3), index, np.uint8)
                bag.write("/noise", START + index * MS, messages.image(messages.header(START, ""), pixels))
        outputs = (output(index, START + index * MS, (128, 128)) for index in range(frames))
        tracemalloc.start()
        with Bag(path) as bag:
            write_output_bag(tmp_path / f"out{frames}", bag, outputs, SPEC)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000


def odd_bag(path, storage):
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(get_types_from_msg("uint8 level\n", "odd_msgs/msg/Odd"))
    with Writer(path, version=9, storage_plugin=storage) as bag:
        topic = bag.add_connection("/odd", "odd_msgs/msg/Odd", typestore=store)
        for index in range(3):
            bag.write(topic, START + index * MS, bytes([0, 1, 0, 0, index]))


def test_types_that_nobody_here_knows_are_copied_with_their_definitions(tmp_path):
    odd_bag(tmp_path / "in", StoragePlugin.MCAP)
    # A single file has no metadata.yaml, and so no hashes.
    with Bag(tmp_path / "in" / "in.mcap") as bag:
        write_output_bag(tmp_path / "out", bag, iter([output(0, START)]), SPEC)
    assert raws(tmp_path / "out", ["/odd"]) == raws(tmp_path / "in")
    assert [message.level for message in decoded(tmp_path / "out", "/odd")] == [0, 1, 2]


def test_types_without_a_definition_are_copied_too(tmp_path):
    """As of SQLite bags up to Humble."""
    odd_bag(tmp_path / "in", StoragePlugin.SQLITE3)
    database = sqlite3.connect(tmp_path / "in" / "in.db3")
    with database:
        database.execute("delete from message_definitions")
        database.execute("update topics set type_description_hash = ''")
    database.close()
    metadata = tmp_path / "in" / "metadata.yaml"
    content = yaml.safe_load(metadata.read_text())
    for topic in content["rosbag2_bagfile_information"]["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
    metadata.write_text(yaml.safe_dump(content))
    with Bag(tmp_path / "in") as bag:
        assert bag.topics["/odd"].definition == bag.topics["/odd"].digest == ""
        write_output_bag(tmp_path / "out", bag, iter([output(0, START)]), SPEC)
    assert raws(tmp_path / "out", ["/odd"]) == raws(tmp_path / "in")


def test_a_topic_that_no_bag_of_ros_can_hold_is_left_out_with_a_warning(tmp_path, caplog):
    foreign = Topic("/foreign", "x.Odd", 1, serialization="protobuf", schema="protobuf")
    note = Topic("/note", "std_msgs/msg/String", 1, schema="ros2msg")
    assert copied_topics([foreign, note], tmp_path / "out") == ["/note"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.endswith("cannot hold their definitions: /foreign (x.Odd, protobuf)")


def test_stamps_are_found_without_reading_the_image(written):
    path, outputs = written
    stamps = [header_stamp(raw) for raw in raws(path, ["/segmentation/mask"])]
    assert stamps == [given.rgb_stamp for given in outputs]
    assert all(before < after for before, after in itertools.pairwise(stamps))


@pytest.mark.ros
def test_ros_reads_what_was_written(written):
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    path, outputs = written
    mask = deserialize_message(raws(path, ["/segmentation/mask"])[1].data, Image)
    np.testing.assert_array_equal(np.frombuffer(mask.data, np.uint8).reshape(SIZE), outputs[1].label)
    report = deserialize_message(raws(path, ["/segmentation/report"])[1].data, FrameReport)
    assert (report.processed, report.drop_reason, list(report.drop_count)) == (2, ["rgb_no_partner"], [2])
    assert list(report.stage) == ["conversion", "network"]
