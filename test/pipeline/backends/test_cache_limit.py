"""The cache of engines stays below its limit: what was used the longest ago goes, and nothing else."""

from __future__ import annotations

import os

import pytest

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.pipeline.backends.cache import cached
from rgbt_seg_ros.pipeline.backends.cache_limit import LIMIT_MB, VARIABLE, limit_bytes, shrink
from rgbt_seg_ros.pipeline.backends.checksums import MANIFEST, verify

KB = 1 << 10


@pytest.fixture
def log():
    said: list[str] = []
    return logger_to(said.append), said


def engine(root, name, size, used, backend="openvino"):
    """Build one of a size, used last at a time."""
    folder, _ = cached(root / backend / name, lambda part: (part / "model.bin").write_bytes(bytes(size)))
    os.utime(folder / MANIFEST, (used, used))
    return folder


def names(root):
    return {f"{entry.parent.name}/{entry.name}" for entry in root.glob("*/*")}


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (400 * KB, {"openvino/a", "openvino/b", "compile/c", "onnxruntime/d"}),
        (301 * KB + 999, {"openvino/a", "openvino/b", "onnxruntime/d"}),
        (250 * KB, {"openvino/a", "openvino/b"}),
        (150 * KB, {"openvino/b"}),
        (0, {"openvino/b"}),
    ],
)
def test_those_used_the_longest_ago_are_removed_until_the_rest_fits(tmp_path, log, limit, left):
    engine(tmp_path, "a", 99 * KB, used=4000)
    keep = engine(tmp_path, "b", 99 * KB, used=1)
    engine(tmp_path, "c", 99 * KB, used=2000, backend="compile")
    engine(tmp_path, "d", 99 * KB, used=3000, backend="onnxruntime")
    shrink(tmp_path, keep, limit, log[0])
    assert names(tmp_path) == left
    assert len(log[1]) == (len(left) < 4)
    if log[1]:
        assert f"{4 - len(left)} of 4 engines" in log[1][0]
        assert VARIABLE in log[1][0]


def test_an_engine_that_is_used_again_outlives_one_that_is_not(tmp_path, log):
    old, new = engine(tmp_path, "old", 99 * KB, used=1000), engine(tmp_path, "new", 99 * KB, used=2000)
    verify(old)
    keep = engine(tmp_path, "third", 99 * KB, used=3000)
    shrink(tmp_path, keep, 250 * KB, log[0])
    assert old.is_dir()
    assert not new.exists()


def test_nothing_is_removed_that_this_package_did_not_build(tmp_path, log):
    keep = engine(tmp_path, "keep", KB, used=1)
    stays = [tmp_path / "openvino" / "notes", tmp_path / "photos" / "a", tmp_path / "openvino" / ".part-now"]
    for folder in stays:
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(bytes(50 * KB))
    (tmp_path / "image_sizes.json").write_text("{}")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    other = engine(elsewhere, "a", 50 * KB, used=1)
    (tmp_path / "openvino" / "link").symlink_to(other)
    (tmp_path / "compile").symlink_to(elsewhere / "openvino")
    shrink(tmp_path, keep, 0, log[0])
    assert all((folder / "large").is_file() for folder in stays)
    assert (other / "model.bin").is_file()
    assert (tmp_path / "image_sizes.json").is_file()
    assert log[1] == []


def test_engines_from_before_there_were_checksums_go_too(tmp_path, log):
    keep, old = engine(tmp_path, "keep", KB, used=1), tmp_path / "compile" / "0123456789abcdef_1x480x640-480x640_fp32"
    old.mkdir(parents=True)
    (old / "model.pt2").write_bytes(bytes(50 * KB))
    shrink(tmp_path, keep, 20 * KB, log[0])
    assert names(tmp_path) == {"openvino/keep"}


def test_what_cannot_be_removed_is_said_and_stops_nothing(tmp_path, log, monkeypatch):
    keep = engine(tmp_path, "keep", KB, used=1)
    engine(tmp_path, "other", 50 * KB, used=1)

    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    shrink(tmp_path, keep, 0, log[0])
    assert log[1] == [f"{tmp_path}: the cache of engines cannot be kept below 0 MiB (Permission denied)"]


@pytest.mark.parametrize(("text", "megabytes"), [("", LIMIT_MB), ("100", 100), ("0", 0), ("65536", 65536)])
def test_the_limit_is_where_the_user_says(monkeypatch, log, text, megabytes):
    monkeypatch.setenv(VARIABLE, text)
    assert limit_bytes(log[0]) == megabytes << 20
    assert log[1] == []


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "4 GB", "9" * 5000, "²"])
def test_a_limit_that_is_not_a_number_is_said_and_the_default_counts(monkeypatch, log, text):
    monkeypatch.setenv(VARIABLE, text)
    assert limit_bytes(log[0]) == LIMIT_MB << 20
    assert log[1][0].startswith(f"{VARIABLE}: '")
    assert len(log[1][0]) < 120
