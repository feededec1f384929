"""ROS camera_calibration pairs, Kalibr camchains, camera_info and TF: in, out, and what they cannot say."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.calibration.camera_info import calibration_of, camera_from_info
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse, quaternion_of, transform_from
from rgbt_seg_ros.registration.formats.camera_calibration import (
    format_camera_calibration,
    read_camera_calibration,
    static_transform_command,
)
from rgbt_seg_ros.registration.formats.kalibr import format_kalibr, read_kalibr

FRAMES = {"rgb_frame": "rgb_camera_optical_frame", "thermal_frame": "thermal_camera_optical_frame"}
RGB_FILE = """\
image_width: 640
image_height: 480
camera_name: head
camera_matrix:
  rows: 3
  cols: 3
  data: [ 560.5,   0. , 322.5,
            0. , 558. , 236. ,
            0. ,   0. ,   1. ]
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.11, 0.05, 0.0006, -0.0004, 0.]}
rectification_matrix: {rows: 3, cols: 3, data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]}
projection_matrix: {rows: 3, cols: 4, data: [550., 0., 321., 0., 0., 550., 238., 0., 0., 0., 1., 0.]}
"""


def write_pair(folder, texts):
    paths = folder / "rgb.yaml", folder / "thermal.yaml"
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_a_file_of_camera_calibration_is_read(tmp_path):
    pair = read_camera_calibration(*write_pair(tmp_path, (RGB_FILE, RGB_FILE.replace("head", "hot"))), **FRAMES)
    assert pair.rgb.size == (480, 640)
    assert pair.rgb.k == (560.5, 0.0, 322.5, 0.0, 558.0, 236.0, 0.0, 0.0, 1.0)
    assert pair.rgb.d == (-0.11, 0.05, 0.0006, -0.0004, 0.0)
    assert pair.rgb.rectified_matrix.tolist() == [[550.0, 0.0, 321.0], [0.0, 550.0, 238.0], [0.0, 0.0, 1.0]]
    assert (pair.rgb.frame_id, pair.thermal.frame_id) == tuple(FRAMES.values())
    assert pair.t_rgb_thermal is None
    assert pair.provenance == {
        "source": "camera_calibration",
        "rgb_camera_name": "head",
        "thermal_camera_name": "hot",
    }


@pytest.mark.parametrize("lens", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_a_ros_pair_keeps_both_lenses(tmp_path, lens):
    rig = default_rig(lens)
    read = read_camera_calibration(*write_pair(tmp_path, format_camera_calibration(rig)), **FRAMES)
    for before, after in ((rig.rgb, read.rgb), (rig.thermal, read.thermal)):
        k = before.k
        assert after == replace(before, p=(*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0))


def test_a_stereo_pair_keeps_the_extrinsic_in_r_and_p(tmp_path):
    """R and P of cv2.stereoRectify, as camera_calibration's stereo mode writes them, hold what went into them."""
    rig = default_rig("plumb_bob")
    thermal = replace(rig.thermal.scaled((480, 640)), frame_id=rig.thermal.frame_id)
    there = inverse(rig.extrinsic)
    lenses = rig.rgb.matrix, np.array(rig.rgb.d), thermal.matrix, np.array(thermal.d)
    r1, r2, p1, p2 = cv2.stereoRectify(*lenses, (640, 480), there[:3, :3].copy(), there[:3, 3:].copy())[:4]
    stereo = replace(
        rig,
        rgb=replace(rig.rgb, r=flat(r1), p=flat(p1)),
        thermal=replace(thermal, r=flat(r2), p=flat(p2)),
        plane_distance=None,
    )
    texts = format_camera_calibration(stereo)
    assert not texts[1].startswith("#")
    read = read_camera_calibration(*write_pair(tmp_path, texts), **FRAMES)
    np.testing.assert_allclose(read.extrinsic, rig.extrinsic, atol=1e-9)
    assert (read.rgb, read.thermal) == (stereo.rgb, stereo.thermal)


def test_cameras_of_different_stereo_pairs_have_no_extrinsic(tmp_path):
    """The RGB camera is the right one of a stereo head, the thermal camera stands alone, or is of a head of its own."""
    right = RGB_FILE.replace("[550., 0., 321., 0.,", "[550., 0., 321., -28.,")
    alone = RGB_FILE.replace("[550., 0., 321., 0., 0., 550., 238.,", "[470., 0., 316., 0., 0., 472., 259.,")
    for thermal in (alone, right, RGB_FILE.replace("238.", "239.5")):
        assert read_camera_calibration(*write_pair(tmp_path, (right, thermal))).t_rgb_thermal is None
    pair = read_camera_calibration(*write_pair(tmp_path, (RGB_FILE, right.replace("238.", "238.0004"))))
    np.testing.assert_allclose(pair.extrinsic[:3, 3], (28 / 550, 0, 0))
    assert pair.provenance["extrinsic_note"].startswith("the extrinsic is taken from R and P")


