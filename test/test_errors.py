"""Errors that name a setting as its user typed it."""

from __future__ import annotations

import pickle

import pytest

from rgbt_seg_ros.errors import SettingError, UserError, in_words, name_settings


def refused(**names):
    with pytest.raises(SettingError) as refusal, name_settings(names):
        raise SettingError("device", "'tpu' is not a device", "cpu or cuda")
    return refusal.value


def test_the_face_names_the_setting():
    assert str(refused(device="--device")) == "--device: 'tpu' is not a device; expected cpu or cuda"


def test_a_setting_that_is_not_named_keeps_its_name():
    assert str(refused(backend="--backend")) == "device: 'tpu' is not a device; expected cpu or cuda"


def test_a_file_stands_before_the_setting():
    with pytest.raises(SettingError) as refusal, name_settings({"device": "run.device"}, "a.yaml"):
        raise SettingError("device", "'tpu' is not a device")
    assert str(refusal.value) == "a.yaml: run.device: 'tpu' is not a device"


def test_the_class_stays():
    class Special(SettingError):
        pass

    with pytest.raises(Special), name_settings({"a": "b"}):
        raise Special("a", "wrong")


def test_it_travels_between_processes():
    error = pickle.loads(pickle.dumps(SettingError("a", "b", "c", "d")))
    assert str(error) == "d: a: b; expected c"


def test_foreign_exceptions_are_named_by_class():
    assert in_words(ValueError("two\nlines")) == "ValueError: two lines"
    assert in_words(KeyError()) == "KeyError"
    assert in_words(UserError("a sentence")) == "a sentence"


def test_a_setting_that_has_its_file_before_it_keeps_its_name():
    with pytest.raises(SettingError) as refusal, name_settings({"device": "--device"}, "b.yaml"):
        raise SettingError("device", "'tpu' is not a device", prefix="a.yaml")
    assert str(refusal.value) == "a.yaml: device: 'tpu' is not a device"
