"""One camera in the files of other tools: what ROS and OpenCV read, and what is refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.pipeline.calibration import CalibrationError, read_calibration
from rgbt_seg_ros.registration.formats.camera_calibration import format_camera_calibration, read_camera_calibration
from rgbt_seg_ros.registration.formats.camera_file import read_camera

K = (556.8, 0.0, 321.4, 0.0, 557.2, 243.9, 0.0, 0.0, 1.0)
D = (-0.1, 0.05, 1e-05, -7e-06, 0.0)
P = (550.0, 0.0, 320.0, 0.0, 0.0, 550.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def content(**changes):
    data = {
        "image_width": 640,
        "image_height": 480,
        "camera_name": "left",
        "camera_matrix": {"rows": 3, "cols": 3, "data": list(K)},
        "distortion_model": "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": list(D)},
        "rectification_matrix": {"rows": 3, "cols": 3, "data": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
        "projection_matrix": {"rows": 3, "cols": 4, "data": list(P)},
    }
    data.update(changes)
    return {key: value for key, value in data.items() if value is not None}


def read(tmp_path, data, **options):
    path = tmp_path / "camera.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    return read_camera(path, **options)


@pytest.mark.parametrize("name", ["18200001", "no", "0012", "1_000", "00b09d0100990bb2", "12e3", "left # the first"])
def test_a_camera_name_is_text_whatever_yaml_takes_it_for(tmp_path, name):
    text = yaml.safe_dump(content(camera_name=None)) + f"camera_name: {name}\n"
    assert read(tmp_path, text).name == name.partition(" #")[0]


@pytest.mark.parametrize(
    ("changes", "model", "note"),
    [
        ({"distortion_model": None}, "plumb_bob", "plumb_bob is assumed"),
        ({"distortion_model": ""}, "plumb_bob", "plumb_bob is assumed"),
        ({"distortion_model": None, "camera_model": "plumb_bob"}, "plumb_bob", ""),
        ({"distortion_model": None, "camera_model": "pinhole"}, "plumb_bob", "plumb_bob is assumed"),
        ({"distortion_model": "radtan"}, "plumb_bob", ""),
        ({"distortion_model": "None"}, "plumb_bob", ""),
        ({"distortion_model": None, "distortion_coefficients": {"data": [0.1] * 8}}, "rational_polynomial", "assumed"),
        ({"distortion_coefficients": {"data": [0.1] * 8}}, "rational_polynomial", ""),
        ({"distortion_coefficients": {"data": [0.01] * 12}}, "rational_polynomial", ""),
        (
            {"distortion_model": "rational_polynomial", "distortion_coefficients": {"data": [0.01] * 14}},
            "rational_polynomial",
            "",
        ),
        ({"distortion_model": "fisheye", "distortion_coefficients": {"data": [0.1] * 4}}, "equidistant", ""),
        (
            {"distortion_model": None, "fisheye_model": 1, "distortion_coefficients": {"data": [0.1] * 4}},
            "equidistant",
            "",
        ),
    ],
)
def test_the_distortion_model_is_told_as_ros_and_opencv_tell_it(tmp_path, changes, model, note):
    found = read(tmp_path, content(**changes))
    assert found.camera.distortion_model == model
    assert note in found.note
    assert bool(note) == bool(found.note)


def test_as_many_numbers_are_read_as_rows_and_cols_say(tmp_path):
    longer = {"rows": 1, "cols": 5, "data": [*D, 7.0, 8.0]}
    assert read(tmp_path, content(distortion_coefficients=longer)).camera.d == D
    shorter = {"rows": 1, "cols": 5, "data": [0.1, 0.2]}
    with pytest.raises(CalibrationError, match=r"distortion_coefficients\.data: 2 numbers; expected 5 for 1 rows"):
        read(tmp_path, content(distortion_coefficients=shorter))


def test_numbers_as_yaml_cpp_writes_them(tmp_path):
    text = yaml.safe_dump(content(distortion_coefficients=None)) + (
        "distortion_coefficients: {rows: 1, cols: 5, data: [-1e-01, 5e-02, 1e-05, -7E-06, 0]}\n"
    )
    assert read(tmp_path, text).camera.d == D


INI = """\
# oST version 5.0 parameters


[image]

width
640

height
480

[narrow_stereo/left]

camera matrix
556.8 0.000000 321.4
0.000000 557.2 243.9
0.000000 0.000000 1.000000

distortion
-0.1 0.05 1e-05 -7e-06 0.000000

rectification
1.000000 0.000000 0.000000
0.000000 1.000000 0.000000
0.000000 0.000000 1.000000