def test_a_pair_one_above_the_other_shares_its_columns(tmp_path):
    below = RGB_FILE.replace("[550., 0., 321., 0., 0., 550., 238., 0.,", "[550., 0., 321., 0., 0., 550., 240., -55.,")
    pair = read_camera_calibration(*write_pair(tmp_path, (RGB_FILE, below)))
    np.testing.assert_allclose(pair.extrinsic[:3, 3], (0, 0.1, 0))


def test_an_extrinsic_that_the_ros_pair_cannot_hold_is_written_as_the_command_for_tf():
    rig = default_rig()
    line = format_camera_calibration(rig)[1].splitlines()[0]
    assert line == f"# {static_transform_command(rig)}"
    words = line.split()
    values = {key: float(words[words.index(f"--{key}") + 1]) for key in ("x", "y", "z", "qx", "qy", "qz", "qw")}
    transform = transform_from([values[k] for k in "xyz"], [values[k] for k in ("qx", "qy", "qz", "qw")])
    np.testing.assert_allclose(transform, rig.extrinsic, atol=1e-8)
    assert words[words.index("--frame-id") + 1] == rig.rgb.frame_id
    assert words[words.index("--child-frame-id") + 1] == rig.thermal.frame_id


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("560.5", "0.0", r"camera_matrix\.data: K\[0\] \(fx\) is 0"),
        ("plumb_bob", "fov", "distortion_model: 'fov' is not one of plumb_bob"),
        ("image_width: 640", "", "image_width: missing"),
        ("cols: 5, data: [-0.11, ", "cols: 4, data: [", None),
        ("data: [-0.11, 0.05, 0.0006, ", "data: [", r"distortion_coefficients\.data: 2 numbers"),
        ("data: [1., 0., 0.", "data: [1., 1., 0.", r"rectification_matrix\.data: not a rotation"),
        ("[550., 0.", "[550., oops", r"projection_matrix\.data\[1\]: 'oops' is not a number"),
        ("camera_matrix:", "camera_matrix: 3 #", None),
    ],
)
def test_a_ros_file_with_a_mistake_is_refused_by_file_and_key(tmp_path, old, new, words):
    paths = write_pair(tmp_path, (RGB_FILE.replace(old, new), RGB_FILE))
    if old.startswith("cols: 5"):
        assert len(read_camera_calibration(*paths).rgb.d) == 4
        return
    with pytest.raises(CalibrationError, match=rf"rgb\.yaml: {words or 'not a readable'}"):
        read_camera_calibration(*paths)


def test_kalibr_keeps_lenses_extrinsic_and_delay(tmp_path):
    rig = default_rig("equidistant")
    rig = replace(rig, rgb=replace(rig.rgb, d=rig.rgb.d[:4]), time_offset=0.0375, plane_distance=None)
    path = tmp_path / "camchain.yaml"
    path.write_text(format_kalibr(rig))
    read = read_kalibr(path, **FRAMES)
    assert (read.rgb, read.thermal, read.time_offset) == (rig.rgb, rig.thermal, rig.time_offset)
    np.testing.assert_allclose(read.extrinsic, rig.extrinsic, atol=1e-12)


def chain(order=("cam0", "cam1"), **first):
    """A camchain of two cameras, the second 0.2 m to the right of the first, as Kalibr writes it."""
    base = {
        "camera_model": "pinhole",
        "distortion_coeffs": [-0.1, 0.02, 0.0, 0.0],
        "distortion_model": "radtan",
        "intrinsics": [460.0, 461.0, 320.0, 240.0],
        "resolution": [640, 480],
        "rostopic": "/a/image",
    }
    moved = np.eye(4)
    moved[0, 3] = -0.2  # points of the camera before, in this one's frame
    return {
        order[0]: {**base, **first, "timeshift_cam_imu": 0.01},
        order[1]: {**base, "rostopic": "/b/image", "T_cn_cnm1": moved.tolist(), "timeshift_cam_imu": 0.03},
    }


def read_chain(tmp_path, data, **names):
    path = tmp_path / "camchain.yaml"
    path.write_text(yaml.safe_dump(data))
    return read_kalibr(path, **names)


