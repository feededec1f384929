"""Words for data."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.data.file_table import group_of
from rgbt_seg_ros.data.specs import FORMS, open_dataset, split_directory
from rgbt_seg_ros.errors import UserError


@pytest.mark.parametrize("text", ["", "nonsense", "data/msrs", "coco:x", "folder", "folder:", ":x", "Folder:x"])
def test_words_that_name_nothing_list_those_that_do(text):
    with pytest.raises(UserError) as caught:
        open_dataset(text)
    assert [part for form in FORMS.values() for part in form if part not in str(caught.value)] == []


@pytest.mark.parametrize("rest", ["5", "@7", "0@1", "5@", "5@-1", "-5@1", "five@1", "5@1@2", "٥@1", "1.5@1"])
def test_wrong_words_for_scenes_show_right_ones(rest):
    with pytest.raises(UserError, match=r"synthetic:COUNT@SEED, such as synthetic:1000@7"):
        open_dataset(f"synthetic:{rest}")


@pytest.mark.parametrize("rest", ["5", "0@1", "5@-1", "five@1"])
def test_wrong_words_for_a_drive_show_right_ones(rest):
    with pytest.raises(UserError, match=r"drive:FRAMES@SEED, such as drive:900@7, FRAMES from 1") as caught:
        open_dataset(f"drive:{rest}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rest", [f"{2**32}@1", f"1@{2**32}"])
def test_a_drive_beyond_what_is_different_is_refused(rest):
    with pytest.raises(UserError, match=r"drive:.*2\*\*32"):
        open_dataset(f"drive:{rest}")


def test_the_drive_is_that_of_frames_and_seed():
    dataset = open_dataset("drive:30@7")
    assert (len(dataset), dataset.spec, dataset[29].name) == (30, "drive:30@7", "7-000029")


@pytest.mark.parametrize("rest", ["99999999999999999999@1", f"{2**32}@1", f"1@{2**32}", f"1@{'9' * 5000}"])
def test_scenes_beyond_what_is_different_are_refused(rest):
    with pytest.raises(UserError, match=r"2\*\*32") as caught:
        open_dataset(f"synthetic:{rest}")
    assert "\n" not in str(caught.value)


def test_the_most_scenes_there_are_can_be_opened():
    dataset = open_dataset(f"synthetic:{2**32 - 1}@{2**32 - 1}")
    assert len(dataset) == 2**32 - 1


@pytest.mark.parametrize("kind", ["folder", "boxes"])
def test_a_list_left_empty_is_not_every_name(kind, tmp_path):
    for directory in (tmp_path, "nowhere"):
        with pytest.raises(UserError, match=r"no LIST after the last colon"):
            open_dataset(f"{kind}:{directory}:")
    (tmp_path / "a:").mkdir()
    with pytest.raises(UserError, match="no folder rgb/"):
        open_dataset(f"{kind}:{tmp_path / 'a:'}")


@pytest.mark.parametrize(
    "spec", ["{0}", "folder:{0}", "folder:{0}:{0}", "mfnet:{1}:{0}", "pst900:{0}:train", "boxes:a/{0}"]
)
def test_a_name_too_long_is_one_sentence(spec, tmp_path):
    with pytest.raises(UserError):
        open_dataset(spec.format("x" * 300, tmp_path))


@pytest.mark.parametrize("kind", ["mfnet", "pst900"])
def test_a_list_or_split_left_out_is_asked_for(kind, tmp_path):
    for directory in (tmp_path, "nowhere"):
        with pytest.raises(UserError, match=r"expected .* one of train, "):
            open_dataset(f"{kind}:{directory}")


def test_the_scenes_are_those_of_count_and_seed():
    dataset = open_dataset("synthetic:3@7")
    assert (len(dataset), dataset.spec) == (3, "synthetic:3@7")


def test_a_directory_may_have_colons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_directory("a") == ("a", "")
    assert split_directory("a:b") == ("a", "b")
    (tmp_path / "a:b").mkdir()
    assert split_directory("a:b") == ("a:b", "")
    assert split_directory("a:b:c") == ("a:b", "c")
    assert split_directory("a:b:c:d") == ("a:b", "c:d")
    assert split_directory("x:y:z") == ("x:y", "z")
    (tmp_path / "a:b:c").mkdir()
    assert split_directory("a:b:c") == ("a:b:c", "")


@pytest.mark.parametrize(
    ("name", "group"),
    [("00001D", "D"), ("00002N", "N"), ("00003D_flip", "D"), ("sceneN", "N"), ("GARDEN", ""), ("0d", ""), ("7", "")],
)
def test_the_last_letter_of_a_name_tells_day_from_night(name, group):
    assert group_of(name) == group
