"""The command `data`: check and export."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.network.conventions import MFNET

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
LABEL = np.repeat(np.array([0, 1, 2, 255], np.uint8), 12).reshape(6, 8)


@pytest.fixture
def mfnet(tmp_path):
    root = tmp_path / "mfnet"
    for name in ("1D", "2N"):
        write_image(root / "labels" / f"{name}.png", LABEL)
        (root / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.dstack([GREY, GREY + 1, GREY + 2, GREY + 3]))
    write_text(root / "train.txt", "1D\n1D_flip\n")
    write_text(root / "test.txt", "2N\n")
    return root


def test_check_of_a_directory_says_what_it_is_read_as_and_what_it_holds(mfnet, capsys):
    assert main(["data", "check", str(mfnet)]) == 0
    text = capsys.readouterr().out
    assert f"read as mfnet:{mfnet}:train, mfnet:{mfnet}:test" in text
    assert f"mfnet:{mfnet}:train: 2 samples" in text
    assert "  1 car                       2             24   33.333" in text
    assert "255 (not annotated)                         24" in text
    assert text.count("0 problems, 0 warnings") == 2


def test_check_reports_all_problems_and_exits_with_2(mfnet, capsys):
    write_image(mfnet / "labels" / "2N.png", np.where(LABEL == 255, 8, LABEL + 9).astype(np.uint8))
    write_text(mfnet / "test.txt", "2N\n3N\n")
    (mfnet / "train.txt").write_text("")
    assert main(["data", "check", str(mfnet)]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    problems = [line for line in captured.out.splitlines() if line.startswith("problem: ")]
    fragments = ["train.txt: lists no names", "test.txt:2", "test.txt:2", "labels/2N.png: 36 pixels are 9, 10, 11"]
    assert len(problems) == len(fragments)
    assert all(fragment in problem for fragment, problem in zip(fragments, problems, strict=True))


def test_check_as_json_holds_the_same(mfnet, capsys):
    assert main(["data", "check", f"mfnet:{mfnet}:train", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["ok"] is True
    (report,) = content["reports"]
    assert (report["samples"], report["groups"], report["ignored_pixels"]) == (2, {"D": 2}, 24)
    assert report["classes"][2] == {"id": 2, "name": "person", "pixels": 24, "images": 2, "boxes": 0}
    (mfnet / "labels" / "1D.png").unlink()
    assert main(["data", "check", f"mfnet:{mfnet}:train", "--json"]) == 2
    content = json.loads(capsys.readouterr().out)
    assert content["ok"] is False
    assert len(content["reports"][0]["problems"]) == 2


@pytest.mark.parametrize("data", ["nowhere", "folder:nowhere", "synthetic:many", "{tmp_path}"])
def test_what_is_no_data_is_one_line(data, tmp_path, capsys):
    assert main(["data", "check", data.format(tmp_path=tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rgbt-seg: error: ")
    assert captured.err.count("\n") == 1


def test_export_writes_what_folder_reads_in_the_colours_of_the_classes(mfnet, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["data", "export", f"mfnet:{mfnet}:train", str(out)]) == 0
    assert main(["data", "check", str(out)]) == 0
    written = open_dataset(f"folder:{out}")
    assert written.convention.classes == MFNET.classes
    for ours, theirs in zip(written, open_dataset(f"mfnet:{mfnet}:train"), strict=True):
        assert ours.name == theirs.name
        for part in ("rgb", "thermal", "label"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
    seen = np.asarray(Image.open(out / "labels" / "1D.png").convert("RGB"))
    assert tuple(seen[2, 0]) == MFNET.classes[1].color
    capsys.readouterr()
    assert main(["data", "export", f"mfnet:{mfnet}:train", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["classes.yaml", "labels", "rgb", "thermal"]


def test_names_that_are_no_utf_8_are_printed(tmp_path, capsys):
    root = tmp_path / os.fsdecode(b"data\xff")
    for folder in ("rgb", "thermal", "labels"):
        write_image(root / folder / os.fsdecode(b"\xfe.png"), GREY)
    write_text(root / "classes.yaml", "- {id: 0, name: other, color: [0, 0, 0]}\n")
    assert main(["data", "check", str(root)]) == 2
    assert r"data\udcff/labels/\udcfe.png: 47 pixels are 1, 2" in capsys.readouterr().out
    write_image(root / "labels" / os.fsdecode(b"\xfe.png"), np.zeros_like(GREY))
    assert main(["data", "export", f"folder:{root}", str(tmp_path / os.fsdecode(b"out\xff"))]) == 0
    assert r"out\udcff: 1 samples" in capsys.readouterr().out


def test_export_keeps_groups_that_names_do_not_tell(tmp_path):
    out = tmp_path / "out"
    assert main(["data", "export", "synthetic:6@7", str(out)]) == 0
    groups = {sample.name: sample.group for sample in open_dataset("synthetic:6@7")}
    found = {path.stem: path.read_text().split() for path in out.glob("*.txt")}
    assert len(found) > 1
    assert {name: group for group, names in found.items() for name in names} == groups
    (group, names), *_ = found.items()
    assert [sample.name for sample in open_dataset(f"folder:{out}:{group}.txt")] == names


def test_export_of_boxes_and_deep_thermal_can_be_read_again(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    for name, thermal in (("a", GREY.astype(np.uint16) * 300), ("b", GREY.astype(np.float32) / 7)):
        write_image(source / "rgb" / f"{name}.png", np.dstack([GREY] * 3))
        write_image(source / "thermal" / f"{name}.tiff", thermal)
        write_text(source / "boxes" / f"{name}.txt", "1 0.5 0.5 0.25 0.5\n" if name == "a" else "")
    assert main(["data", "export", f"boxes:{source}", str(out)]) == 0
    for ours, theirs in zip(open_dataset(f"boxes:{out}"), open_dataset(f"boxes:{source}"), strict=True):
        assert (ours.name, ours.boxes) == (theirs.name, theirs.boxes)
        assert ours.thermal.dtype == theirs.thermal.dtype
        np.testing.assert_array_equal(ours.thermal, theirs.thermal)
