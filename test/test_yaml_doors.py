"""Every file of YAML that a command or the node reads goes through the one bounded reader."""

from __future__ import annotations

import os

import pytest

from rgbt_seg_ros.data.class_table import read_classes
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.parameters.file import read_parameter_file
from rgbt_seg_ros.pipeline.calibration import read_calibration
from rgbt_seg_ros.training.config_file import load_config, override
from rgbt_seg_ros.yaml_text import MOST_BYTES

DOORS = {
    "classes": read_classes,
    "parameters": read_parameter_file,
    "training": load_config,
    "calibration": read_calibration,
}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "tag": "!!python/object/apply:os.system ['touch ran']",
    "bad bool": "a: !!bool foo",
    "bad int": 'a: !!int ""',
    "bad date": "a: !!timestamp x",
    "deep": "[" * 10_000,
    "deep and closed": "[" * 200 + "]" * 200,
    "cycle": "a: &a [*a]",
    "bomb": BOMB,
    "long number": "a: " + "9" * 5000,
    "long float": "a: 1" + "0" * 5000 + ".5",
    "not text": "\x00\x01",
    "two documents": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("read", DOORS.values(), ids=DOORS.keys())
def test_hostile_yaml_is_refused_in_one_short_sentence(read, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("read", DOORS.values(), ids=DOORS.keys())
def test_pipes_devices_and_huge_files_are_never_waited_for(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path in (tmp_path / "pipe", tmp_path / "huge", "/dev/zero", tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=str(path)):
            read(path)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_value_of_set_is_refused_in_one_short_sentence(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^--set run\.epochs: the value cannot be read") as caught:
        override({}, f"run.epochs={text}")
    assert len(str(caught.value)) < 300
    assert not (tmp_path / "ran").exists()
