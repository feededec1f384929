"""Checks of whole data sets, and which kind a directory holds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.checks import check_dataset, check_spec
from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.layouts import LAYOUTS, guess_specs
from rgbt_seg_ros.data.problems import DataProblems
from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.network.conventions import MFNET

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
RGB = np.dstack([GREY] * 3)
CLASSES = "- {id: 0, name: other, color: [0, 0, 0]}\n- {id: 1, name: deer, color: [9, 8, 7]}\n"


class Scenes:
    """Samples that are in memory."""

    spec = "scenes"
    convention = MFNET

    def __init__(self, *samples):
        self._samples = samples

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]


def labelled(root, name, label, thermal=GREY):
    for part, image in (("rgb", RGB), ("thermal", thermal), ("labels", label)):
        write_image(root / part / f"{name}.png", image)
    write_text(root / "classes.yaml", CLASSES)


def test_the_report_counts_classes_groups_and_sizes():
    label = np.full((6, 8), 255, np.uint8)
    label[0] = 0
    label[1, :3] = 2
    report = check_dataset(
        Scenes(
            Sample("a", "D", RGB, GREY, label),
            Sample("b", "N", RGB, GREY, np.full((6, 8), 2, np.uint8)),
            Sample("c", "N", RGB, GREY.astype(np.uint16)[:3, :4], boxes=(Box(1, 0, 0, 1, 1), Box(1, 2, 2, 3, 3))),
            Sample("d", "N", RGB, GREY, boxes=()),
        )
    )
    found = {entry.name: (entry.pixels, entry.images, entry.boxes) for entry in report.classes}
    assert found.pop("unlabeled") == (8, 1, 0)
    assert found.pop("person") == (51, 2, 0)
    assert found.pop("car") == (0, 1, 2)
    assert len(found) == 6
    assert set(found.values()) == {(0, 0, 0)}
    assert report.ignored_pixels == 37
    assert report.groups == {"D": 1, "N": 3}
    assert report.sizes == {"rgb 6x8, thermal 6x8 uint8": 3, "rgb 6x8, thermal 3x4 uint16": 1}
    assert (report.samples, report.problems, report.warnings) == (4, (), ())


def test_every_problem_is_reported_and_the_first_is_raised(tmp_path):
    good = np.ones((6, 8), np.uint8)
    for name in "abcde":
        labelled(tmp_path, name, good)
    write_image(tmp_path / "labels" / "a.png", np.full((6, 8), 9, np.uint8))
    write_image(tmp_path / "labels" / "b.png", good[:3])
    (tmp_path / "rgb" / "c.png").write_bytes(b"")
    (tmp_path / "thermal" / "d.png").unlink()
    write_text(tmp_path / "list.txt", "a\nb\nc\nd\ne\na\n")
    report = check_spec(f"folder:{tmp_path}:list.txt")
    expected = ["list.txt:6: a", "thermal/d", "labels/a.png: 48 pixels are 9", "labels/b.png: 3x8", "rgb/c.png"]
    assert len(report.problems) == len(expected)
    for problem, fragment in zip(report.problems, expected, strict=True):
        assert fragment in problem
    assert report.samples == 4
    assert report.groups == {"": 1}
    assert report.classes[1].pixels == 48
    sentence = str(DataProblems(*report.problems))
    assert "list.txt:6: " in sentence
    assert sentence.endswith("(and 4 more)")


def test_files_that_are_missing_are_reported_beside_a_wrong_class_table(tmp_path):
    labelled(tmp_path, "a", np.zeros((6, 8), np.uint8))
    (tmp_path / "classes.yaml").write_text("5")
    report = check_spec(f"folder:{tmp_path}")
    (table,) = report.problems
    assert "classes.yaml" in table
    assert (report.samples, report.classes) == (1, ())
    (tmp_path / "thermal" / "a.png").unlink()
    missing, table = check_spec(f"folder:{tmp_path}").problems
    assert "thermal/a" in missing
    assert "classes.yaml" in table


def test_nothing_that_is_wrong_hides_anything_else(tmp_path):
    for name in "abcd":
        labelled(tmp_path, name, np.zeros((6, 8), np.uint8))
    write_image(tmp_path / "rgb" / "a.jpg", RGB)
    write_image(tmp_path / "labels" / "b.png", np.zeros((6, 9), np.uint8))
    (tmp_path / "rgb" / "c.png").write_bytes(b"")
    (tmp_path / "labels" / "d.png").unlink()
    (tmp_path / "classes.yaml").write_text("- {id: 0, name: 2026-13-45, color: [0, 0, 0]}")
    (tmp_path / "thermal").rename(tmp_path / "heat")
    report = check_spec(f"folder:{tmp_path}")
    expected = [
        "rgb/a.png: there is a.jpg too",
        "no folder thermal/",
        "labels/d.* is missing",
        "classes.yaml: not a readable class table",
        "labels/b.png: 6x9",
        "rgb/c.png: not a readable",
    ]
    assert [fragment in problem for fragment, problem in zip(expected, report.problems, strict=True)] == [True] * 6
    assert report.samples == 0


def test_a_list_that_is_missing_does_not_hide_what_else_is(tmp_path):
    labelled(tmp_path, "a", np.zeros((6, 8), np.uint8))
    (tmp_path / "classes.yaml").unlink()
    report = check_spec(f"folder:{tmp_path}:none.txt")
    assert ["none.txt" in report.problems[0], "classes.yaml" in report.problems[1], len(report.problems)] == [1, 1, 2]


def test_what_a_sample_that_misses_a_file_does_have_is_read(tmp_path):
    for name in ("1D", "2D"):
        cv2.imwrite(str(made(tmp_path / "images") / f"{name}.png"), np.dstack([RGB, GREY]))
        write_image(tmp_path / "labels" / f"{name}.png", np.zeros((6, 8), np.uint8))
    (tmp_path / "images" / "2D.png").unlink()
    write_image(tmp_path / "labels" / "2D.png", np.full((6, 8), 77, np.uint8))
    write_text(tmp_path / "train.txt", "1D\n2D\n")
    report = check_spec(f"mfnet:{tmp_path}:train")
    missing, wrong = report.problems
    assert "images/2D.png is missing" in missing
    assert "labels/2D.png: 48 pixels are 77" in wrong
    assert (report.samples, report.groups) == (1, {"D": 1})


def made(path):
    path.mkdir(exist_ok=True)
    return path


def test_a_mirrored_sample_does_not_say_the_same_again(tmp_path):
    write_image(tmp_path / "images" / "1D.png", RGB)
    write_image(tmp_path / "labels" / "1D.png", GREY)
    write_text(tmp_path / "train.txt", "1D\n1D_flip\n")
    problems = check_spec(f"mfnet:{tmp_path}:train").problems
    assert ["3 channels" in problems[0], "39 pixels are 9" in problems[1], len(problems)] == [True, True, 2]


def test_oddities_are_warnings():
    odd, flat = Sample("a", "", RGB, GREY, notes=("a.png: odd",)), np.full((6, 8), 7, np.uint8)
    report = check_dataset(Scenes(odd, Sample("b", "", RGB, flat), Sample("c", "", RGB, GREY)))
    assert report.problems == ()
    first, second = report.warnings
    assert first == "a.png: odd"
    assert second.startswith("b: thermal: all pixels, or all but a few, are 7")


def test_thermal_of_another_field_of_view_is_a_problem():
    slightly, wide = np.zeros((600, 808), np.uint8), np.random.default_rng(1).integers(0, 255, (6, 16), np.uint8)
    slightly[0] = 1
    report = check_dataset(Scenes(Sample("a", "", RGB, slightly), Sample("b", "", RGB, wide)))
    (problem,) = report.problems
    assert problem.startswith("b: thermal has 6x16 pixels and RGB 6x8")
    assert report.warnings == ()


@pytest.mark.parametrize("kind", ["folder", "boxes"])
def test_false_colours_are_a_warning_that_names_the_file(tmp_path, kind):
    for name in "ab":
        labelled(tmp_path, name, np.zeros((6, 8), np.uint8))
        write_text(tmp_path / "boxes" / f"{name}.txt", "")
    write_image(tmp_path / "thermal" / "a.png", cv2.applyColorMap(GREY, cv2.COLORMAP_JET))
    write_image(tmp_path / "thermal" / "b.png", RGB + np.array([0, 1, 2], np.uint8))
    report = check_spec(f"{kind}:{tmp_path}")
    assert report.problems == ()
    (warning,) = report.warnings
    assert warning.startswith(f"{tmp_path / 'thermal' / 'a.png'}: a thermal image in false colours")


def test_labels_of_other_sources_are_checked_too():
    wrong = Sample("a", "", RGB, GREY, np.full((6, 9), 9, np.uint8))
    assert [problem.startswith("a: label mask: ") for problem in check_dataset(Scenes(wrong)).problems] == [True, True]


@pytest.mark.parametrize(
    ("folders", "kind"),
    [
        (("rgb", "thermal"), "folder:{}"),
        (("rgb", "labels"), "folder:{}"),
        (("thermal", "labels"), "folder:{}"),
        (("thermal", "boxes"), "boxes:{}"),
        (("images", "labels"), "mfnet:{}:train"),
        (("train/rgb", "train/labels"), "pst900:{}:train"),
    ],
)
def test_two_of_three_folders_tell_the_kind_and_the_check_names_the_third(tmp_path, folders, kind):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    (spec,) = guess_specs(str(tmp_path))
    assert spec == kind.format(tmp_path)
    expected = "no list of names 'train'" if "images" in folders else ": no folder "
    assert any(expected in problem for problem in check_spec(spec).problems)


@pytest.mark.parametrize("folders", [("rgb",), ("labels",), ("labels", "boxes"), ("images",)])
def test_less_tells_nothing(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="no data of a known layout"):
        guess_specs(str(tmp_path))


def test_the_layout_tells_the_kind(tmp_path):
    with pytest.raises(DataError) as caught:
        guess_specs(str(tmp_path))
    assert [layout for layout in LAYOUTS.values() if layout not in str(caught.value)] == []
    trees = {
        "mfnet": ("images", "labels"),
        "pst900": ("train/rgb", "train/thermal", "test/rgb", "test/thermal"),
        "folder": ("rgb", "thermal", "labels"),
        "boxes": ("rgb", "thermal", "boxes"),
        "both": ("rgb", "thermal", "boxes", "labels"),
    }
    for kind, folders in trees.items():
        for name in folders:
            (tmp_path / kind / name).mkdir(parents=True)
    for name in ("test", "train", "black_list"):
        (tmp_path / "mfnet" / f"{name}.txt").touch()
    root = str(tmp_path)
    assert {kind: guess_specs(f"{root}/{kind}") for kind in trees} == {
        "mfnet": (f"mfnet:{root}/mfnet:train", f"mfnet:{root}/mfnet:test"),
        "pst900": (f"pst900:{root}/pst900:train", f"pst900:{root}/pst900:test"),
        "folder": (f"folder:{root}/folder",),
        "boxes": (f"boxes:{root}/boxes",),
        "both": (f"folder:{root}/both", f"boxes:{root}/both"),
    }