projection
550.0 0.000000 320.0 0.000000
0.000000 550.0 240.0 0.000000
0.000000 0.000000 1.000000 0.000000
"""

ECHO = {
    "header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": "rgb_optical"},
    "height": 480,
    "width": 640,
    "distortion_model": "plumb_bob",
    "d": list(D),
    "k": list(K),
    "r": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
    "p": list(P),
    "binning_x": 0,
    "binning_y": 0,
    "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
}


def test_the_ini_form_and_what_a_topic_prints_say_the_same_as_the_yaml(tmp_path):
    expected = read(tmp_path, content()).camera
    found = read(tmp_path, INI)
    assert (found.camera, found.name) == (expected, "narrow_stereo/left")
    for text in (yaml.safe_dump(ECHO) + "---\n", yaml.safe_dump(ECHO)):
        assert read(tmp_path, text).camera == replace(expected, frame_id="rgb_optical")
    ros1 = {key.upper() if key in "dkrp" else key: value for key, value in ECHO.items()}
    assert read(tmp_path, ros1, frame="mine").camera == replace(expected, frame_id="mine")


@pytest.mark.parametrize("ending", ["yaml", "json", "xml"])
@pytest.mark.parametrize("upper", [False, True])
def test_what_opencv_writes_is_read(tmp_path, ending, upper):
    path = tmp_path / f"camera.{ending}"
    names = ("image_Width", "image_Height", "Camera_Matrix", "Distortion_Coefficients")
    names = names if upper else tuple(map(str.lower, names))
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write(names[0], 640)
    storage.write(names[1], 480)
    storage.write("calibration_time", "Mon 30 Nov 2026")
    storage.write(names[2], np.array(K).reshape(3, 3))
    storage.write(names[3], np.array(D).reshape(5, 1))
    storage.write("avg_reprojection_error", 0.25)
    storage.release()
    found = read_camera(path)
    assert found.camera.size == (480, 640)
    assert found.camera.k == K
    assert found.camera.d == pytest.approx(D)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><opencv_storage/>", "document type or entities"),
        ("<?xml version='1.0'?><opencv_storage><camera_matrix>", "not XML as OpenCV's FileStorage writes it"),
        ("[image]\nwidth\n640\n[a]\ncamera matrix\n1 x\n[b]\n", "2 cameras in one file"),
        ("[image]\nwidth\nwide\n[a]\n", "not a number"),
        ("[image]\nwidth\n640\n[a]\n", "camera_matrix: missing"),
        ("secret: hunter2\n", "camera_matrix: missing; expected the calibration of one camera"),
        ("- 1\n- 2\n", "not a calibration file; expected keys with values"),
        ("a: !!python/name:os.system\n", "not a readable calibration file"),
        (json.dumps({"camera_matrix": {"data": [1] * 9}}), "image_width: missing"),
        (json.dumps({"width": 0, "height": 480, "k": K}), "size: "),
    ],
)
def test_what_cannot_be_read_is_one_sentence_that_quotes_nothing_foreign(tmp_path, text, words):
    with pytest.raises(CalibrationError, match=words) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("binning", [(2, 2), (1, 2), (4, 0)])
def test_a_file_with_binning_and_a_region_is_read_like_the_topic(tmp_path, binning):
    roi = {"x_offset": 40, "y_offset": 20, "height": 440, "width": 560, "do_rectify": False}
    changes = {"binning_x": binning[0], "binning_y": binning[1], "roi": roi}
    echo = read(tmp_path, {**ECHO, **changes}).camera
    file = read(tmp_path, content(**changes)).camera
    assert file == replace(echo, frame_id="")
    across, down = binning[0] or 1, binning[1] or 1
    assert file.size == (440 // down, 560 // across)
    # The middle of a binned pixel is the middle of those that it is made of.
    assert file.k[2] == pytest.approx((K[2] - 40 + 0.5) / across - 0.5)
    assert file.k[5] == pytest.approx((K[5] - 20 + 0.5) / down - 0.5)
    assert file.p[0] == pytest.approx(P[0] / across)


def test_a_rational_lens_with_thin_prism_and_tilt_goes_out_and_back(tmp_path):
    coefficients = (-0.2, 0.05, 1e-3, -5e-4, 0.01, 0.02, -0.01, 0.003, 2e-3, -1e-3, 1.5e-3, 5e-4, 0.03, -0.02)
    rig = default_rig()
    for count in (8, 12, 14):
        lens = replace(rig.rgb, distortion_model="rational_polynomial", d=coefficients[:count])
        paths = tmp_path / "a.yaml", tmp_path / "b.yaml"
        for path, text in zip(paths, format_camera_calibration(replace(rig, rgb=lens)), strict=True):
            path.write_text(text)
        assert read_camera_calibration(*paths).rgb.d == coefficients[:count]
        out = tmp_path / f"{count}.yaml"
        assert main(["calibrate", "convert", *map(str, paths), "-o", str(out)]) == 0
        assert read_calibration(out).rgb.d == coefficients[:count]
