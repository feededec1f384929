"""The public face: what `from rgbt_seg_ros import ...` gives, what importing costs, and the examples of docs/python.md."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import rgbt_seg_ros

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
EXAMPLES = re.findall(r"^## (.+?)$.*?^```python\n(.+?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_importing_the_package_imports_nothing_that_takes_time():
    code = "import sys; before = set(sys.modules); import rgbt_seg_ros; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["rgbt_seg_ros"]


def test_every_public_name_can_be_imported_and_is_listed():
    for name in rgbt_seg_ros.__all__:
        assert getattr(rgbt_seg_ros, name).__doc__
        assert name in dir(rgbt_seg_ros)
    with pytest.raises(ImportError, match="Segmentor"):
        exec("from rgbt_seg_ros import Segmentor")


def test_the_face_works_where_ros_cannot_be_imported():
    hide = "import sys; sys.modules.update(rclpy=None, sensor_msgs=None)"
    use = "from rgbt_seg_ros import Segmenter, load_model, Aligner; print(Segmenter.__module__)"
    done = subprocess.run([sys.executable, "-c", f"{hide}; {use}"], capture_output=True, text=True, check=True)

    assert done.stdout == "rgbt_seg_ros.pipeline.segmenter\n"


@pytest.mark.parametrize(
    "module",
    ["", ".network.model_file", ".pipeline.segmenter", ".pipeline.alignment.aligner"],
    ids="rgbt_seg_ros{}".format,
)
def test_the_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"rgbt_seg_ros{module}"))

    assert result.attempted > 2
    assert result.failed == 0


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the examples name, in the working directory."""
    from rgbt_seg_ros.data.export import export
    from rgbt_seg_ros.data.synthetic import SyntheticScenes

    monkeypatch.chdir(tmp_path)
    export(SyntheticScenes(2, 5, (96, 128)), tmp_path / "data")
    sample = SyntheticScenes(2, 5, (96, 128))[0]
    cv2.imwrite("rgb.png", sample.rgb[..., ::-1])
    cv2.imwrite("thermal.png", sample.thermal)
    cv2.imwrite("counts.png", (27_000 + 16 * sample.thermal.astype(np.uint16)))
    height, width = sample.thermal.shape
    Path("calibration.yaml").write_text(
        "format: rgbt_seg_ros/calibration\nversion: 1\n"
        f"rgb: {{width: 128, height: 96}}\nthermal: {{width: {width}, height: {height}}}\n"
        "homography:\n  H_rgb_thermal:\n  - [1.0, 0.0, 8.0]\n  - [0.0, 1.0, 0.0]\n  - [0.0, 0.0, 1.0]\n"
    )


def run(title):
    (code,) = [code for name, code in EXAMPLES if name == title]
    names = {}
    exec(compile(code, f"{PAGE.name}: {title}", "exec"), names)
    return names


def test_the_page_has_the_examples_that_are_run_here():
    assert len(EXAMPLES) == PAGE.read_text().count("```python") == 4


@pytest.mark.usefixtures("files")
def test_a_pair_is_segmented():
    names = run("Segment a pair")

    masks = names["masks"]
    assert masks.label.shape == masks.confidence.shape == (96, 128)
    assert set(np.unique(masks.label)) <= {*names["names"], 255}
    assert not masks.confidence[masks.label == 255].any()
    assert cv2.imread("overlay.png").shape == (96, 128, 3)


@pytest.mark.usefixtures("files")
def test_either_image_is_segmented_alone():
    names = run("One image alone")

    rgb, thermal = names["masks"]
    assert rgb.label.shape == (96, 128)
    assert thermal.label.shape == thermal.confidence.shape == (480, 640)
    assert [frame.modality for frame in names["frames"]] == ["rgb", "thermal"]


@pytest.mark.usefixtures("files")
def test_raw_counts_are_aligned_by_a_calibration():
    names = run("Raw thermal counts and a calibration")

    masks, aligned = names["masks"], names["aligned"]
    # The thermal image lies eight pixels further to the right.
    assert (masks.label[:, :8] == 255).all()
    assert (masks.label[:, 8:] != 255).any()
    assert not aligned.valid[:, :7].any()
    assert aligned.valid[:, 9:].all()


@pytest.mark.usefixtures("files")
def test_logits_and_the_scores_of_a_folder():
    names = run("Logits, and the scores of a folder")

    spec = names["spec"]
    assert names["logits"].shape == (1, spec.num_classes, *spec.input_size)
    assert set(names["miou"]) == {"rgbt", "rgb"}
    assert all(0 < miou < 1 for miou in names["miou"].values())
