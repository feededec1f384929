"""``rgbt-seg calibrate check``: verdict and exit code, files that it writes, kinds of source, and one sentence for the rest."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.messages import header, image
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, write_calibration
from rig_street import render_street_rig

RIG = default_rig()
RIG = replace(RIG, rgb=RIG.rgb.scaled((240, 320)), thermal=RIG.thermal.scaled((256, 320)), depth_pixels="raw")
START = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def scenes():
    return [render_street_rig(RIG, 7, index) for index in range(2)]


@pytest.fixture(scope="module")
def data(tmp_path_factory, scenes):
    """Return a folder with pairs and depth, and calibrations that are true and 5 px off."""
    folder = tmp_path_factory.mktemp("rig")
    for name in ("rgb", "thermal", "depth"):
        (folder / name).mkdir()
    for index, scene in enumerate(scenes):
        assert cv2.imwrite(str(folder / "rgb" / f"{index}.png"), scene.rgb[..., ::-1])
        assert cv2.imwrite(str(folder / "thermal" / f"{index}.png"), scene.thermal)
        assert cv2.imwrite(str(folder / "depth" / f"{index}.tiff"), scene.depth)
    write_calibration(folder / "true.yaml", RIG)
    k = tuple(np.add(RIG.rgb.k, (0, 0, 5, 0, 0, 0, 0, 0, 0)))
    write_calibration(folder / "off.yaml", replace(RIG, rgb=replace(RIG.rgb, k=k)))
    return folder


def check(*arguments):
    return main(["calibrate", "check", *map(str, arguments)])


def test_the_true_calibration_is_good_and_everything_is_written(data, tmp_path, capsys):
    picture, report = tmp_path / "new" / "edges.png", tmp_path / "check.json"
    assert check(data / "true.yaml", data, "--mode", "depth", "--picture", picture, "--json", report) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{data / 'true.yaml'}, mode depth, on 2 pairs of {data}"
    assert lines[-1].startswith("good: off by 0.")
    assert cv2.imread(str(picture)).shape == (240, 644, 3)
    found = json.loads(report.read_text())
    assert found["verdict"] == "good"
    assert found["sentence"] == lines[-1]
    assert found["mode"] == "depth"
    assert found["offset"]["off"] < 1
    assert found["mutual_information"] > found["mutual_information_apart"]
    assert "points" not in found


def test_a_calibration_that_is_off_says_by_how_much_and_exits_with_1(data, capsys):
    assert check(data / "off.yaml", data, "--mode", "depth", "--pairs", "1") == 1
    lines = capsys.readouterr().out.splitlines()
    assert "on 1 pair of" in lines[0]
    assert lines[-1].startswith("off by about 5 px")
    assert "5 px to the left" in lines[-1]


def test_images_of_other_scenes_exit_with_2(data, tmp_path, capsys):
    for camera, names in (("rgb", "01"), ("thermal", "10")):
        (tmp_path / camera).mkdir()
        for name, of in zip("01", names, strict=True):
            (tmp_path / camera / f"{name}.png").symlink_to(data / camera / f"{of}.png")
    assert check(data / "true.yaml", tmp_path) == 2
    output = capsys.readouterr()
    assert output.out.splitlines()[-1].startswith("cannot tell: ")
    assert output.err == ""


def test_points_are_listed_and_judged_with_the_images(data, tmp_path, capsys):
    # At 5 m, where mode plane has its plane, by the true lenses: the RGB point of the thermal image's middle.
    from rgbt_seg_ros.pipeline.calibration.projection import project, rays
    from rgbt_seg_ros.pipeline.calibration.transforms import inverse

    rgb = np.array([(160.0, 120.0), (90.0, 60.0), (250.0, 200.0)])
    back = inverse(RIG.extrinsic)
    thermal = project(RIG.thermal, rays(RIG.rgb, rgb) * 3.0 @ back[:3, :3].T + back[:3, 3])
    rows = [",".join(f"{value:.4f}" for value in (*a, *b, 3.0)) for a, b in zip(rgb, thermal, strict=True)]
    points = tmp_path / "points.csv"
    points.write_text("\n".join(("rgb_x,rgb_y,thermal_x,thermal_y,depth", *rows)))
    report = tmp_path / "check.json"
    arguments = (data, "--mode", "depth", "--points", points, "--json", report)
    assert check(data / "true.yaml", *arguments) == 0
    out = capsys.readouterr().out
    assert "RMS of 3 points: 0.00 thermal px, 0.00 RGB px" in out
    assert out.splitlines()[-1].endswith("; the points err by 0.0 px RMS")
    assert [entry["line"] for entry in json.loads(report.read_text())["points"]] == [2, 3, 4]
    assert check(data / "off.yaml", *arguments, "--overwrite") == 1
    assert all(4 < entry["rgb_error"] < 6 for entry in json.loads(report.read_text())["points"])


def test_a_bag_is_checked_with_the_depth_images_of_its_pairs(data, scenes, tmp_path, capsys, refusal):
    bag = tmp_path / "bag"
    names = ("/rgb/image_raw", "/thermal/image_raw", "/camera/depth")
    frames = (RIG.rgb.frame_id, RIG.thermal.frame_id, RIG.rgb.frame_id)
    with BagWriter(bag) as writer:
        for name in names:
            writer.add_topic(name, "sensor_msgs/msg/Image")
        for index, scene in enumerate(scenes):
            stamp = START + index * 10**9
            pixels = (scene.rgb, scene.thermal, scene.depth)
            for topic, frame, picture in zip(names, frames, pixels, strict=True):
                late = 300_000_000 if topic == names[1] else 0
                writer.write(topic, stamp + late, image(header(stamp + late, frame), picture))
    # Thermal stamps are late, and only the calibration's time offset brings pairs together.
    write_calibration(tmp_path / "late.yaml", replace(RIG, time_offset=-0.3))
    assert check(tmp_path / "late.yaml", bag, "--mode", "depth", "--depth-topic", "/camera/depth") == 0
    assert "on 2 pairs" in capsys.readouterr().out
    assert "no frame of" in refusal("calibrate", "check", data / "true.yaml", bag)
    assert "expected their topic, by --depth-topic" in refusal(
        "calibrate", "check", tmp_path / "late.yaml", bag, "--mode", "depth"
    )
    thermal = replace(RIG.thermal, frame_id="left_thermal")
    write_calibration(tmp_path / "other.yaml", replace(RIG, thermal=thermal))
    assert refusal("calibrate", "check", tmp_path / "other.yaml", bag).endswith(
        "other.yaml: thermal.frame_id: the calibration is for 'left_thermal', the images come from "
        "'thermal_camera_optical_frame'"
    )


def test_data_by_name_is_checked(tmp_path, capsys):
    camera = CameraModel((480, 640))
    same = Calibration(camera, camera, h_rgb_thermal=(1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    write_calibration(tmp_path / "same.yaml", same)
    check(tmp_path / "same.yaml", "synthetic:2@7")
    assert "mode homography, on 2 pairs of synthetic:2@7" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_in_one_sentence(data, tmp_path, refusal):
    camera = CameraModel((480, 640))
    same = Calibration(camera, camera, h_rgb_thermal=(1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    write_calibration(tmp_path / "same.yaml", same)
    assert "same.yaml: rgb.size: the calibration is for images of 480x640" in refusal(
        "calibrate", "check", tmp_path / "same.yaml", data
    )
    assert "and mode 'plane' needs it" in refusal("calibrate", "check", tmp_path / "same.yaml", data, "--mode", "plane")
    (tmp_path / "points.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y\n1,2,3,4\n")
    points = ("--points", tmp_path / "points.csv")
    assert "the points have no depth" in refusal(
        "calibrate", "check", data / "true.yaml", data, "--mode", "depth", *points
    )
    assert refusal("calibrate", "check", data / "true.yaml", data, "--mode", "depth", *points).startswith(
        f"rgbt-seg: error: {points[1]}: mode depth"
    )
    (tmp_path / "header.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y\n")
    header = ("--points", tmp_path / "header.csv")
    assert "header.csv: no points; at least one was expected" in refusal(
        "calibrate", "check", data / "true.yaml", data, *header
    )
    assert "nowhere: no such file or folder" in refusal("calibrate", "check", data / "true.yaml", tmp_path / "nowhere")
    assert "is a folder" in refusal("calibrate", "check", data / "true.yaml", data, "--picture", tmp_path)
    for camera_name in ("rgb", "thermal"):
        (tmp_path / camera_name).symlink_to(data / camera_name)
    assert "expected a folder depth/ in it" in refusal(
        "calibrate", "check", data / "true.yaml", tmp_path, "--mode", "depth"
    )
    (tmp_path / "depth").mkdir()
    assert "no depth image named 0" in refusal("calibrate", "check", data / "true.yaml", tmp_path, "--mode", "depth")
    for wrong, words in ((np.zeros((24, 32), np.uint16), "24x32"), (np.zeros((240, 320), np.uint8), "of uint8")):
        for name in "01":
            cv2.imwrite(
                str(tmp_path / "depth" / f"{name}.png"), wrong if name == "1" else np.ones((240, 320), np.uint16)
            )
        line = refusal("calibrate", "check", data / "true.yaml", tmp_path, "--mode", "depth")
        assert f"{tmp_path / 'depth' / '1.png'}: depth image: " in line
        assert words in line


@pytest.mark.parametrize("option", ["--picture", "--json"])
def test_files_that_are_there_stay_unless_they_are_to_be_replaced(option, data, tmp_path, refusal):
    out = tmp_path / "out.png"
    out.write_text("mine")
    line = refusal("calibrate", "check", data / "true.yaml", data, "--mode", "depth", option, out)
    assert line.endswith(f"{out}: exists already; --overwrite replaces it")
    assert out.read_text() == "mine"
    assert check(data / "true.yaml", data, "--mode", "depth", option, out, "--overwrite") == 0
    assert out.read_bytes() != b"mine"


def test_a_picture_of_no_known_kind_is_refused_before_anything_is_read(tmp_path, refusal):
    line = refusal("calibrate", "check", tmp_path / "none.yaml", tmp_path, "--picture", tmp_path / "edges.txt")
    assert line.endswith("edges.txt: '.txt' is not a picture; expected .png or .jpg")


def test_points_that_the_calibration_cannot_place_are_counted_and_make_it_off(data, tmp_path, capsys):
    camera = CameraModel((480, 640))
    # Its horizon is at x = 1000 of the RGB image, beyond which it can place nothing.
    h = (1.0, 0, 0, 0, 1, 0, 0.001, 0, 1)
    big = CameraModel((480, 1600))
    write_calibration(tmp_path / "h.yaml", Calibration(big, camera, h_rgb_thermal=h))
    rows = ["rgb_x,rgb_y,thermal_x,thermal_y", "90.909,90.909,100,100"]
    rows += [f"{x},100,300,100" for x in (1100, 1200, 1300, 1400, 1500)]
    (tmp_path / "x6.csv").write_text("\n".join(rows))
    for name, size in (("rgb", (480, 1600, 3)), ("thermal", (480, 640))):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full(size, 90, np.uint8))
    assert check(tmp_path / "h.yaml", tmp_path, "--points", tmp_path / "x6.csv") == 1
    out = capsys.readouterr().out
    assert "RMS of 1 of 6 points, the others having no place in the thermal image: 0.00 thermal px" in out
    assert out.splitlines()[-1].startswith("off by the points, which err by 0.0 px RMS, 5 of 6 having no place")
