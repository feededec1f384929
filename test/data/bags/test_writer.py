"""What becomes of a bag whose writer is killed, runs out of disk, or is one of two."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.messages import make
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.writer import BagWriter

STRING = "std_msgs/msg/String"
FILES = {"mcap": "out.mcap", "sqlite3": "out.db3"}

PROGRAM = """
import sys
from rgbt_seg_ros.data.bags.messages import make
from rgbt_seg_ros.data.bags.writer import BagWriter
with BagWriter(sys.argv[1], sys.argv[2], keep=sys.argv[3] == "keep") as writer:
    writer.add_topic("/note", "std_msgs/msg/String")
    for index in range(30):
        writer.write("/note", index, make("std_msgs/msg/String", data=f"{index}" * 1000))
        if index == 19:
            writer.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def killed(tmp_path):
    """Return a function that kills a writer of ``out`` in the middle, or returns it alive where it is told to."""
    started = []

    def run(storage, keep="", kill=True):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out"), storage, keep]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "written\n"
        if kill:
            process.send_signal(signal.SIGKILL)
            process.wait()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def fill(writer, count=3):
    writer.add_topic("/note", STRING)
    for index in range(count):
        writer.write("/note", index, make(STRING, data="x"))


def fill_and_fail(bag, count):
    with bag as writer:
        fill(writer, count)
        raise RuntimeError


def write_until_refused(bag):
    with bag as writer:
        writer.add_topic("/note", STRING)
        for index in range(10):
            writer.write("/note", index, make(STRING, data="x" * 50_000))
            writer.flush()


def read(path):
    """Return the texts in a bag's file, and what is said of the rest."""
    found = []
    with Bag(path) as bag:
        try:
            for raw in bag.messages(("/note",)):
                found.append(bag.decode(raw).data)
        except BagError as error:
            return found, str(error)
    return found, ""


@pytest.mark.parametrize("storage", FILES)
def test_what_a_killed_writer_left_is_removed_by_the_next(storage, killed, tmp_path):
    killed(storage)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    with BagWriter(tmp_path / "out") as writer:
        fill(writer)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with Bag(tmp_path / "out") as bag:
        assert len(list(bag.messages())) == 3


def test_two_writers_of_one_bag_are_refused_and_two_of_two_are_not(killed, tmp_path):
    process = killed("mcap", kill=False)
    with (
        pytest.raises(BagError, match=rf"out: .* another process is writing there \(process {process.pid} on "),
        BagWriter(tmp_path / "out"),
    ):
        pytest.fail("two writers")
    with BagWriter(tmp_path / "other") as writer:
        fill(writer)
    process.communicate("")
    assert process.returncode == 0
    with Bag(tmp_path / "out") as bag:
        assert len(list(bag.messages())) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


@pytest.mark.parametrize("storage", FILES)
def test_a_kept_bag_has_all_that_was_flushed_before_the_kill(storage, killed, tmp_path):
    killed(storage, "keep")
    with pytest.raises(BagError, match=rf"name the file itself, {tmp_path}/out/{FILES[storage]}"):
        Bag(tmp_path / "out")
    found, loss = read(tmp_path / "out" / FILES[storage])
    assert ("was not closed" in loss) == (storage == "mcap")
    assert found == [f"{index}" * 1000 for index in range(20)]
    with pytest.raises(BagError, match="out: exists already"):
        BagWriter(tmp_path / "out")


@pytest.mark.parametrize(("storage", "keep"), [("mcap", True), ("sqlite3", True), ("mcap", False), ("sqlite3", False)])
def test_a_full_disk_is_one_sentence_that_says_where_what_is_kept_lies(storage, keep, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(BagError, match="out: cannot be written") as refused:
            write_until_refused(BagWriter(tmp_path / "out", storage, keep))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    file = tmp_path / "out" / FILES[storage]
    assert (f"what was recorded before is in {file}" in str(refused.value)) == keep
    if not keep:
        assert list(tmp_path.iterdir()) == []
        return
    found, loss = read(file)
    assert len(found) >= 4
    assert not loss or f"{len(found)} messages read" in loss


def test_a_kept_bag_is_completed_after_an_error_and_nothing_is_left_of_an_empty_one(tmp_path):
    for name, count in (("out", 3), ("empty", 0)):
        with pytest.raises(RuntimeError):
            fill_and_fail(BagWriter(tmp_path / name, keep=True), count)
    with Bag(tmp_path / "out") as bag:
        assert len(list(bag.messages())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_copied_topic_keeps_its_serialisation(tmp_path):
    with BagWriter(tmp_path / "json") as writer:
        writer.add_topic("/note", STRING)
        writer.write("/note", 1, make(STRING, data="a"))
    with Bag(tmp_path / "json") as source, BagWriter(tmp_path / "out") as copy:
        copy.copy_topic(replace(source.topics["/note"], serialization="json"))
        copy.write_raw(next(iter(source.messages())))
    with Bag(tmp_path / "out") as bag:
        assert bag.topics["/note"].serialization == "json"
        np.testing.assert_array_equal([raw.log_time for raw in bag.messages()], [1])
