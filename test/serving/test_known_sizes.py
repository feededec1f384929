"""The sizes that are remembered between runs: kept, bounded, and never in anybody's way."""

from __future__ import annotations

import json
import logging

import pytest

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.serving import known_sizes
from rgbt_seg_ros.serving.known_sizes import FILE, KEPT, QUIET, KnownSizes, pair_key

LOG = logging.getLogger(__name__)
FRONT = pair_key("/robot/rgbt_segmentation", "front")


@pytest.fixture
def clock(monkeypatch):
    """The time in its only item; it stands still."""
    now = [100.0]
    monkeypatch.setattr(known_sizes.time, "monotonic", lambda: now[0])
    return now


def test_a_key_is_the_nodes_name_and_the_pairs_where_it_has_one():
    assert FRONT == "/robot/rgbt_segmentation front"
    assert pair_key("/rgbt_segmentation", "") == "/rgbt_segmentation"


def test_a_size_is_there_in_the_next_run_and_only_for_its_pair(tmp_path):
    said = []
    sizes = KnownSizes(tmp_path / "cache" / FILE, logger_to(said.append))
    assert sizes.get(FRONT) is None
    sizes.put(FRONT, (720, 1280))
    sizes.put("/other", (480, 640))
    again = KnownSizes(tmp_path / "cache" / FILE, logger_to(said.append))
    assert (again.get(FRONT), again.get("/other"), again.get("/third")) == ((720, 1280), (480, 640), None)
    assert said == []


def test_the_file_is_written_only_when_a_size_changes(tmp_path, clock):
    path = tmp_path / FILE
    sizes = KnownSizes(path, LOG)
    sizes.put(FRONT, (720, 1280))
    path.unlink()
    sizes.put(FRONT, (720, 1280))
    assert not path.exists()
    clock[0] += QUIET
    sizes.put(FRONT, (480, 640))
    assert KnownSizes(path, LOG).get(FRONT) == (480, 640)
    assert list(tmp_path.iterdir()) == [path]


def test_two_cameras_on_one_topic_have_the_file_written_now_and_then(tmp_path, clock, monkeypatch):
    path, written = tmp_path / FILE, []
    plain = known_sizes.replacing
    monkeypatch.setattr(known_sizes, "replacing", lambda *paths: (written.append(clock[0]), plain(*paths))[1])
    sizes = KnownSizes(path, LOG)
    for frame in range(100):
        clock[0] = 100.0 + frame / 10
        size = ((720, 1280), (480, 640))[frame % 2]
        sizes.put(FRONT, size)
        # The newest is what this run goes by.
        assert sizes.get(FRONT) == size
    assert len(written) == 2
    # Another pair does not wait for this one, and what was not written is, as soon as it may be.
    sizes.put("/other", (10, 20))
    assert len(written) == 3
    clock[0] += QUIET
    sizes.put(FRONT, (480, 640))
    again = KnownSizes(path, LOG)
    assert (again.get(FRONT), again.get("/other")) == ((480, 640), (10, 20))


def test_without_a_place_sizes_hold_for_this_run():
    said = []
    sizes = KnownSizes(None, logger_to(said.append))
    sizes.put(FRONT, (720, 1280))
    assert (sizes.get(FRONT), sizes.get("/other"), said) == ((720, 1280), None, [])


def test_two_nodes_keep_each_others_sizes(tmp_path):
    first, second = (KnownSizes(tmp_path / FILE, LOG) for _ in range(2))
    first.put("/first", (10, 20))
    second.put("/second", (30, 40))
    both = KnownSizes(tmp_path / FILE, LOG)
    assert (both.get("/first"), both.get("/second")) == ((10, 20), (30, 40))


def test_the_pair_that_changed_the_longest_ago_makes_room(tmp_path, clock):
    sizes = KnownSizes(tmp_path / FILE, LOG)
    for index in range(KEPT):
        sizes.put(f"/node{index}", (index + 1, 10))
    clock[0] += QUIET
    sizes.put("/node0", (500, 10))
    sizes.put("/one_more", (5, 5))
    kept = KnownSizes(tmp_path / FILE, LOG)
    assert len(json.loads((tmp_path / FILE).read_text())["image_sizes"]) == KEPT
    assert (kept.get("/node0"), kept.get("/node1"), kept.get("/one_more")) == ((500, 10), None, (5, 5))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"image_sizes": [1]}', "[" * 100_000, b"\xff\xfe"])
def test_a_broken_file_is_ignored_with_one_sentence_and_replaced(tmp_path, content):
    path, said = tmp_path / FILE, []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sizes = KnownSizes(path, logger_to(said.append))
    assert sizes.get(FRONT) is None
    sizes.put(FRONT, (720, 1280))
    assert KnownSizes(path, logger_to(said.append)).get(FRONT) == (720, 1280)
    assert len(said) == 1
    assert str(path) in said[0]
    assert "\n" not in said[0]


@pytest.mark.parametrize(
    "size", [[720], [0, 10], [720, -1], ["720", "1280"], [720.0, 1280], [True, 2], 7, None, [40000, 10]]
)
def test_an_entry_that_is_no_size_is_left_out_and_the_others_are_kept(tmp_path, size):
    path = tmp_path / FILE
    path.write_text(json.dumps({"image_sizes": {"/bad": size, FRONT: [720, 1280]}}))
    sizes = KnownSizes(path, LOG)
    assert (sizes.get("/bad"), sizes.get(FRONT)) == (None, (720, 1280))


def test_a_place_that_cannot_be_written_is_said_once_and_nothing_more(tmp_path, clock):
    (tmp_path / "file").write_text("")
    said = []
    sizes = KnownSizes(tmp_path / "file" / FILE, logger_to(said.append))
    said.clear()
    for size in ((10, 10), (20, 20), (30, 30)):
        clock[0] += QUIET
        sizes.put(FRONT, size)
        # It holds for this run all the same.
        assert sizes.get(FRONT) == size
    assert len(said) == 1
    assert "is not remembered" in said[0]
