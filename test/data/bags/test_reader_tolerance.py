"""Recordings as people have them: one topic spoils nothing, what is lost is said, and no file is changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.yaml_text import dump_yaml, read_yaml

STORE = get_typestore(Stores.ROS2_KILTED)
TEXT = STORE.types["std_msgs/msg/String"]
START = 1_700_000_000_000_000_000
MAGIC = b"\x89MCAP0\r\n"


def record(path, times=range(6), plugin=StoragePlugin.MCAP, topic="/note", profiles=(), **options):
    """Write a bag of strings, and return its folder."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    for name, value in options.items():
        getattr(writer, name)(*value)
    with writer:
        connection = writer.add_connection(topic, TEXT.__msgtype__, typestore=STORE, offered_qos_profiles=profiles)
        for number in times:
            data = STORE.serialize_cdr(TEXT(data=str(number)), TEXT.__msgtype__)
            writer.write(connection, START + number * 10**9, bytes(data))
    return path


def texts(path):
    """Return the strings of a bag, and the sentence that ends it."""
    found = []
    try:
        with Bag(path) as bag:
            for raw in bag.messages(["/note"]):
                found.append(bag.decode(raw).data)
    except BagError as error:
        return found, str(error)
    return found, ""


def text(content):
    return struct.pack("<I", len(content)) + content


def mcap_record(code, content):
    return struct.pack("<BQ", code, len(content)) + content


def message(channel, number):
    data = bytes(STORE.serialize_cdr(TEXT(data=str(number)), TEXT.__msgtype__))
    time = START + number * 10**9
    return mcap_record(5, struct.pack("<HIQQ", channel, number, time, time) + data)


def schema(key, name, encoding, definition):
    return mcap_record(3, struct.pack("<H", key) + text(name) + text(encoding) + text(definition))


def channel(key, of, topic, serialization=b"cdr"):
    return mcap_record(4, struct.pack("<HH", key, of) + text(topic) + text(serialization) + text(b""))


def mcap(path, *records, closed=True):
    """Write an MCAP file of records, without summary and indexes."""
    end = mcap_record(15, struct.pack("<I", 0)) + mcap_record(2, struct.pack("<QQI", 0, 0, 0)) + MAGIC
    path.write_bytes(MAGIC + mcap_record(1, text(b"ros2") + text(b"")) + b"".join(records) + (end if closed else b""))
    return path


NOTE = (schema(1, b"std_msgs/msg/String", b"ros2msg", b"string data\n"), channel(1, 1, b"/note"))


@pytest.mark.parametrize(
    ("name", "encoding", "definition", "serialization", "why"),
    [
        (b"x/msg/Odd", b"jsonschema", b"{}", b"json", "serialised as 'json'"),
        (b"x.Odd", b"protobuf", b"\xff\x00", b"protobuf", "serialised as 'protobuf'"),
        (b"x/srv/Odd_Event", b"ros2msg", b"%% nonsense ((", b"cdr", "definition in the recording cannot be read"),
        (b"x/msg/Odd", b"unknown", b"?", b"cdr", "defines it in 'unknown'"),
        (b"x/msg/Odd", b"", b"", b"cdr", "no definition"),
        (b"", b"", b"", b"cdr", "no definition"),
        (b"x/msg/Odd", b"ros2idl", b"module {", b"cdr", "definition in the recording cannot be read"),
    ],
)
def test_a_topic_that_cannot_be_read_spoils_no_other(tmp_path, name, encoding, definition, serialization, why):
    odd = (schema(2, name, encoding, definition), channel(2, 2, b"/odd", serialization))
    path = mcap(tmp_path / "x.mcap", *NOTE, *odd, message(1, 0), message(2, 1), message(1, 2))
    assert texts(path) == (["0", "2"], "")
    with Bag(path) as bag:
        assert bag.problem("/note") == ""
        assert why in bag.problem("/odd")
        assert bag.problem("/odd").startswith("/odd: ")
        (raw,) = bag.messages(["/odd"])
        with pytest.raises(BagError, match=r"x\.mcap: /odd: "):
            bag.decode(raw)


@pytest.mark.parametrize("definition", [b"string data\r\n", b"# a comment\r\nstring data\r\n", b""])
def test_line_ends_and_missing_definitions_of_known_types_are_read(tmp_path, definition):
    encoding = b"ros2msg" if definition else b""
    records = (schema(1, b"std_msgs/msg/String", encoding, definition), channel(1, 1, b"/note"))
    assert texts(mcap(tmp_path / "x.mcap", *records, message(1, 3))) == (["3"], "")


def test_a_topic_without_a_schema_is_named(tmp_path):
    path = mcap(tmp_path / "x.mcap", *NOTE, channel(2, 0, b"/odd"), message(1, 0))
    assert texts(path) == (["0"], "")


def edit(path, change):
    file = path / "metadata.yaml"
    content = read_yaml(file, "metadata")
    change(content["rosbag2_bagfile_information"])
    file.write_text(dump_yaml(content))


def profile_of(information):
    return information["topics_with_message_count"][0]["topic_metadata"]


@pytest.mark.parametrize("plugin", StoragePlugin)
@pytest.mark.parametrize(
    "change",
    [
        lambda i: profile_of(i).update(offered_qos_profiles=[]),
        lambda i: profile_of(i).update(offered_qos_profiles=[{"depth": 3}]),
        lambda i: profile_of(i).update(offered_qos_profiles="a: ["),
        lambda i: profile_of(i).pop("offered_qos_profiles"),
        lambda i: profile_of(i).update(type_description_hash="RIHS01_" + "0" * 64),
        lambda i: i.update(topics_with_message_count=[]),
        lambda i: i.update(message_count=0),
        lambda i: i.update(starting_time={"nanoseconds_since_epoch": 0}, duration={"nanoseconds": 0}),
        lambda i: i.pop("starting_time"),
        lambda i: i.update(version=99),
    ],
)
def test_what_the_files_hold_is_believed_and_not_the_metadata(tmp_path, plugin, change):
    path = record(tmp_path / "bag", plugin=plugin)
    edit(path, change)
    assert texts(path) == (list("012345"), "")
    with Bag(path) as bag:
        assert (bag.start, bag.end, bag.message_count) == (START, START + 5 * 10**9, 6)


