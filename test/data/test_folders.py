"""Pairs of files, and predict on them."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.folders import ImageFileError, find_pairs, read_rgb, read_thermal, write_image
from rgbt_seg_ros.data.synthetic import render_scene


@pytest.fixture
def tree(tmp_path):
    for index in range(2):
        sample = render_scene(5, index, (48, 64))
        write_image(tmp_path / "rgb" / f"{index}.png", sample.rgb)
        write_image(tmp_path / "thermal" / f"{index}.png", sample.thermal)
    return tmp_path


def test_pairs_are_found_by_name_and_read_back(tree):
    pairs = find_pairs(tree / "rgb", tree / "thermal")
    assert [pair.name for pair in pairs] == ["0", "1"]
    sample = render_scene(5, 0, (48, 64))
    np.testing.assert_array_equal(read_rgb(pairs[0].rgb), sample.rgb)
    np.testing.assert_array_equal(read_thermal(pairs[0].thermal), sample.thermal)


def test_what_is_missing_is_named(tree):
    (tree / "thermal" / "1.png").unlink()
    with pytest.raises(ImageFileError, match="thermal: no image named 1"):
        find_pairs(tree / "rgb", tree / "thermal")
    with pytest.raises(ImageFileError, match="nowhere: no such"):
        find_pairs(tree / "nowhere", tree / "thermal")
    with pytest.raises(ImageFileError, match="two files or two folders"):
        find_pairs(tree / "rgb", tree / "thermal" / "0.png")
    (tree / "empty").mkdir()
    with pytest.raises(ImageFileError, match="no images"):
        find_pairs(tree / "empty", tree / "thermal")


def test_predict_writes_mask_confidence_and_overlay(tree, capsys):
    arguments = [
        "predict",
        str(tree / "rgb"),
        str(tree / "thermal"),
        "--model",
        "demo",
        "-o",
        str(tree / "out"),
    ]
    assert main([*arguments, "--input-size", "image"]) == 0
    names = {path.name for path in (tree / "out").iterdir()}
    assert names == {f"{i}_{kind}.png" for i in "01" for kind in ("mask", "confidence", "overlay")}
    mask = read_thermal(tree / "out" / "0_mask.png")
    assert mask.shape == (48, 64)
    assert mask.max() < 9
    assert "UNTRAINED" not in capsys.readouterr().out


def test_predict_with_an_untrained_model_says_so(tree, capsys):
    model = str(tree / "new.safetensors")
    assert main(["model", "new", "--variant", "atto", "--input-size", "32x64", "-o", model]) == 0
    capsys.readouterr()
    assert main(["predict", str(tree / "rgb"), str(tree / "thermal"), "--model", model, "-o", str(tree / "out")]) == 0
    assert "UNTRAINED" in capsys.readouterr().out


def test_predict_with_one_modality_does_not_look_at_the_other_image(tree):
    arguments = [
        "predict",
        str(tree / "rgb" / "0.png"),
        "",
        "--model",
        "demo",
        "--modality",
        "rgb",
        "--input-size",
        "image",
    ]
    confidence = []
    for thermal in ("0.png", "1.png"):
        arguments[2] = str(tree / "thermal" / thermal)
        assert main([*arguments, "-o", str(tree / thermal)]) == 0
        confidence.append(read_thermal(tree / thermal / "0_confidence.png"))
    np.testing.assert_array_equal(*confidence)


def test_predict_on_a_file_that_is_no_image_ends_with_one_sentence(tree, capsys):
    (tree / "rgb" / "0.png").write_bytes(b"not a picture")
    arguments = [
        str(tree / "rgb" / "0.png"),
        str(tree / "thermal" / "0.png"),
        "--model",
        "demo",
        "-o",
        str(tree),
    ]
    assert main(["predict", *arguments]) == 2
    assert "0.png: not a readable image file" in capsys.readouterr().err