def test_kalibr_reads_the_chain_in_either_order(tmp_path):
    """The second camera stands to the right: its origin is at +0.2 in the first, which is -0.2 the other way round."""
    pair = read_chain(tmp_path, chain())
    np.testing.assert_allclose(pair.extrinsic[:3, 3], (0.2, 0, 0))
    assert pair.time_offset == pytest.approx(0.02)
    turned = read_chain(tmp_path, chain(), rgb="cam1", thermal="cam0")
    np.testing.assert_allclose(turned.extrinsic[:3, 3], (-0.2, 0, 0))
    assert turned.time_offset == pytest.approx(-0.02)
    assert turned.provenance["rgb_topic"] == "/b/image"


def test_kalibr_composes_a_chain_of_three_and_falls_back_to_the_imu(tmp_path):
    data = chain()
    data["cam2"] = {**data["cam1"]}
    np.testing.assert_allclose(read_chain(tmp_path, data, thermal="cam2").extrinsic[:3, 3], (0.4, 0, 0))
    rig = default_rig().extrinsic
    for name, pose in (("cam0", np.eye(4)), ("cam1", inverse(rig))):
        data[name].pop("T_cn_cnm1", None)
        data[name]["T_cam_imu"] = pose.tolist()
    np.testing.assert_allclose(read_chain(tmp_path, data).extrinsic, rig, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"camera_model": "omni"}, "cam0.camera_model: 'omni' is not one of pinhole"),
        ({"distortion_model": "fov"}, "cam0.distortion_model: 'fov' is not one of radtan"),
        ({"intrinsics": [0.0, 461.0, 320.0, 240.0]}, r"cam0.intrinsics: K\[0\]"),
        ({"resolution": [640]}, r"cam0.resolution: \[640\] does not have 2 entries"),
        ({"resolution": [640.7, 480]}, r"cam0.resolution\[0\]: 640.7 is not a whole number"),
    ],
)
def test_a_camchain_that_cannot_be_used_is_refused(tmp_path, change, words):
    with pytest.raises(CalibrationError, match=words):
        read_chain(tmp_path, chain(**change))


@pytest.mark.parametrize("key", ["T_cn_cnm1", "T_cam_imu"])
@pytest.mark.parametrize(
    ("row", "values", "words"),
    [
        (3, [1.0, 2.0, 3.0, 7.0], r"the last row is \[1.0, 2.0, 3.0, 7.0\]; expected 0 0 0 1"),
        (0, [2.0, 0.0, 0.0, 0.1], "not a rotation: its rows are not orthonormal"),
        (0, [-1.0, 0.0, 0.0, 0.1], "a reflection"),
    ],
)
@pytest.mark.parametrize("roles", [("cam0", "cam1"), ("cam1", "cam0")])
def test_a_transform_of_a_camchain_that_is_none_is_refused_by_its_key(tmp_path, key, row, values, words, roles):
    data = chain()
    moved = data["cam1"].pop("T_cn_cnm1")
    moved[row] = values
    data["cam1"][key] = moved
    data["cam0"][key] = np.eye(4).tolist()
    with pytest.raises(CalibrationError, match=rf"camchain\.yaml: cam1\.{key}: {words}"):
        read_chain(tmp_path, data, rgb=roles[0], thermal=roles[1])


@pytest.mark.parametrize("lacking", ["cam0", "cam1"])
def test_a_delay_of_one_camera_alone_tells_none(tmp_path, lacking):
    data = chain()
    del data[lacking]["timeshift_cam_imu"]
    pair = read_chain(tmp_path, data)
    assert pair.time_offset == 0
    assert pair.provenance["time_offset_note"] == (
        f"timeshift_cam_imu is missing for {lacking}, so time_offset is not known and left at 0"
    )
    for camera in data.values():
        camera.pop("timeshift_cam_imu", None)
    assert "time_offset_note" not in read_chain(tmp_path, data).provenance


def test_a_camera_that_the_camchain_lacks_is_refused(tmp_path):
    with pytest.raises(
        CalibrationError, match=r"cam7: missing, .*expected one of the cameras of this camchain: cam0, cam1"
    ):
        read_chain(tmp_path, chain(), thermal="cam7")


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (default_rig("rational_polynomial").thermal, "thermal.D: Kalibr has"),
        (default_rig("plumb_bob").thermal, "thermal.D: Kalibr has"),
        (replace(default_rig().thermal, rectified=True), "thermal.images: 'rectified'"),
        (replace(default_rig().thermal, k=None), "thermal.K: missing"),
    ],
)
def test_what_kalibr_cannot_hold_is_not_exported(camera, words):
    rig = default_rig()
    with pytest.raises(CalibrationError, match=words):
        format_kalibr(replace(rig, rgb=replace(rig.rgb, d=()), thermal=camera))


