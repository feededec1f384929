"""The reader of YAML: plain values, within bounds, and no traceback for anything."""

from __future__ import annotations

import os

import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.yaml_text import MOST_BYTES, Dialect, dump_yaml, parse_yaml, read_yaml


def bomb(levels, width=10):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "!!bool foo",
        '!!int ""',
        "!!timestamp x",
        "!!python/object/apply:os.system [true]",
        "!unknown x",
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 2000,
        "[" * 60 + "]" * 60,
        "{" * 60,
        bomb(12),
        "a: " + "9" * 5000,
        "a: " + ":".join(["59"] * 5000),
        "a: [1, 2",
        "a: *nothing",
        "a: 1\na: 2",
        "\ta: 1",
        "a: 1\n---\nb: 2",
        "{[1]: 2}",
        "a: !!float x",
        "a: \x00",
    ],
)
@pytest.mark.parametrize("dialect", Dialect)
def test_what_cannot_be_read_is_one_sentence(text, dialect):
    if text == "a: 1\na: 2" and dialect is Dialect.ROS:
        assert parse_yaml(text, "p", dialect=dialect) == {"a": 2}  # as rcl does
        return
    if text == "a: " + ":".join(["59"] * 5000) and dialect is Dialect.ROS:
        assert isinstance(parse_yaml(text, "p", dialect=dialect)["a"], str)  # no sexagesimal numbers there
        return
    with pytest.raises(UserError) as refusal:
        parse_yaml(text, "params.yaml: not a readable parameter file", dialect=dialect)
    sentence = str(refusal.value)
    assert sentence.startswith("params.yaml: not a readable parameter file (")
    assert "\n" not in sentence
    assert len(sentence) < 150


def test_a_reason_quotes_nothing_of_the_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("password: !hunter2 *hunter3\n")
    with pytest.raises(UserError) as refusal:
        read_yaml(file, "calibration file")
    assert "hunter" not in str(refusal.value)


def test_aliases_within_bounds_are_read():
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: *a}", "p") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": [1, 2]},
    }


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=r"(a|readable) calibration file"):
        read_yaml(tmp_path / "x", "calibration file")


def test_a_device_and_a_large_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="/dev/zero: is a device"):
        read_yaml("/dev/zero", "calibration file")
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(UserError, match="larger than"):
        read_yaml(tmp_path / "large", "calibration file")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"\x80"])
def test_what_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match="not UTF-8"):
        read_yaml(tmp_path / "x", "class table")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing: not a readable class table \(No such file"):
        read_yaml(tmp_path / "nothing", "class table")


def test_opencv_files_are_read():
    text = "%YAML:1.0\n---\nK: !!opencv-matrix\n   rows: 1\n   cols: 2\n   dt: d\n   data: [ 1., 2. ]\n"
    assert parse_yaml(text, "p") == {"K": {"rows": 1, "cols": 2, "dt": "d", "data": [1.0, 2.0]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-2", 0.05),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("on", True),
        ("0x10", 16),
        (".inf", float("inf")),
    ],
)
def test_words_of_ros(text, value):
    assert parse_yaml(f"a: {text}", "p", dialect=Dialect.ROS) == {"a": value}


def test_what_is_written_is_read():
    content = {"a": [1, 2.5, "ü"], "b": {"c": None, "d": True}}
    assert parse_yaml(dump_yaml(content), "p") == content
