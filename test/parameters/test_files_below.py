"""``runtime.files_below`` confines model and calibration files to a folder."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.parameters.file import defaults
from rgbt_seg_ros.parameters.pairs import settings_of_pairs
from rgbt_seg_ros.parameters.table import settings_of


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a file, beside a folder of a similar name, and links that lead out of it and within it."""
    for name in ("allowed", "allowed_not"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "allowed" / "inside").symlink_to("file")
    (tmp_path / "allowed" / "outside").symlink_to(tmp_path / "allowed_not" / "file")
    (tmp_path / "allowed" / "up").symlink_to(tmp_path)
    return tmp_path / "allowed"


def values(folder, **given):
    return {**defaults(), "runtime.files_below": str(folder), **given}


@pytest.mark.parametrize("name", ["model.file", "alignment.calibration"])
@pytest.mark.parametrize(
    "file", ["/proc/self/maps", "{}/outside", "{}/../allowed_not/file", "{}/up/allowed_not/file", "{}_not/file", "rel"]
)
def test_a_file_outside_is_refused_by_its_parameter(folder, name, file):
    with pytest.raises(SettingError) as caught:
        settings_of(values(folder, **{name: file.format(folder)}))
    assert caught.value.key == name
    assert "is outside the folder of runtime.files_below; expected a file below" in str(caught.value)


@pytest.mark.parametrize("file", ["{}/file", "{}/inside", "{}/up/allowed/file", "{}/not there yet"])
def test_a_file_below_is_taken(folder, file):
    file = file.format(folder)
    settings = settings_of(values(folder, **{"model.file": file, "alignment.calibration": file}))
    assert settings.model == settings.segmenter.alignment.calibration == file


def test_the_demo_model_and_no_calibration_are_always_allowed(folder):
    assert settings_of(values(folder)).model == "demo"


def test_without_a_folder_any_file_is_taken():
    assert settings_of(values("", **{"model.file": "/anywhere"})).model == "/anywhere"


def test_a_folder_that_is_not_there_is_refused(folder):
    with pytest.raises(SettingError, match=r"runtime\.files_below: .* is not a folder"):
        settings_of(values(folder / "none"))


def test_the_calibration_of_one_camera_pair_is_named_as_it_was_set(folder):
    given = {"pairs": ["front", "rear"], "rear.alignment.calibration": "/etc/passwd"}
    with pytest.raises(SettingError, match=r"^rear\.alignment\.calibration: '/etc/passwd' is outside"):
        settings_of_pairs(values(folder, **given))
