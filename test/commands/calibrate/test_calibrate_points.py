"""``rgbt-seg calibrate points``: from a file, and from points picked in a window."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.arguments import image_size
from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration import picking_window
from rgbt_seg_ros.registration.correspondences import read_points, write_points
from rgbt_seg_ros.registration.formats.camera_calibration import format_camera_calibration
from rgbt_seg_ros.registration.formats.kalibr import format_kalibr

SIZES = ["--rgb-size", "480x640", "--thermal-size", "512x640"]
SHIFT = np.array(((1.0, 0, -20), (0, 1.0, 8), (0, 0, 1)))


@pytest.fixture
def pixels(tmp_path):
    thermal = np.random.default_rng(0).uniform((40, 20), (630, 460), (12, 2))
    rgb = thermal + np.array((-20, 8))
    rgb[4] += (60, 0)
    write_points(tmp_path / "points.csv", rgb, thermal)
    return str(tmp_path / "points.csv")


@pytest.fixture
def rig(tmp_path):
    found = replace(default_rig(), t_rgb_thermal=None, time_offset=0.02)
    write_calibration(tmp_path / "lenses.yaml", found)
    return found


@pytest.fixture
def deep(tmp_path):
    truth = default_rig()
    rng = np.random.default_rng(1)
    z = rng.uniform(1, 7, 20)
    positions = np.stack((rng.uniform(-0.3, 0.4, 20) * z, rng.uniform(-0.3, 0.3, 20) * z, z), 1)
    back = inverse(truth.extrinsic)
    seen = project(truth.rgb, positions), project(truth.thermal, positions @ back[:3, :3].T + back[:3, 3])
    rows = [",".join(map(str, (*a, *b, d))) for a, b, d in zip(*seen, z, strict=True)]
    (tmp_path / "deep.csv").write_text("\n".join(("rgb_x,rgb_y,thermal_x,thermal_y,depth", *rows)))
    return str(tmp_path / "deep.csv")


def test_a_homography_of_sizes_alone(pixels, tmp_path, capsys):
    out = str(tmp_path / "out.yaml")
    assert main(["calibrate", "points", pixels, "-o", out, *SIZES]) == 0
    found = read_calibration(out)
    assert (found.rgb.size, found.thermal.size) == ((480, 640), (512, 640))
    assert found.homography == pytest.approx(SHIFT, abs=0.05)
    assert found.provenance["homography_tool"] == "rgbt-seg calibrate points"
    assert (found.provenance["homography_points"], found.provenance["homography_inliers"]) == (12, 11)
    assert len(found.provenance["homography_covariance"]) == 64
    assert found.provenance["homography_rms_px"] < 0.02
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("outlier")] == ["6"]
    assert any(line.startswith("homography of 11 of 12 points: error in the RGB image 0.0") for line in lines)
    assert lines[-1] == out


@pytest.mark.parametrize("source", ["ours", "ros"])
def test_an_extrinsic_where_lenses_and_distances_are_known(source, deep, rig, tmp_path, capsys):
    out = str(tmp_path / "out.yaml")
    known = ["--calibration", str(tmp_path / "lenses.yaml")]
    if source == "ros":
        for name, text in zip("ab", format_camera_calibration(rig), strict=True):
            (tmp_path / f"{name}.yaml").write_text(text)
        known = ["--ros", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert main(["calibrate", "points", deep, "-o", out, *known]) == 0
    found = read_calibration(out)
    assert found.extrinsic == pytest.approx(default_rig().extrinsic, abs=1e-3)
    assert len(found.provenance["extrinsic_covariance"]) == 36
    if source == "ours":
        assert (found.rgb, found.thermal, found.time_offset) == (rig.rgb, rig.thermal, 0.02)
    assert "extrinsic of 20 of 20 points: error in the thermal image" in capsys.readouterr().out


def test_a_homography_is_added_to_what_a_file_has(pixels, tmp_path):
    path = tmp_path / "whole.yaml"
    write_calibration(path, replace(default_rig(), provenance={"extrinsic_tool": "other", "homography_tool": "old"}))
    assert main(["calibrate", "points", pixels, "-o", str(path), "--calibration", str(path), "--overwrite"]) == 0
    found = read_calibration(path)
    assert found.t_rgb_thermal == default_rig().t_rgb_thermal
    assert found.h_rgb_thermal is not None
    assert found.provenance["extrinsic_tool"] == "other"
    assert found.provenance["homography_tool"] == "rgbt-seg calibrate points"


def test_points_that_are_picked(tmp_path, monkeypatch, capsys):
    for name, shape in (("rgb", (480, 640, 3)), ("thermal", (512, 640))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros(shape, np.uint8))
    thermal = np.array(((50.0, 30), (600, 40), (610, 400), (60, 420), (300, 200)))
    images = [str(tmp_path / "rgb.png"), str(tmp_path / "thermal.png")]
    points, out = str(tmp_path / "picked.csv"), str(tmp_path / "out.yaml")
    command = ["calibrate", "points", points, "-o", out, "--pick", *images]
    monkeypatch.setattr(picking_window, "_PROBE", "raise SystemExit(1)")
    assert main(command) == 2
    assert "--pick: no window can be opened here" in capsys.readouterr().err

    def pick(rgb, heat, path):
        assert (rgb.shape, heat.shape) == ((480, 640, 3), (512, 640))
        write_points(path, thermal + np.array((-20, 8)), thermal)

    monkeypatch.setattr(picking_window, "pick", pick)
    assert main(command) == 0
    assert read_calibration(out).homography == pytest.approx(SHIFT, abs=0.05)
    assert len(read_points(points)) == 5


def test_the_largest_side_is_that_of_a_camera():
    from rgbt_seg_ros.pipeline.calibration.camera import LARGEST

    assert image_size(f"{LARGEST}x{LARGEST}") == (LARGEST, LARGEST)
    with pytest.raises(ArgumentTypeError, match=f"more than {LARGEST} pixels"):
        image_size(f"{LARGEST + 1}x1")


def test_the_cameras_of_a_camchain_are_named(deep, rig, tmp_path):
    """A chain that has the thermal camera first."""
    rgb, thermal = replace(rig.rgb, d=rig.rgb.d[:4]), rig.thermal
    turned = replace(rig, rgb=thermal, thermal=rgb)
    (tmp_path / "chain.yaml").write_text(format_kalibr(turned))
    known = ["--calibration", str(tmp_path / "chain.yaml"), "--rgb-camera", "cam1", "--thermal-camera", "cam0"]
    out = str(tmp_path / "out.yaml")
    assert main(["calibrate", "points", deep, "-o", out, *known, "--rgb-frame", "head"]) == 0
    found = read_calibration(out)
    assert found.rgb == replace(rgb, frame_id="head")
    assert found.extrinsic == pytest.approx(default_rig().extrinsic, abs=0.02)


def test_what_is_kept_and_no_longer_goes_with_the_fit_is_told(pixels, deep, rig, tmp_path, capsys):
    known = tmp_path / "known.yaml"
    write_calibration(known, replace(default_rig(), plane_distance=5.0))
    arguments = ["--calibration", str(known)]
    assert main(["calibrate", "points", pixels, "-o", str(tmp_path / "a.yaml"), *arguments]) == 0
    assert "note: alignment.mode auto takes the extrinsic and plane_distance" in capsys.readouterr().out
    write_calibration(known, replace(rig, h_rgb_thermal=(1.0, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert main(["calibrate", "points", deep, "-o", str(tmp_path / "b.yaml"), *arguments]) == 0
    assert "note: the homography is kept as it was, and is not of the new extrinsic\n" in capsys.readouterr().out
    assert main(["calibrate", "points", pixels, "-o", str(tmp_path / "c.yaml"), *arguments]) == 0
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{pixels}", "-o", "{dir}/a.yaml"], "sizes are not known; expected --calibration, --ros, or --rgb-size"),
        (["{dir}/none.csv", "-o", "{dir}/a.yaml", *SIZES], "none.csv: not a readable file of points"),
        (
            ["{dir}/bad.csv", "-o", "{dir}/a.yaml", *SIZES],
            "bad.csv: line 2: rgb_y 'x' is not a number; line 3: 3 values",
        ),
        (["{dir}/few.csv", "-o", "{dir}/a.yaml", *SIZES], "few.csv: 2 points; a homography needs at least 4"),
        (["{pixels}", "-o", "{pixels}", "--overwrite", *SIZES], "is the file of points too"),
        (["{pixels}", "-o", "{dir}/bad.csv", *SIZES], "bad.csv: exists already; --overwrite replaces it"),
        (["{pixels}", "-o", "{dir}/a.yaml", "--model", "extrinsic", *SIZES], "an extrinsic needs the intrinsics"),
        (["{pixels}", "-o", "{dir}/a.yaml", "--rectified", *SIZES], "--rectified goes with --ros"),
        (
            ["{pixels}", "-o", "{dir}/a.yaml", "--calibration", "{dir}/lenses.yaml", "--rgb-size", "48x64"],
            "rgb images of 480x640 (HxW), and these are 48x64",
        ),
        (
            ["{pixels}", "-o", "{dir}/a.yaml", "--rectified", "--calibration", "{dir}/lenses.yaml"],
            "--rectified goes with",
        ),
        (["{pixels}", "-o", "{dir}/a.yaml", "--rgb-camera", "cam1", *SIZES], "go with --calibration and a camchain"),
        (["{pixels}", "-o", "{dir}/a.yaml", "--calibration", "a", "--ros", "b", "c"], "not allowed with argument"),
        (["{pixels}", "-o", "{dir}/a.yaml", "--rgb-size", "640"], "'640' is not HxW in pixels"),
        (
            ["{pixels}", "-o", "{dir}/a.yaml", "--thermal-size", "99999x99999"],
            "argument --thermal-size: '99999x99999' has a side of more than 16384 pixels",
        ),
        (["{dir}/far.csv", "-o", "{dir}/a.yaml", *SIZES], "far.csv: line 2: depth 1e+300 is not a distance"),
        (["{pixels}", "-o", "{dir}/a.yaml", "--threshold", "0", *SIZES], "'0' is not a number above 0"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, words, pixels, rig, tmp_path, refusal):
    (tmp_path / "bad.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y\n1,x,3,4\n1,2,3\n")
    (tmp_path / "few.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y\n1,2,3,4\n100,200,300,4\n")
    (tmp_path / "far.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y,depth\n1,2,3,4,1e300\n")
    filled = [argument.format(pixels=pixels, dir=tmp_path) for argument in arguments]
    assert words in refusal("calibrate", "points", *filled)
    assert not (tmp_path / "a.yaml").exists()
