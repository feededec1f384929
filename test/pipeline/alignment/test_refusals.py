"""Images and settings that cannot be aligned are refused in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import write_calibration

RIG = default_rig()
THERMAL = np.zeros(RIG.thermal.size, np.uint8)
DEPTH = np.full(RIG.rgb.size, 3.0, np.float32)
SMALL = (30, 40)


@pytest.mark.parametrize("mode", ["homography", "plane", "depth"])
def test_a_mode_without_a_calibration_says_what_it_needs(mode):
    with pytest.raises(UserError, match=f"^calibration: empty, and mode '{mode}' needs a file"):
        Aligner.open(AlignmentSettings(mode))


@pytest.mark.parametrize(
    ("mode", "change", "words"),
    [
        ("homography", {}, "homography.H_rgb_thermal: missing, and mode 'homography' needs it"),
        ("plane", {"t_rgb_thermal": None}, "extrinsic.T_rgb_thermal: missing, and mode 'plane' needs it"),
        ("depth", {"t_rgb_thermal": None}, "extrinsic.T_rgb_thermal: missing, and mode 'depth' needs it"),
        ("plane", {"rgb": replace(RIG.rgb, k=None)}, "rgb.K: missing"),
        ("depth", {"thermal": replace(RIG.thermal, k=None)}, "thermal.K: missing"),
    ],
)
def test_what_a_mode_lacks_is_named_with_the_file(tmp_path: Path, mode, change, words):
    path = tmp_path / "c.yaml"
    write_calibration(path, replace(RIG, **change))
    with pytest.raises(UserError, match=rf"c\.yaml: {words}"):
        Aligner.open(AlignmentSettings(mode, str(path)))


def test_a_plane_without_a_distance_is_a_setting_that_is_missing(tmp_path: Path):
    write_calibration(tmp_path / "c.yaml", replace(RIG, plane_distance=None))
    with pytest.raises(SettingError, match=r"^plane_distance: 0, and .*c\.yaml has none; expected the distance in m"):
        Aligner.open(AlignmentSettings("plane", str(tmp_path / "c.yaml")))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "stereo"}, "^mode: 'stereo' is not one of auto, none, homography, plane, depth"),
        (
            {"mode": "none", "calibration": "a.yaml"},
            "^calibration: 'a.yaml', but mode 'none' reads no calibration file",
        ),
        ({"mode": "plane", "plane_distance": -1.0}, "^plane_distance: -1"),
        ({"mode": "depth", "depth_missing": float("inf")}, "^depth_missing: inf"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        AlignmentSettings(**settings)


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (None, "depth image: missing for this pair"),
        (DEPTH[:240], "depth image: 240x640 .HxW.; expected 480x640"),
        (DEPTH.astype(np.float64), "depth image: \\(480, 640\\) of float64"),
        (DEPTH[..., None], "expected \\(H, W\\)"),
        (DEPTH.astype(np.uint8), "uint16 \\(16UC1, mm\\) or float32 \\(32FC1, m\\)"),
    ],
)
def test_a_depth_image_that_is_none_is_refused(depth, words):
    with pytest.raises(UserError, match=words):
        Aligner(RIG, AlignmentSettings("depth")).align(THERMAL, SMALL, depth)


@pytest.mark.parametrize("mode", ["plane", "depth"])
def test_images_of_other_sizes_are_refused(mode):
    aligner = Aligner(RIG, AlignmentSettings(mode))
    with pytest.raises(UserError, match=r"thermal\.size: the calibration is for images of 512x640"):
        aligner.align(THERMAL[:480], SMALL, DEPTH)
    with pytest.raises(
        UserError, match=r"rgb\.size: the calibration is for images of 480x640 .* this one has 720x1280"
    ):
        aligner.align(THERMAL, SMALL, DEPTH, rgb_size=(720, 1280))


def test_tables_are_built_once_for_a_size_and_few_are_kept():
    aligner = Aligner(RIG, AlignmentSettings("plane"))
    table = aligner.table(SMALL)
    aligner.align(THERMAL, SMALL)
    assert aligner.table(SMALL) is table
    for width in range(41, 61):
        aligner.align(THERMAL, (30, width))
    assert len(aligner._tables) == 4
    assert aligner.table((30, 60)) is aligner.table((30, 60))


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        ("homography", {"h_rgb_thermal": (1.0, 0, 5000.0, 0, 1.0, 0, 0, 0, 1.0)}),
        ("plane", {"t_rgb_thermal": (0.0, 0, 1.0, 0, 0, 1.0, 0, 0, -1.0, 0, 0, 0, 0, 0, 0, 1.0)}),
    ],
)
def test_a_calibration_by_which_nothing_meets_is_refused(mode, change):
    aligner = Aligner(replace(RIG, plane_distance=5.0, **change), AlignmentSettings(mode))
    with pytest.raises(UserError, match="no thermal pixel falls into the RGB image; expected H_rgb_thermal"):
        aligner.build(SMALL)


def test_a_distance_without_a_calibration_is_not_passed_over():
    with pytest.raises(UserError, match=r"^plane_distance: 4 m has no effect in mode 'auto'"):
        Aligner(None, AlignmentSettings(plane_distance=4.0))
