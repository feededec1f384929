"""An output folder has one writer at a time, and what dead writers left in it is removed."""

import os
import signal
import subprocess
import sys

import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.locks import LOCK, folder_lock

HOLDER = """
import sys, time
from pathlib import Path
from rgbt_seg_ros.locks import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Run a process that holds the lock of ``tmp_path / 'out'`` until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_is_writing(holder, tmp_path):
    refused = pytest.raises(UserError, match=f"out: another process is writing there \\(process {holder.pid} on ")
    with refused, folder_lock(tmp_path / "out"):
        pytest.fail("two writers")


def test_the_lock_ends_with_a_process_that_is_killed(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with folder_lock(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_the_lock_is_refused_within_one_process_too(tmp_path):
    with folder_lock(tmp_path), pytest.raises(UserError, match="another process is writing"), folder_lock(tmp_path):
        pytest.fail("two writers")


def test_the_lock_file_and_a_folder_that_stayed_empty_are_removed(tmp_path):
    (tmp_path / "kept").mkdir()

    with folder_lock(tmp_path / "new" / "deep"):
        assert (tmp_path / "new" / "deep").is_dir()
    with folder_lock(tmp_path / "kept"):
        pass

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept"]


def test_a_forked_process_does_not_keep_the_lock(tmp_path):
    reading, writing = os.pipe()
    with folder_lock(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        with folder_lock(tmp_path):
            assert (tmp_path / LOCK).exists()
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)


def test_litter_of_dead_writers_goes_and_everything_else_stays(tmp_path):
    (tmp_path / f".{'0a' * 8}.part").write_text("half a file")
    (tmp_path / f".{'1b' * 8}.part").mkdir()
    (tmp_path / f".{'1b' * 8}.part" / "data").write_text("half a folder")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "data").write_text("kept")
    (tmp_path / f".{'2c' * 8}.part").symlink_to(tmp_path / "outside")
    for name in (".mine.part", "0123456789abcdef.part", "report.json"):
        (tmp_path / name).write_text("kept")

    with folder_lock(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            ".mine.part", LOCK, "0123456789abcdef.part", "outside", "report.json",
        ]  # fmt: skip
        assert (tmp_path / "outside" / "data").read_text() == "kept"


def test_the_lock_does_not_write_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "victim")

    with pytest.raises(UserError, match="out: cannot be written"), folder_lock(tmp_path / "out"):
        pytest.fail("a link was followed")
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    refused = pytest.raises(UserError, match="file/out: cannot be written \\(Not a directory\\)")
    with refused, folder_lock(tmp_path / "file" / "out"):
        pytest.fail("made")
