"""Files are written whole or not at all, and never in the place of what is no file."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.label_files import write_label
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.files import write_texts
from rgbt_seg_ros.files import check_place, replacing
from rgbt_seg_ros.network import write_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET

GREY = np.zeros((4, 5), np.uint8)
SPEC = untrained_spec("atto", MFNET, 0)


def put_model(path):
    write_model(path, SPEC, new_network(SPEC, 0).state_dict())


WRITERS = {
    "text": lambda path: write_text(path, "new"),
    "texts": lambda path: write_texts({path: "new"}),
    "image": lambda path: write_image(path, GREY),
    "label": lambda path: write_label(path, GREY, MFNET.classes),
    "model": put_model,
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def one_sentence(write, *fragments):
    with pytest.raises(UserError) as caught:
        write()
    text = str(caught.value)
    assert "\n" not in text
    assert [fragment for fragment in fragments if str(fragment) not in text] == [], text


@every_writer
def test_a_pipe_or_a_link_to_one_is_refused_and_stays(tmp_path, write):
    pipe, link = tmp_path / "pipe.png", tmp_path / "link.png"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        one_sentence(lambda path=path: write(path), f"{path}: is a pipe and cannot be written")
        one_sentence(lambda path=path: check_place(path), path, "pipe")
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@every_writer
def test_a_link_to_a_file_stays_and_the_file_is_replaced(tmp_path, write):
    real, link = tmp_path / "elsewhere" / "real.png", tmp_path / "link.png"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert real.read_bytes() != b"old"
    assert [path.name for path in real.parent.iterdir()] == ["real.png"]


@every_writer
def test_a_place_below_a_file_or_with_a_name_too_long_is_one_sentence_and_nothing_is_left(tmp_path, write):
    (tmp_path / "file").touch()
    below, long = tmp_path / "file" / "a.png", tmp_path / f"{'x' * 252}.png"
    for path in (below, long):
        one_sentence(lambda path=path: write(path), path, "cannot be written")
        one_sentence(lambda path=path: check_place(path), path, "cannot be written")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@every_writer
def test_the_longest_name_and_one_that_is_no_utf_8_can_be_written(tmp_path, write):
    for name in (b"x" * 251 + b".png", b"a\xff.png"):
        path = tmp_path / os.fsdecode(name)
        write(path)
        assert path.stat().st_size
    assert len(list(tmp_path.iterdir())) == 2


@every_writer
def test_a_file_may_be_read_by_whom_the_umask_says(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_what_is_interrupted_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def half():
        with replacing(path) as (part,):
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


def test_of_several_files_the_one_that_cannot_be_written_is_named_and_none_is_new(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"

    def write():
        with replacing(first, second) as parts:
            parts[0].write_text("new")
            parts[1].unlink()

    one_sentence(write, f"{second}: cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_will_not_be_made_is_missed_before(tmp_path):
    path = tmp_path / "none" / "a"
    check_place(path)
    one_sentence(lambda: check_place(path, parents=False), path, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