def info(camera, **change):
    """What sensor_msgs/CameraInfo has."""
    k = camera.k
    fields = {
        "header": SimpleNamespace(frame_id=camera.frame_id),
        "height": camera.size[0],
        "width": camera.size[1],
        "distortion_model": camera.distortion_model,
        "d": np.array(camera.d),
        "k": np.array(k),
        "r": np.array(camera.r),
        "p": np.array((*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0)),
        "binning_x": 0,
        "binning_y": 0,
        "roi": region(),
    }
    return SimpleNamespace(**{**fields, **change})


def region(**values):
    return SimpleNamespace(**{"x_offset": 0, "y_offset": 0, "width": 0, "height": 0, "do_rectify": False, **values})


def stamped(matrix, parent, child):
    x, y, z, w = quaternion_of(matrix[:3, :3])
    vector = SimpleNamespace(**dict(zip("xyz", matrix[:3, 3], strict=True)))
    transform = SimpleNamespace(translation=vector, rotation=SimpleNamespace(x=x, y=y, z=z, w=w))
    return SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child, transform=transform)


def test_messages_make_the_calibration_that_they_were_made_of():
    rig = default_rig()
    transform = stamped(rig.extrinsic, rig.rgb.frame_id, rig.thermal.frame_id)
    cameras = (camera_from_info(info(camera), "camera_info") for camera in (rig.rgb, rig.thermal))
    made = calibration_of(*cameras, transform)
    np.testing.assert_allclose(made.extrinsic, rig.extrinsic, atol=1e-12)
    assert replace(made.thermal, p=None) == rig.thermal
    assert replace(made.rgb, p=None) == rig.rgb


def test_a_transform_between_other_frames_is_refused():
    rig = default_rig()
    transform = stamped(inverse(rig.extrinsic), rig.thermal.frame_id, rig.rgb.frame_id)
    with pytest.raises(
        CalibrationError, match=r"transform: from 'rgb_camera.* to 'thermal_.*but the images are from 'therm"
    ):
        calibration_of(rig.rgb, rig.thermal, transform)


def test_a_file_without_lenses_keeps_its_extrinsic_and_the_rest():
    rig = replace(default_rig(), plane_distance=4.0, time_offset=0.02)
    bare = replace(rig, rgb=replace(rig.rgb, k=None), thermal=replace(rig.thermal, k=None))
    assert calibration_of(rig.rgb, rig.thermal, None, bare) == rig
    with pytest.raises(CalibrationError, match=r"thermal\.frame_id: the calibration is for"):
        calibration_of(rig.rgb, replace(rig.thermal, frame_id="another"), None, bare)


def test_cropped_rows_move_the_principal_point():
    camera = default_rig().thermal
    cropped = camera.cropped(3, 5)
    assert cropped.size == (camera.size[0] - 8, camera.size[1])
    assert cropped.k[5] == camera.k[5] - 3
    assert cropped.k[:5] == camera.k[:5]
    assert camera.cropped(0, 0) is camera
    with pytest.raises(CalibrationError, match="height: 512 rows, of which 500 and 12"):
        camera.cropped(500, 12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": np.zeros(9)}, r"rgb/camera_info: K: K\[0\] \(fx\) is 0"),
        ({"binning_y": 500}, r"rgb/camera_info: binning: 1x500 \(x, y\) leaves no pixel"),
        ({"roi": region(y_offset=100, height=400)}, "rgb/camera_info: roi: .* is not a part of the image of 480x640"),
        ({"distortion_model": "thin_prism"}, "distortion_model: 'thin_prism'"),
    ],
)
def test_a_camera_info_that_cannot_be_used_is_refused(change, words):
    with pytest.raises(CalibrationError, match=words):
        camera_from_info(info(default_rig().rgb, **change), "rgb/camera_info")


def test_a_driver_that_leaves_out_what_it_does_not_have_is_understood():
    rig = default_rig()
    empty = info(rig.rgb, distortion_model="", d=[], r=np.zeros(9), p=np.zeros(12))
    assert camera_from_info(empty, "rgb/camera_info") == replace(rig.rgb, d=())


def turned(axis, angle, move):
    transform = np.eye(4)
    transform[:3, :3] = cv2.Rodrigues(np.eye(3)[axis] * angle)[0]
    transform[:3, 3] = move
    return transform


