"""Bags of every storage, and what is wrong with those that cannot be read."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag, BagError, RawMessage, find_bags, header_stamp
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.data.bags.writer import BagWriter, qos

IMAGE = "sensor_msgs/msg/Image"
START = 1_700_000_000_123_456_789
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def fill(path, topics=("/rgb/image_raw", "/thermal/image_raw"), storage="mcap", frames=5):
    with BagWriter(path, storage) as bag:
        for topic in topics:
            bag.add_topic(topic, IMAGE, [qos(reliable=False)])
        for index in range(frames):
            for topic in topics:
                head = messages.header(START + index, topic)
                bag.write(topic, START + 1000 * index, messages.image(head, PIXELS + index))
    return path


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_was_written_is_read(tmp_path, storage):
    with Bag(fill(tmp_path / "bag", storage=storage)) as bag:
        assert (bag.start, bag.end, bag.message_count) == (START, START + 4000, 10)
        raws = list(bag.messages(["/rgb/image_raw"]))
        assert [header_stamp(raw) for raw in raws] == [START + index for index in range(5)]
        image = bag.decode(raws[3])
        np.testing.assert_array_equal(image.data.reshape(6, 8, 3), PIXELS + 3)
        assert (image.encoding, image.step, image.header.frame_id) == ("rgb8", 24, "/rgb/image_raw")
        assert bag.topics["/rgb/image_raw"].qos == (qos(reliable=False),)


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE", "STORAGE"])
@pytest.mark.parametrize("storage", ["MCAP", "SQLITE3"])
def test_compressed_bags_are_read(tmp_path, mode, storage):
    if (mode, storage) == ("STORAGE", "SQLITE3"):
        pytest.skip("SQLite has no compression of its own")
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin[storage])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        topic = writer.add_connection("/rgb/image_raw", IMAGE, typestore=typestore())
        message = messages.image(messages.header(START, "a"), PIXELS)
        writer.write(topic, START, typestore().serialize_cdr(message, IMAGE))
    with Bag(tmp_path / "bag") as bag:
        (raw,) = bag.messages()
        np.testing.assert_array_equal(bag.decode(raw).data.reshape(6, 8, 3), PIXELS)


def test_a_single_file_is_a_bag_too(tmp_path):
    path = fill(tmp_path / "bag")
    (file,) = path.glob("*.mcap")
    with Bag(file) as bag:
        assert bag.message_count == 10


def test_messages_of_a_stretch_are_found_by_their_log_times(tmp_path):
    with Bag(fill(tmp_path / "bag")) as bag:
        found = [raw.log_time - START for raw in bag.messages(["/rgb/image_raw"], START + 1000, START + 3000)]
    assert found == [1000, 2000]


def read_all(path):
    read = 0
    try:
        with Bag(path) as bag:
            for raw in bag.messages():
                bag.decode(raw)
                read += 1
    except BagError as error:
        return read, str(error)
    return read, ""


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_truncated_bag_is_one_sentence_wherever_it_ends(tmp_path, storage, keep):
    path = fill(tmp_path / "bag", storage=storage, frames=200)
    (file,) = [entry for entry in path.iterdir() if entry.suffix in (".mcap", ".db3")]
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    read, problem = read_all(path)
    if (storage, keep) == ("sqlite3", 0.999) and not problem:
        assert read == 400  # SQLite's last page may be one that nothing needs
    else:
        causes = "was not closed|middle of a record|not an MCAP file|not a SQLite file|a damaged|a part of it|holds"
        assert re.search(rf"bag(/bag\.\w+)?: .*({causes})", problem)


def test_a_bag_without_metadata_says_what_to_do(tmp_path):
    path = fill(tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"metadata.yaml is missing; name the file itself, .*bag.mcap, or .*reindex"):
        Bag(path)


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: 3", "\x00\xff"])
def test_metadata_that_is_none_is_one_sentence(tmp_path, text):
    path = fill(tmp_path / "bag")
    (path / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match=r"metadata.yaml: not (metadata of rosbag2|a readable rosbag2 metadata file)"):
        Bag(path)


def test_other_places_are_no_bags(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no")
    for name, words in (("gone", "no such bag"), ("empty", "expected a folder"), ("text.txt", "expected a folder")):
        with pytest.raises(BagError, match=words):
            Bag(tmp_path / name)


def test_a_topic_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with Bag(fill(tmp_path / "bag")) as bag, pytest.raises(BagError, match=r"no topic /x; it has /rgb/image_raw \("):
        list(bag.messages(["/x"]))


def test_bags_of_a_folder_are_found_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        fill(tmp_path / name)
    (tmp_path / "other").mkdir()
    assert [path.name for path in find_bags(tmp_path)] == ["a", "b", "c"]
    assert find_bags(tmp_path / "b") == [tmp_path / "b"]


@pytest.mark.parametrize(
    ("topics", "rgb", "thermal"),
    [
        (("/rgb/image_raw", "/thermal/image_raw", "/segmentation/mask"), 0, 1),
        (("/robot/rgb/image_raw", "/robot/thermal/image_raw", "/depth/image_raw"), 0, 1),
        (("/camera/color/image_raw", "/flir_boson/image_raw"), 0, 1),
        (("/lwir/image", "/left/image_raw"), 1, 0),
    ],
)
def test_cameras_are_found_by_name(tmp_path, topics, rgb, thermal):
    with Bag(fill(tmp_path / "bag", topics, frames=1)) as bag:
        found = find_cameras(bag)
        assert (found.rgb.name, found.thermal.name) == (topics[rgb], topics[thermal])


def test_names_that_do_not_tell_are_refused(tmp_path):
    with Bag(fill(tmp_path / "bag", ("/a/rgb/image_raw", "/b/rgb/image_raw", "/thermal/image_raw"), frames=1)) as bag:
        with pytest.raises(BagError, match="could each be the rgb camera; choose one with --rgb-topic"):
            find_cameras(bag)
        assert find_cameras(bag, rgb="/b/rgb/image_raw").rgb.name == "/b/rgb/image_raw"
    with (
        Bag(fill(tmp_path / "other", ("/one", "/two"), frames=1)) as bag,
        pytest.raises(BagError, match="--thermal-topic"),
    ):
        find_cameras(bag)


def test_a_bag_is_there_whole_or_not_at_all(tmp_path):
    class Stop(Exception):
        pass

    def stopped():
        with BagWriter(tmp_path / "bag") as bag:
            bag.add_topic("/rgb/image_raw", IMAGE)
            bag.write("/rgb/image_raw", START, messages.image(messages.header(START, ""), PIXELS))
            raise Stop

    with pytest.raises(Stop):
        stopped()
    assert list(tmp_path.iterdir()) == []
    fill(tmp_path / "bag")
    with pytest.raises(BagError, match="exists already"):
        fill(tmp_path / "bag")


def test_a_bag_written_here_copies_into_another_with_types_nobody_knows(tmp_path):
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    store.register(get_types_from_msg("int32 value\n", "other_msgs/msg/Thing"))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/thing", "other_msgs/msg/Thing", typestore=store)
        writer.write(topic, 5, store.serialize_cdr(store.types["other_msgs/msg/Thing"](7), "other_msgs/msg/Thing"))
    with Bag(tmp_path / "bag") as source, BagWriter(tmp_path / "copy") as copy:
        copy.copy_topic(source.topics["/thing"])
        for raw in source.messages():
            copy.write_raw(raw)
    with Bag(tmp_path / "copy") as bag:
        (raw,) = bag.messages()
        assert bag.decode(raw).value == 7
    shutil.rmtree(tmp_path / "copy")


def images(path, *topics):
    """Write a bag with as many images on each topic as told."""
    with BagWriter(path) as writer:
        for name, count in topics:
            type_ = (
                "sensor_msgs/msg/CompressedImage"
                if "compressed" in name or "theora" in name
                else "sensor_msgs/msg/Image"
            )
            writer.add_topic(name, type_)
            for number in range(count):
                writer.write_raw(RawMessage(name, type_, number, b"\x00\x01\x00\x00" + b"\x00" * 60))
    return path


@pytest.mark.parametrize(
    ("others", "rgb"),
    [
        ([("/rgb/image_raw", 0), ("/rgb/image_raw/compressed", 2)], "/rgb/image_raw/compressed"),
        ([("/rgb/image_raw", 2), ("/rgb/image_raw/compressed", 0)], "/rgb/image_raw"),
        ([("/rgb/image_raw", 2), ("/rgb/image_raw/compressedDepth", 2)], "/rgb/image_raw"),
        ([("/camera/image", 2), ("/camera/image/theora", 2), ("/left/image", 0)], "/camera/image"),
        ([("/rgb/image_raw", 2), ("/rgb/image_raw/compressed", 2)], "/rgb/image_raw"),
    ],
)
def test_an_empty_topic_and_another_form_are_no_second_camera(tmp_path, others, rgb):
    with Bag(images(tmp_path / "bag", ("/thermal/image_raw", 2), *others)) as bag:
        assert find_cameras(bag).rgb.name == rgb