def test_messages_that_the_metadata_counts_and_no_file_holds_are_missed(tmp_path):
    path = record(tmp_path / "bag")
    edit(path, lambda i: i["topics_with_message_count"][0].update(message_count=20))
    found, problem = texts(path)
    assert found == list("012345")
    assert "holds 6 of the 20 messages that metadata.yaml counts" in problem


def test_a_split_bag_comes_in_the_order_of_log_times(tmp_path):
    late = record(tmp_path / "late", range(6, 9))
    early = record(tmp_path / "early", range(6))
    shutil.copy(early / "early.mcap", late / "early.mcap")
    edit(late, lambda i: i.update(relative_file_paths=["late.mcap", "early.mcap"]))
    assert texts(late) == (list("012345678"), "")


def write_ahead(path, numbers):
    """Add messages to a SQLite bag that stay in its write-ahead log, as a recorder that is killed leaves it."""
    (file,) = path.glob("*.db3")
    beside = path.with_name("writing")
    shutil.copytree(path, beside)
    database = sqlite3.connect(beside / file.name)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    for number in numbers:
        data = bytes(STORE.serialize_cdr(TEXT(data=str(number)), TEXT.__msgtype__))
        database.execute(
            "INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", (START + number * 10**9, data)
        )
    database.commit()
    for suffix in ("", "-wal"):
        shutil.copy(beside / f"{file.name}{suffix}", path / f"{file.name}{suffix}")
    database.close()
    return file


def test_messages_in_a_write_ahead_log_are_read_and_no_file_is_changed(tmp_path):
    path = record(tmp_path / "bag", plugin=StoragePlugin.SQLITE3)
    file = write_ahead(path, range(6, 9))
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    assert texts(path) == (list("012345678"), "")
    assert texts(file) == (list("012345678"), "")
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_a_read_only_folder_is_read(tmp_path):
    path = record(tmp_path / "bag", plugin=StoragePlugin.SQLITE3)
    write_ahead(path, range(6, 8))
    path.chmod(0o555)
    try:
        assert len(texts(path)[0]) == 8
    finally:
        path.chmod(0o755)


@pytest.mark.parametrize("form", ["lz4", "zstd", ""])
def test_chunks_without_indexes_and_summary_are_read(tmp_path, form):
    import lz4.frame

    from rgbt_seg_ros.data.bags.zstandard import zstd

    inside = b"".join((*NOTE, *(message(1, number) for number in (2, 0, 1))))
    packed = {"": inside, "lz4": lz4.frame.compress(inside), "zstd": zstd.compress(inside)}[form]
    head = struct.pack("<QQQI", START, START + 2 * 10**9, len(inside), 0) + text(form.encode())
    path = mcap(tmp_path / "x.mcap", mcap_record(6, head + struct.pack("<Q", len(packed)) + packed))
    assert texts(path) == (["0", "1", "2"], "")
    lying = struct.pack("<QQQI", START, START, 10, 0) + text(form.encode())
    path = mcap(
        tmp_path / "y.mcap", *NOTE, mcap_record(6, lying + struct.pack("<Q", len(packed)) + packed), message(1, 9)
    )
    found, problem = texts(path)
    assert found == ["9"]
    assert "a chunk" in problem


def test_a_chunk_of_an_absurd_size_takes_no_memory(tmp_path):
    head = struct.pack("<QQQI", START, START, 1 << 50, 0) + text(b"zstd")
    path = mcap(tmp_path / "x.mcap", *NOTE, mcap_record(6, head + struct.pack("<Q", 4) + b"abcd"), message(1, 1))
    found, problem = texts(path)
    assert found == ["1"]
    assert "at most" in problem


def test_a_file_that_was_not_closed_gives_its_messages_and_says_so(tmp_path):
    path = mcap(tmp_path / "x.mcap", *NOTE, message(1, 0), message(1, 1), closed=False)
    found, problem = texts(path)
    assert found == ["0", "1"]
    assert "2 messages read, then: it was not closed" in problem
    path.write_bytes(path.read_bytes()[:-3])
    found, problem = texts(path)
    assert found == ["0"]
    assert "1 message read, then: it ends in the middle of a record" in problem


@pytest.mark.parametrize("name", ["x.mcap", "x.db3"])
def test_a_pipe_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(BagError, match="not a regular file"):
        Bag(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, MAGIC, MAGIC + b"\x01" + b"\xff" * 30, b"SQLite format 3\0" + b"x" * 200]
)
@pytest.mark.parametrize("name", ["x.mcap", "x.db3"])
def test_garbage_is_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    found, problem = texts(path)
    assert found == []
    assert problem.startswith(str(path))
    assert "\n" not in problem


def test_a_qos_of_four_keys_is_read_with_defaults(tmp_path):
    path = record(tmp_path / "bag")
    keys = {"history": "keep_last", "depth": 7, "reliability": "best_effort", "durability": "volatile"}
    edit(path, lambda i: profile_of(i).update(offered_qos_profiles=[keys]))
    with Bag(path) as bag:
        (profile,) = bag.topics["/note"].qos
        assert (profile.depth, profile.reliability.name) == (7, "BEST_EFFORT")
