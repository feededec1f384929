"""``rgbt-seg calibrate target``: from a folder and from a bag of rendered views of a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.writer import BagWriter, qos
from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
from rgbt_seg_ros.registration.board import Board
from rgbt_seg_ros.registration.formats.camera_calibration import format_camera_calibration
from rgbt_seg_ros.registration.formats.kalibr import format_kalibr
from support.board_rendering import board_poses, render_pairs

RIG = default_rig("plumb_bob")
CIRCLES = Board("circles", 7, 5, 0.07)
BOARD = ["--board", "circles", "--grid", "7x5", "--spacing", "0.07"]
IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture(scope="module")
def pairs():
    found = render_pairs(RIG, CIRCLES, board_poses(CIRCLES, 10, 1), 1)
    # In one pair a hand covers a corner of the board before the thermal camera.
    found[4] = replace(found[4], thermal=np.zeros_like(found[4].thermal))
    return found


@pytest.fixture(scope="module")
def folder(pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("board")
    for name in ("rgb", "thermal"):
        (path / name).mkdir()
    for pair in pairs:
        cv2.imwrite(str(path / "rgb" / f"{pair.name}.png"), pair.rgb)
        # Raw counts, as a thermal camera stores them.
        cv2.imwrite(str(path / "thermal" / f"{pair.name}.png"), 29000 + 7 * pair.thermal.astype(np.uint16))
    return str(path)


def apart(found):
    turn = found.extrinsic[:3, :3].T @ RIG.extrinsic[:3, :3]
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return angle, np.linalg.norm(found.extrinsic[:3, 3] - RIG.extrinsic[:3, 3])


def test_lenses_and_extrinsic_of_a_folder(folder, tmp_path, capsys):
    out = str(tmp_path / "out.yaml")
    frames = ["--rgb-frame", "head", "--thermal-frame", "hot", "--plane", "4"]
    assert main(["calibrate", "target", folder, "-o", out, *BOARD, *frames]) == 0
    found = read_calibration(out)
    angle, metres = apart(found)
    assert angle <= 0.1
    assert metres <= 0.003
    for camera, true in ((found.rgb, RIG.rgb), (found.thermal, RIG.thermal)):
        assert np.diag(camera.matrix)[:2] == pytest.approx(np.diag(true.matrix)[:2], rel=0.005)
    assert (found.rgb.frame_id, found.thermal.frame_id, found.plane_distance) == ("head", "hot", 4)
    assert found.h_rgb_thermal is not None
    assert found.provenance["extrinsic_board"] == "circles 7x5, 0.07 m"
    text = capsys.readouterr().out
    assert "rgb: 10 of 10 images show the board\n" in text
    assert "thermal: 9 of 10 images show the board; not: 0004\n" in text
    assert "extrinsic: thermal camera at (0.09" in text
    assert "homography of the plane at 4 m" in text


def test_given_lenses_are_kept_and_a_bag_is_read(pairs, tmp_path, capsys):
    bag, known, out = tmp_path / "bag", tmp_path / "known.yaml", str(tmp_path / "out.yaml")
    start = 1_700_000_000_000_000_000
    with BagWriter(bag) as writer:
        for topic in ("/rgb/image_raw", "/thermal/image_raw"):
            writer.add_topic(topic, IMAGE, [qos(reliable=False)])
        for index, pair in enumerate(pairs[:8]):
            stamp = start + index * 100_000_000
            for topic, image in (("/rgb/image_raw", pair.rgb), ("/thermal/image_raw", pair.thermal)):
                writer.write(topic, stamp + 1000, messages.image(messages.header(stamp, "camera"), image))
    write_calibration(known, replace(RIG, t_rgb_thermal=None, h_rgb_thermal=(1.0, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert main(["calibrate", "target", str(bag), "-o", out, *BOARD, "--calibration", str(known), "--count", "6"]) == 0
    found = read_calibration(out)
    assert (found.rgb, found.thermal) == (RIG.rgb, RIG.thermal)
    angle, metres = apart(found)
    assert angle <= 0.02
    assert metres <= 0.001
    text = capsys.readouterr().out
    assert "rgb: 6 of 6 images" in text
    assert "rgb: intrinsics as given" in text
    assert "note: the homography is kept as it was, and is not of the new extrinsic\n" in text


@pytest.mark.parametrize("kind", ["ros", "camchain"])
def test_lenses_of_other_tools_are_read_as_the_options_say(kind, folder, tmp_path, capsys):
    if kind == "ros":
        for name, text in zip(("rgb", "thermal"), format_camera_calibration(RIG), strict=True):
            (tmp_path / f"{name}.yaml").write_text(text)
        known = ["--ros", str(tmp_path / "rgb.yaml"), str(tmp_path / "thermal.yaml"), "--rectified"]
    else:
        cameras = [replace(camera, d=camera.d[:4]) for camera in (RIG.thermal, RIG.rgb)]
        turned = replace(RIG, rgb=cameras[0], thermal=cameras[1], t_rgb_thermal=None)
        (tmp_path / "chain.yaml").write_text(format_kalibr(turned))
        known = ["--calibration", str(tmp_path / "chain.yaml"), "--rgb-camera", "cam1", "--thermal-camera", "cam0"]
    out = str(tmp_path / "out.yaml")
    assert main(["calibrate", "target", folder, "-o", out, *BOARD, *known, "--count", "5"]) == 0
    found = read_calibration(out)
    assert (found.rgb.size, found.rgb.k, found.rgb.rectified) == (RIG.rgb.size, RIG.rgb.k, kind == "ros")
    assert "rgb: intrinsics as given" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{folder}", "-o", "{dir}/a.yaml", *BOARD, "--count", "3"], "RGB camera: 3 usable views of the board"),
        (
            ["{folder}", "-o", "{dir}/a.yaml", "--grid", "9x6", "--spacing", "0.05", "--count", "1"],
            "9x6 inner corners is in 0 RGB",
        ),
        (["{dir}/none", "-o", "{dir}/a.yaml", *BOARD], "none: no such file or folder; expected a folder with rgb/"),
        (["{folder}", "-o", "{dir}/there.yaml", *BOARD], "there.yaml: exists already; --overwrite"),
        (["{folder}", "-o", "{dir}/a.yaml", "--grid", "9", "--spacing", "0.05"], "'9' is not COLSxROWS, such as 8x5"),
        (["{folder}", "-o", "{dir}/a.yaml", "--grid", "9x1", "--spacing", "0.05"], "grid 9x1: 3 to 50 points a side"),
        (
            ["{folder}", "-o", "{dir}/a.yaml", "--grid", "9x6", "--spacing", "50"],
            "'50' is not a number from 0.001 to 1",
        ),
        (["{folder}", "-o", "{dir}/a.yaml", *BOARD, "--rectified"], "--rectified goes with --ros"),
        (
            ["{folder}", "-o", "{dir}/a.yaml", *BOARD, "--calibration", "{dir}/small.yaml", "--count", "1"],
            "small.yaml: rgb.size: the calibration is for images of 240x320",
        ),
        (
            ["{folder}", "-o", "{dir}/a.yaml", *BOARD, "--calibration", "a", "--ros", "b", "c"],
            "argument --ros: not allowed with argument --calibration",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, words, folder, tmp_path, refusal):
    (tmp_path / "there.yaml").write_text("mine")
    write_calibration(tmp_path / "small.yaml", replace(RIG, rgb=RIG.rgb.scaled((240, 320))))
    filled = [argument.format(folder=folder, dir=tmp_path) for argument in arguments]
    assert words in refusal("calibrate", "target", *filled)
    assert not (tmp_path / "a.yaml").exists()
    assert (tmp_path / "there.yaml").read_text() == "mine"
    assert Path(folder, "rgb").is_dir()