@pytest.mark.parametrize(
    ("key", "towards_camera"),
    [
        ("T_cam_imu", True),
        ("T_imu_cam", False),
        ("T_cam_body", True),
        ("T_body_cam", False),
        ("T_c_i", True),
        ("T_rig_cam", False),
        ("T_base_link_cam", False),
    ],
)
@pytest.mark.parametrize("matrix", ["rows", "opencv"])
def test_an_extrinsic_through_a_third_frame_is_read_whichever_way_it_is_named(tmp_path, key, towards_camera, matrix):
    third = {"cam0": turned(1, 0.3, (0.1, 0.2, -0.1)), "cam1": turned(0, -0.2, (0.25, 0.18, -0.1))}  # T_imu_cam
    data = chain()
    del data["cam1"]["T_cn_cnm1"]
    for name, pose in third.items():
        value = inverse(pose) if towards_camera else pose
        opencv = {"rows": 4, "cols": 4, "dt": "d", "data": value.ravel().tolist()}
        data[name][key] = opencv if matrix == "opencv" else value.tolist()
    found = read_chain(tmp_path, data)
    np.testing.assert_allclose(found.extrinsic, inverse(third["cam0"]) @ third["cam1"], atol=1e-12)
    assert "extrinsic_note" not in found.provenance


@pytest.mark.parametrize("key", ["T_cam1_cam0", "T_cn_cm", "T_left_right", "T_imu"])
def test_a_transform_that_is_not_read_is_named(tmp_path, key):
    data = chain()
    data["cam1"][key] = data["cam1"].pop("T_cn_cnm1")
    found = read_chain(tmp_path, data)
    assert found.t_rgb_thermal is None
    assert found.provenance["extrinsic_note"] == f"no extrinsic is known to follow from cam1.{key}, so none is read"
    alone = chain()
    alone["cam0"]["T_imu_cam"] = np.eye(4).tolist()
    del alone["cam1"]["T_cn_cnm1"]
    assert "cam0.T_imu_cam" in read_chain(tmp_path, alone).provenance["extrinsic_note"]
    del alone["cam0"]["T_imu_cam"]
    assert "extrinsic_note" not in read_chain(tmp_path, alone).provenance


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": np.array((1.0, 0, 0.5, 0, 1.0, 0.5, 0, 0, 1.0))}, "K: focal lengths of 1 and 1 px are too short"),
        ({"k": np.array((560.0, 0, 700.0, 0, 558.0, 236.0, 0, 0, 1.0))}, r"K: the principal point \(700, 236\) lies"),
        ({"k": np.array((560.0, 0, 322.0, 0, 558.0, -9.0, 0, 0, 1.0))}, r"K: the principal point \(322, -9\) lies"),
        ({"k": np.array((560.0, 0, 322.0, 0, 55.8, 236.0, 0, 0, 1.0))}, "K: fx 560 and fy 55.8 differ"),
        ({"k": np.array((0.0,) * 9)}, r"K: K\[0\] \(fx\) is 0"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused_at_every_door(tmp_path, change, words):
    rig = default_rig()
    with pytest.raises(CalibrationError, match=f"rgb/camera_info: {words}"):
        camera_from_info(info(rig.rgb, **change), "rgb/camera_info")
    numbers = ", ".join(str(float(value)) for value in change["k"])
    text = RGB_FILE.replace(
        RGB_FILE[RGB_FILE.index("[ 560.5") : RGB_FILE.index("]\ndistortion_model") + 1], f"[{numbers}]"
    )
    file_words = words.replace("K: ", r"camera_matrix\.data: ", 1)
    with pytest.raises(CalibrationError, match=rf"rgb\.yaml: {file_words}"):
        read_camera_calibration(*write_pair(tmp_path, (text, RGB_FILE)))


def test_a_region_and_binning_of_the_topic_are_applied():
    camera = default_rig().rgb
    found = camera_from_info(
        info(camera, binning_x=2, binning_y=3, roi=region(x_offset=10, y_offset=20, width=601, height=450)), "topic"
    )
    assert found.size == (150, 300)
    assert found.k[0] == pytest.approx(camera.k[0] / 2)
    assert found.k[2] == pytest.approx((camera.k[2] - 10 + 0.5) / 2 - 0.5)
    assert found.k[5] == pytest.approx((camera.k[5] - 20 + 0.5) / 3 - 0.5)
    rectified = info(camera, roi=region(y_offset=8, width=640, height=400, do_rectify=True))
    assert camera_from_info(rectified, "topic").size == (400, 640)
    with pytest.raises(CalibrationError, match="roi: do_rectify is true"):
        camera_from_info(rectified, "topic", rectified=True)
