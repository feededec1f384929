"""``rgbt-seg calibrate convert``: every format to every other and back, and what is refused."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.commands.calibrate._reading import add_known_arguments, add_reading_arguments
from rgbt_seg_ros.pipeline.calibration import read_calibration, write_calibration
from rgbt_seg_ros.registration.formats.any import ReadOptions, lost_in, read_any

FRAMES = ["--rgb-frame", "rgb_camera_optical_frame", "--thermal-frame", "thermal_camera_optical_frame"]


@pytest.fixture
def rig():
    found = default_rig("equidistant")
    return replace(found, rgb=replace(found.rgb, d=found.rgb.d[:4]), plane_distance=None)


@pytest.fixture
def ours(rig, tmp_path):
    write_calibration(tmp_path / "ours.yaml", rig)
    return str(tmp_path / "ours.yaml")


def test_through_kalibr_and_back(ours, rig, tmp_path, capsys):
    chain, back = str(tmp_path / "chain.yaml"), str(tmp_path / "back.yaml")
    topics = ["--rgb-topic", "/head/image", "--thermal-topic", "/hot/image"]
    assert main(["calibrate", "convert", ours, "-o", chain, "--to", "kalibr", *topics]) == 0
    assert "note: left out, since kalibr cannot hold it: frames" in capsys.readouterr().err
    content = yaml.safe_load(Path(chain).read_text())
    assert (content["cam0"]["rostopic"], content["cam1"]["rostopic"]) == ("/head/image", "/hot/image")
    assert main(["calibrate", "convert", chain, "-o", back, *FRAMES]) == 0
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == ("", f"{back}\n")
    found = read_calibration(back)
    assert (found.rgb, found.thermal) == (rig.rgb, rig.thermal)
    assert found.extrinsic == pytest.approx(rig.extrinsic, abs=1e-9)
    again = str(tmp_path / "again.yaml")
    assert main(["calibrate", "convert", back, "-o", again, "--to", "kalibr"]) == 0
    assert yaml.safe_load(Path(again).read_text())["cam1"]["rostopic"] == "/hot/image"


def test_through_ros_and_back(ours, rig, tmp_path, capsys):
    folder, back = tmp_path / "ros", str(tmp_path / "back.yaml")
    assert main(["calibrate", "convert", ours, "-o", str(folder), "--to", "ros"]) == 0
    assert "extrinsic (it is a comment in the thermal file" in capsys.readouterr().err
    files = [str(folder / "rgb.yaml"), str(folder / "thermal.yaml")]
    assert "static_transform_publisher" in Path(files[1]).read_text()
    assert main(["calibrate", "convert", *files, "-o", back, *FRAMES]) == 0
    found = read_calibration(back)
    for camera, true in ((found.rgb, rig.rgb), (found.thermal, rig.thermal)):
        assert (camera.k, camera.d, camera.frame_id) == (true.k, true.d, true.frame_id)
    assert found.t_rgb_thermal is None
    second = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert main(["calibrate", "convert", back, "-o", *second, "--to", "ros"]) == 0
    assert [Path(path).read_text() for path in second] == [
        Path(path).read_text().split("\n", k)[-1] for k, path in enumerate(files)
    ]


def test_rectified_is_an_option_of_ros_files(ours, tmp_path):
    main(["calibrate", "convert", ours, "-o", str(tmp_path / "ros"), "--to", "ros"])
    out = str(tmp_path / "rectified.yaml")
    files = [str(tmp_path / "ros" / f"{name}.yaml") for name in ("rgb", "thermal")]
    assert main(["calibrate", "convert", *files, "-o", out, "--rectified"]) == 0
    assert read_calibration(out).rgb.rectified


def test_the_page_names_every_option_that_actions_share():
    parser = ArgumentParser()
    add_known_arguments(parser)
    add_reading_arguments(parser)
    options = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    page = (Path(__file__).parents[3] / "docs" / "calibrating.md").read_text()
    assert {"--ros", "--rectified", "--rgb-camera"} <= set(options)
    assert [name for name in options if name != "--help" and f"`{name}`" not in page] == []


def test_cameras_of_a_chain_are_chosen_by_name(ours, rig, tmp_path):
    chain = str(tmp_path / "chain.yaml")
    main(["calibrate", "convert", ours, "-o", chain, "--to", "kalibr"])
    found = read_any([chain], ReadOptions(rgb_camera="cam1", thermal_camera="cam0"))
    assert found.rgb.k == rig.thermal.k
    assert found.extrinsic == pytest.approx(np.linalg.inv(rig.extrinsic), abs=1e-9)


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(ours, tmp_path, capsys):
    out = tmp_path / "out.yaml"
    out.write_text("mine")
    command = ["calibrate", "convert", ours, "-o", str(out), "--to", "kalibr"]
    assert main(command) == 2
    assert f"{out}: exists already; --overwrite replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0
    assert "cam0" in out.read_text()


def test_of_two_files_none_is_written_where_one_cannot_be(tmp_path, rig, capsys):
    path = tmp_path / "no_lens.yaml"
    write_calibration(path, replace(rig, thermal=replace(rig.thermal, k=None, d=()), t_rgb_thermal=None))
    assert main(["calibrate", "convert", str(path), "-o", str(tmp_path / "ros"), "--to", "ros"]) == 2
    assert f"{path}: thermal.K: missing" in capsys.readouterr().err
    assert not (tmp_path / "ros").exists()


def test_what_another_format_cannot_hold_is_all_told(rig):
    full = replace(
        rig,
        rgb=replace(rig.rgb, serial="A1"),
        plane_distance=5.0,
        time_offset=0.04,
        depth_pixels="raw",
        provenance={"extrinsic_tool": "a"},
    )
    words = ["plane_distance", "frames", "serial", "depth.pixels", "provenance"]
    assert lost_in(full, "kalibr") == words
    extrinsic = "extrinsic (it is a comment in the thermal file: the command that publishes it to TF)"
    assert lost_in(full, "ros") == [*words[:-1], "time_offset", extrinsic, words[-1]]
    assert lost_in(full, "ours") == []
    rectified = replace(full, rgb=replace(full.rgb, rectified=True))
    assert "images: rectified (read back with --rectified)" in lost_in(rectified, "ros")
    assert lost_in(replace(rig, provenance={"source": "Kalibr", "rgb_topic": "/a"}), "kalibr") == ["frames"]


def stereo_files(folder, baseline):
    """Write two files of a horizontal stereo pair of equal cameras, the thermal one ``baseline`` m to the right."""
    paths = []
    for name, shift in (("rgb", 0.0), ("thermal", -500.0 * baseline)):
        content = {
            "image_width": 640,
            "image_height": 480,
            "camera_name": name,
            "camera_matrix": {"rows": 3, "cols": 3, "data": [500.0, 0, 320, 0, 500, 240, 0, 0, 1]},
            "distortion_model": "plumb_bob",
            "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
            "rectification_matrix": {"rows": 3, "cols": 3, "data": [1.0, 0, 0, 0, 1, 0, 0, 0, 1]},
            "projection_matrix": {"rows": 3, "cols": 4, "data": [500.0, 0, 320, shift, 0, 500, 240, 0, 0, 0, 1, 0]},
        }
        paths.append(folder / f"{name}_in.yaml")
        paths[-1].write_text(yaml.safe_dump(content))
    return [str(path) for path in paths]


def test_an_extrinsic_out_of_r_and_p_is_told(tmp_path, capsys):
    out = tmp_path / "out.yaml"
    assert main(["calibrate", "convert", *stereo_files(tmp_path, 0.1), "-o", str(out)]) == 0
    assert "the extrinsic is taken from R and P of both files" in capsys.readouterr().err
    assert read_calibration(out).extrinsic[:3, 3] == pytest.approx((0.1, 0, 0))
    assert main(["calibrate", "convert", str(out), "-o", str(tmp_path / "again.yaml")]) == 0
    assert capsys.readouterr().err == ""


def test_r_and_p_that_contradict_the_extrinsic_are_left_out_and_told(tmp_path, capsys):
    found = read_any(stereo_files(tmp_path, 0.1))
    moved = np.eye(4)
    moved[0, 3] = 0.3
    write_calibration(tmp_path / "new.yaml", replace(found, t_rgb_thermal=tuple(moved.ravel())))
    folder = tmp_path / "ros"
    assert main(["calibrate", "convert", str(tmp_path / "new.yaml"), "-o", str(folder), "--to", "ros"]) == 0
    error = capsys.readouterr().err
    assert "extrinsic (it is a comment" in error
    assert "P's baseline and R of raw images (they say another extrinsic)" in error
    back = read_any([folder / "rgb.yaml", folder / "thermal.yaml"])
    assert back.t_rgb_thermal is None
    assert back.thermal.p == (*found.thermal.p[:3], 0.0, *found.thermal.p[4:])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{ours}", "-o", "{dir}/a.yaml", "{dir}/b.yaml"], "-o: 2 files to write, and --to ours writes one"),
        (["{ours}", "-o", "{dir}/a.yaml", "--to", "ros"], "for --to ros two files"),
        (
            ["{ours}", "{ours}", "{ours}", "-o", "{dir}/a.yaml"],
            "3 files; expected one calibration file, one camchain, or two",
        ),
        (["{ours}", "-o", "{dir}/a.yaml", "--rectified"], "ours.yaml is not a file of one camera"),
        (["{ours}", "-o", "{dir}/a.yaml", "--rgb-camera", "cam1"], "ours.yaml is not a camchain"),
        (["{ours}", "-o", "{dir}/a.yaml", "--rgb-topic", "/a"], "written into a camchain only"),
        (["{dir}/none.yaml", "-o", "{dir}/a.yaml"], "none.yaml: not a readable calibration file (No such file"),
        (["{dir}/other.yaml", "-o", "{dir}/a.yaml"], "other.yaml: not a calibration that is known here"),
        (["{dir}/single.yaml", "-o", "{dir}/a.yaml"], "single.yaml: the calibration of one camera; expected two files"),
        (["{ours}", "-o", "{dir}"], "is a folder and cannot be written"),
        (["{ours}", "-o", "{dir}/a.yaml", "{dir}/../{name}/a.yaml", "--to", "ros"], "for --to ros two files"),
        (
            ["{ours}", "{ours}", "-o", "{dir}/a.yaml"],
            "ours.yaml: camera_matrix: missing; expected the calibration of one camera, as a camera_calibration file",
        ),
    ],
)
def test_what_cannot_be_converted_is_one_sentence(arguments, words, ours, tmp_path, capsys):
    (tmp_path / "other.yaml").write_text("a: 1\n")
    (tmp_path / "single.yaml").write_text("camera_matrix: {data: [1]}\n")
    filled = [argument.format(ours=ours, dir=tmp_path, name=tmp_path.name) for argument in arguments]
    assert main(["calibrate", "convert", *filled]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a.yaml").exists()
