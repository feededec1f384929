"""``rgbt-seg predict``: what it must not write over."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.commands.predict import check_outputs
from rgbt_seg_ros.data.folders import find_pairs
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.locks import folder_lock


def image(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((64, 64, 3), 90, np.uint8))


@pytest.fixture
def folders(tmp_path):
    """Return folders of RGB and thermal images, of which one is named like the mask of another."""
    for camera in ("rgb", "thermal"):
        for name in ("x", "x_mask", "y"):
            image(tmp_path / camera / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("where", ["rgb", "thermal"])
def test_an_input_named_like_a_mask_is_not_replaced(folders, where, refusal):
    before = (folders / where / "x_mask.png").read_bytes()
    words = refusal("predict", folders / "rgb", folders / "thermal", "--model", "demo", "-o", folders / where)
    assert f"{where}/x_mask.png: would replace the input" in words
    assert (folders / where / "x_mask.png").read_bytes() == before
    assert sorted(path.name for path in (folders / where).iterdir()) == ["x.png", "x_mask.png", "y.png"]


@pytest.mark.parametrize("kind", ["hard link", "link to the folder"])
def test_an_input_under_another_name_is_not_replaced(folders, kind):
    pairs = find_pairs(folders / "rgb", folders / "thermal")
    output = folders / "out"
    if kind == "hard link":
        output.mkdir()
        os.link(folders / "thermal" / "y.png", output / "y_overlay.png")
    else:
        output.symlink_to(folders / "rgb")
    with pytest.raises(UserError, match="would replace the input"):
        check_outputs(pairs, output)


@pytest.mark.parametrize("target", ["victim", "missing", "out/y_confidence.png"])
def test_nothing_is_written_through_a_symbolic_link(folders, target, refusal):
    (folders / "victim").write_text("kept")
    (folders / "out").mkdir()
    (folders / "out" / "x_mask.png").symlink_to(folders / target)
    words = refusal("predict", folders / "rgb", folders / "thermal", "--model", "demo", "-o", folders / "out")
    assert "out/x_mask.png: is a symbolic link" in words
    assert (folders / "victim").read_text() == "kept"
    assert [path.name for path in (folders / "out").iterdir()] == ["x_mask.png"]


def test_the_folder_of_the_inputs_takes_masks_that_replace_none_of_them(tmp_path, capsys):
    image(tmp_path / "rgb" / "a.png")
    image(tmp_path / "thermal" / "a.png")
    words = [
        "predict",
        str(tmp_path / "rgb"),
        str(tmp_path / "thermal"),
        "--model",
        "demo",
        "-o",
        str(tmp_path / "rgb"),
    ]
    assert main(words) == 0
    assert sorted(path.name for path in (tmp_path / "rgb").iterdir()) == [
        "a.png", "a_confidence.png", "a_mask.png", "a_overlay.png",
    ]  # fmt: skip


def test_two_commands_do_not_write_into_one_folder(folders, refusal):
    with folder_lock(folders / "out"):
        words = refusal("predict", folders / "rgb", folders / "thermal", "--model", "demo", "-o", folders / "out")
    assert "out: another process is writing there" in words


@pytest.mark.parametrize("value", ["x", "\x1b[31m", "none"])
def test_a_thermal_normalisation_is_named_by_its_option(folders, value, refusal):
    for path in (folders / "thermal").iterdir():
        cv2.imwrite(str(path), np.full((64, 64), 9000, np.uint16))
    words = refusal(
        "predict", folders / "rgb", folders / "thermal", "--model", "demo", "-o", folders / "out",
        "--thermal-normalisation", value,
    )  # fmt: skip
    assert "error: --thermal-normalisation: " in words
    assert "\x1b" not in words
