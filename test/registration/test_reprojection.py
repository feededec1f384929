"""Points through the truth of a rig have no error, through a false calibration that of the calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration.projection import project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.homography_fit import apply
from rgbt_seg_ros.registration.reprojection import reproject

RIG = default_rig()


def seen(depth, count=12, seed=0):
    """Return RGB pixels, thermal pixels of the same points, and the points (m)."""
    rgb = np.random.default_rng(seed).uniform((120, 100), (520, 380), (count, 2))
    points = rays(RIG.rgb, rgb) * np.broadcast_to(depth, (count,))[:, None]
    back = inverse(RIG.extrinsic)
    return rgb, project(RIG.thermal, points @ back[:3, :3].T + back[:3, 3]), points


def through(calibration, mode, points):
    return reproject(Aligner(calibration, AlignmentSettings(mode)), points)


def test_the_truth_has_no_error():
    depth = np.linspace(2, 12, 12)
    rgb, thermal, points = seen(depth)
    for given in (Correspondences(rgb, thermal, depth=depth), Correspondences(rgb, thermal, position=points)):
        found = through(RIG, "depth", given)
        assert found.rms < 1e-3
        assert found.rgb_rms < 1e-3
    rgb, thermal, _ = seen(5.0)
    assert through(RIG, "plane", Correspondences(rgb, thermal)).rms < 1e-3


def test_an_error_of_a_homography_is_told_in_pixels_of_both_images():
    rig = replace(RIG, h_rgb_thermal=(2.0, 0.0, 10.0, 0.0, 2.0, -8.0, 0.0, 0.0, 1.0))
    thermal = np.random.default_rng(1).uniform(50, 250, (6, 2))
    found = through(rig, "homography", Correspondences(thermal * 2 + (10, -8) + (6, 0), thermal))
    np.testing.assert_allclose(found.errors, 3)
    np.testing.assert_allclose(found.rgb_errors, 6)
    np.testing.assert_allclose(found.expected, np.add(thermal, (3, 0)))


def test_an_error_of_the_lens_is_told_in_pixels_of_the_rgb_image():
    rgb, thermal, points = seen(np.linspace(2, 12, 12))
    k = np.add(RIG.rgb.k, (0, 0, 5, 0, 0, 0, 0, 0, 0))
    wrong = replace(RIG, rgb=replace(RIG.rgb, k=tuple(k)))
    found = through(wrong, "depth", Correspondences(rgb, thermal, depth=points[:, 2]))
    assert found.rgb_rms == pytest.approx(5, abs=0.2)
    assert found.rms == pytest.approx(5 * 470 / 560, abs=0.3)


def test_points_that_have_no_place_in_the_thermal_image_are_counted_and_told():
    # Beyond the horizon of this homography lies all that is left of x = 100 in the RGB image.
    rig = replace(RIG, h_rgb_thermal=(1.0, 0.0, 200.0, 0.0, 1.0, 0.0, 0.001, 0.0, 1.0))
    thermal = np.array(((50.0, 40.0), (300.0, 200.0), (600.0, 400.0)))
    rgb = apply(rig.homography, thermal)
    found = through(rig, "homography", Correspondences(np.vstack((rgb, (2000.0, 100.0))), np.vstack((thermal, (9, 9)))))
    assert found.lost == 1
    assert found.rms < 1e-6
    assert found.in_words() == "err by 0.0 px RMS, 1 of 4 having no place in the thermal image by this calibration"
    none = through(rig, "homography", Correspondences(np.full((2, 2), 2000.0), thermal[:2]))
    assert none.lost == 2
    assert none.rms == none.rgb_rms == np.inf
    assert none.in_words() == "have no place in the thermal image by this calibration, none of 2"


def test_a_position_counts_by_its_z_and_has_to_be_where_the_rgb_camera_sees_it():
    rgb, thermal, points = seen(5.0, 5)
    k = np.add(RIG.rgb.k, (0, 0, 5, 0, 0, 0, 0, 0, 0))
    wrong = replace(RIG, rgb=replace(RIG.rgb, k=tuple(k)))
    assert through(wrong, "depth", Correspondences(rgb, thermal, position=points)).rgb_rms == pytest.approx(5, abs=0.2)
    one_behind = np.vstack((points[:4], points[4:] * (1, 1, -1)))
    assert through(RIG, "depth", Correspondences(rgb, thermal, position=one_behind)).lost == 1
    for other in (points * 1000 + (900, 0, 0), points[:, [2, 0, 1]], points * (1, 1, -1)):
        with pytest.raises(
            PointsError, match=r"X, Y, Z: the RGB camera sees these points .* metres in its optical frame"
        ):
            through(RIG, "depth", Correspondences(rgb, thermal, position=other))


@pytest.mark.parametrize("scale", [-1.0, 0.25])
def test_the_scale_of_a_homography_does_not_matter(scale):
    h = (2.0, 0.0, 10.0, 0.0, 2.0, -8.0, 0.0, 0.0, 1.0)
    rig = replace(RIG, h_rgb_thermal=tuple(scale * value for value in h))
    thermal = np.random.default_rng(1).uniform(50, 250, (6, 2))
    found = through(rig, "homography", Correspondences(thermal * 2 + (10, -8), thermal))
    assert found.lost == 0
    assert found.rms < 1e-9


def test_points_that_say_nothing_are_refused():
    rgb, thermal, _ = seen(5.0)
    with pytest.raises(PointsError, match="mode depth: the points have no depth; expected a column depth"):
        through(RIG, "depth", Correspondences(rgb, thermal))
    with pytest.raises(PointsError, match="no points; at least one was expected"):
        through(RIG, "plane", Correspondences(rgb[:0], thermal[:0]))
