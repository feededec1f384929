"""What no camera and no pair has is refused in one sentence that names the key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration import Calibration, CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse, quaternion_of, transform_from

K = (500.0, 0.0, 320.0, 0.0, 505.0, 240.0, 0.0, 0.0, 1.0)
SIZE = (480, 640)
UNIT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"k": (0.0,) * 9}, r"K: K\[0\] \(fx\) is 0"),
        ({"k": (-500.0, *K[1:])}, "K: fx -500 and fy 505"),
        ({"k": K[:8]}, "K: .*expected 9 finite numbers"),
        ({"k": (*K[:8], float("nan"))}, "K: .*expected 9 finite"),
        ({"k": (500.0, 3.0, *K[2:])}, "no skew"),
        ({"k": (500.0, 0.0, 320.0, 0.0, 505.0, 240.0, 0.0, 0.0, 0.0)}, "0 0 1"),
        ({"size": (0, 640)}, "size"),
        ({"size": (480, 40000)}, "size"),
        ({"k": K, "distortion_model": "radtan"}, "'radtan' is not one of plumb_bob, rational_polynomial, equidistant"),
        ({"k": K, "d": (0.1, 0.2, 0.3)}, "D: 3 numbers, plumb_bob has 4 or 5"),
        ({"k": K, "distortion_model": "rational_polynomial", "d": (0.1,) * 5}, "rational_polynomial has 8"),
        ({"k": K, "d": (0.1, 0.2, 0.0, float("inf"))}, "D: holds a number that is not finite"),
        ({"k": K, "r": (2.0, *UNIT[1:])}, "R: not a rotation"),
        ({"k": K, "r": (-1.0, *UNIT[1:])}, "R: a reflection"),
        ({"k": K, "p": (0.0,) * 12}, r"P: P\[0\] \(fx\) is 0"),
        ({"rectified": True}, "P: missing"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(fields, words):
    with pytest.raises(CalibrationError, match=words):
        CameraModel(**{"size": SIZE, **fields})


def homography(matrix) -> tuple[float, ...]:
    return tuple(float(value) for value in np.ravel(matrix))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((3, 3)), "singular"),
        (((1, 0, 0), (2, 0, 0), (0, 0, 1)), "singular"),
        (((1e-7, 0, 0), (0, 1, 0), (0, 0, 1)), "singular"),
        (((0.01, 0, 0), (0, 0.01, 0), (0, 0, 1)), None),
        (((-1, 0, 639), (0, 1, 0), (0, 0, 1)), "flipped"),
        (((0, 1, 0), (1, 0, 0), (0, 0, 1)), "flipped"),
        (((1, 0, 0), (0, -1, 479), (0, 0, 1)), "flipped"),
        (((-1, 0, 639), (0, -1, 479), (0, 0, 1)), None),
        (((1, 0, 0), (0, 1, 0), (-0.01, 0, 1)), "horizon"),
        (((1, 0, 0), (0, 1, 0), (0, 0, np.nan)), "finite"),
    ],
)
def test_a_homography_that_is_singular_flipped_or_torn_is_refused(matrix, words):
    """A thermal camera that is mounted upside down is not flipped, and neither is -H another homography than H."""
    camera = CameraModel(SIZE)
    for sign in (1, -1):
        values = homography(sign * np.asarray(matrix, float))
        if words is None:
            Calibration(camera, camera, h_rgb_thermal=values)
            continue
        with pytest.raises(CalibrationError, match=f"homography.H_rgb_thermal: .*{words}"):
            Calibration(camera, camera, h_rgb_thermal=values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t_rgb_thermal": tuple(np.diag((1.0, 1.0, 2.0, 1.0)).ravel())}, "not a rotation"),
        ({"t_rgb_thermal": tuple(np.diag((1.0, 1.0, -1.0, 1.0)).ravel())}, "reflection"),
        ({"t_rgb_thermal": (*np.eye(4).ravel()[:12], 0.0, 0.0, 0.1, 1.0)}, "last row"),
        ({"t_rgb_thermal": (1.0, 0.0, 0.0, 100.0, *np.eye(4).ravel()[4:])}, "100 m apart; expected a translation in m"),
        ({"t_rgb_thermal": (1.0,) * 9}, "4 rows of 4"),
        ({"plane_distance": 0.0}, "plane_distance: 0"),
        ({"plane_distance": -1.0}, "plane_distance: -1"),
        ({"plane_distance": float("nan")}, "plane_distance: nan"),
        ({"time_offset": 40.0}, "time_offset: 40 s"),
        ({"depth_pixels": "thermal"}, "depth.pixels: 'thermal'"),
    ],
)
def test_a_pair_that_cannot_be_is_refused(change, words):
    with pytest.raises(CalibrationError, match=words):
        replace(default_rig(), **change)


def test_images_of_other_cameras_are_refused_where_both_sides_have_a_name():
    rig = default_rig()
    rig.check_cameras()
    rig.check_cameras("/rgb_camera_optical_frame", "thermal_camera_optical_frame", "no serial in the rig")
    with pytest.raises(
        CalibrationError, match=r"thermal\.frame_id: the calibration is for 'thermal_.*come from 'left'"
    ):
        rig.check_cameras(thermal_frame="left")
    numbered = replace(rig, rgb=replace(rig.rgb, serial="A1"))
    numbered.check_cameras(rgb_serial="A1")
    with pytest.raises(CalibrationError, match=r"rgb\.serial: the calibration is for 'A1', the images come from 'B2'"):
        numbered.check_cameras(rgb_serial="B2")


def test_images_of_other_sizes_are_refused():
    rig = default_rig()
    rig.check_sizes((480, 640), (512, 640))
    with pytest.raises(CalibrationError, match=r"rgb\.size: .* 480x640 .* 720x1280"):
        rig.check_sizes((720, 1280), (512, 640))
    with pytest.raises(CalibrationError, match=r"thermal\.size: .* 512x640 .* 480x640"):
        rig.check_sizes((480, 640), (480, 640))


@pytest.mark.parametrize("seed", range(20))
def test_a_transform_its_quaternion_and_its_inverse_agree(seed):
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=4)
    if seed < 4:  # half turns, where w is 0
        quaternion = np.eye(4)[seed % 3] + (0 if seed else 1e-9)
    quaternion /= np.linalg.norm(quaternion)
    transform = transform_from(rng.normal(size=3).tolist(), quaternion.tolist())
    np.testing.assert_allclose(inverse(transform) @ transform, np.eye(4), atol=1e-12)
    found = np.array(quaternion_of(transform[:3, :3]))
    assert abs(found @ quaternion) == pytest.approx(1, abs=1e-9)
    vector = rng.normal(size=3)
    x, y, z, w = quaternion
    axis = np.array((x, y, z))
    turned = vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)
    np.testing.assert_allclose(transform[:3, :3] @ vector, turned, atol=1e-12)


def test_a_quaternion_that_is_none_is_refused():
    with pytest.raises(CalibrationError, match=r"tf: .*not a rigid transform"):
        transform_from((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), "tf")


def test_the_rig_is_10_cm_and_3_degrees_apart():
    transform = default_rig().extrinsic
    assert np.linalg.norm(transform[:3, 3]) == pytest.approx(0.1)
    assert np.degrees(np.arccos((np.trace(transform[:3, :3]) - 1) / 2)) == pytest.approx(3.0)
    assert flat(transform) == default_rig().t_rgb_thermal
