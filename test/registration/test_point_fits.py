"""Homographies and extrinsics from points with known truth, noise and outliers; and sets that determine nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration import Calibration, CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.homography_fit import apply, fit_homography
from rgbt_seg_ros.registration.least_squares import minimise
from rgbt_seg_ros.registration.points import calibrate_points
from rgbt_seg_ros.registration.pose_fit import fit_pose, moved

RGB, THERMAL = (480, 640), (512, 640)
TRUTH = np.array(((0.9, 0.02, 30.0), (-0.015, 0.92, 12.0), (3e-5, -2e-5, 1.0)))
CORNERS = np.array(((0.0, 0.0), (639.0, 0.0), (0.0, 511.0), (639.0, 511.0)))


def plane_points(seed, count=60, noise=0.2, outliers=0.3):
    rng = np.random.default_rng(seed)
    thermal = rng.uniform((5, 5), (635, 505), (count, 2))
    rgb = apply(TRUTH, thermal) + rng.normal(0, noise, (count, 2))
    bad = rng.permutation(count)[: round(outliers * count)]
    rgb[bad] += rng.uniform(12, 80, (len(bad), 2)) * rng.choice((-1, 1), (len(bad), 2))
    return Correspondences(rgb, thermal, lines=tuple(range(2, count + 2))), bad


def space_points(rig, seed, count=80, noise=0.3, outliers=0.3):
    rng = np.random.default_rng(seed)
    z = rng.uniform(1, 8, count)
    positions = np.stack((rng.uniform(-0.35, 0.4, count) * z, rng.uniform(-0.3, 0.3, count) * z, z), 1)
    back = inverse(rig.extrinsic)
    rgb, thermal = project(rig.rgb, positions), project(rig.thermal, positions @ back[:3, :3].T + back[:3, 3])
    thermal = thermal + rng.normal(0, noise, thermal.shape)
    bad = rng.permutation(count)[: round(outliers * count)]
    thermal[bad] += rng.uniform(15, 60, (len(bad), 2))
    return Correspondences(rgb, thermal, depth=z, lines=tuple(range(count))), positions, bad


def angle(first, second):
    return np.degrees(np.arccos(np.clip((np.trace(first[:3, :3].T @ second[:3, :3]) - 1) / 2, -1, 1)))


@pytest.mark.parametrize("seed", range(6))
def test_a_homography_comes_back_from_noise_and_outliers(seed):
    points, bad = plane_points(seed)
    fit = fit_homography(points, RGB, THERMAL)
    assert np.linalg.norm(apply(fit.matrix, CORNERS) - apply(TRUTH, CORNERS), axis=1).max() <= 0.5
    assert not fit.errors.inliers[bad].any()
    assert fit.errors.inliers.sum() == len(points) - len(bad)
    assert fit.errors.metrics()["rms_px"] == pytest.approx(0.2 * np.sqrt(2), rel=0.3)


def test_the_covariance_of_a_homography_is_that_of_many_trials():
    fits = [fit_homography(plane_points(seed, 30, 0.3, 0.0)[0], RGB, THERMAL) for seed in range(150)]
    spread = np.std([fit.matrix.ravel()[:8] for fit in fits], axis=0)
    said = np.sqrt(np.mean([np.diag(fit.covariance) for fit in fits], axis=0))
    assert said == pytest.approx(spread, rel=0.25)


def test_four_exact_points_fit_and_leave_no_certainty():
    thermal = np.array(((50.0, 50), (600, 60), (590, 480), (40, 470)))
    fit = fit_homography(Correspondences(apply(TRUTH, thermal), thermal), RGB, THERMAL)
    assert fit.matrix == pytest.approx(TRUTH, abs=1e-6)
    assert fit.covariance is None
    assert fit.corner_sigma is None


def test_degenerate_points_are_refused():
    line = np.stack((np.linspace(0, 600, 9), np.linspace(10, 400, 9)), 1)
    with pytest.raises(PointsError, match="all points lie on one line of the RGB image"):
        fit_homography(Correspondences(line, line[::-1].copy()), RGB, THERMAL)
    points, _ = plane_points(0, 3, 0, 0)
    with pytest.raises(PointsError, match="3 points; a homography needs at least 4"):
        fit_homography(points, RGB, THERMAL)
    rng = np.random.default_rng(0)
    chance = Correspondences(rng.uniform(0, 400, (30, 2)), rng.uniform(0, 400, (30, 2)))
    with pytest.raises(PointsError, match=r"only \d+ of 30 points agree within 3 px; at least 15 were expected"):
        fit_homography(chance, RGB, THERMAL)
    thermal = np.concatenate((line[:8], ((300.0, 100.0),)))
    almost = Correspondences(apply(TRUTH, thermal), thermal)
    with pytest.raises(PointsError, match="all points but one lie on one line of the RGB image"):
        fit_homography(almost, RGB, THERMAL)
    near = np.random.default_rng(1).uniform((300, 250), (312, 262), (12, 2))
    with pytest.raises(PointsError, match="leave a corner of the thermal image uncertain"):
        fit_homography(Correspondences(apply(TRUTH, near), near), RGB, THERMAL)


def test_mirrored_points_are_refused():
    points, _ = plane_points(0, 20, 0, 0)
    mirrored = replace(points, rgb=points.rgb * (-1, 1) + (639, 0))
    with pytest.raises(CalibrationError, match="flipped"):
        fit_homography(mirrored, RGB, THERMAL)


@pytest.mark.parametrize("lens", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_an_extrinsic_comes_back_through_every_lens(lens):
    rig = default_rig(lens)
    points, positions, bad = space_points(rig, 3)
    for given in (points, replace(points, depth=None, position=positions)):
        fit = fit_pose(given, rig.rgb, rig.thermal)
        assert angle(fit.transform, rig.extrinsic) <= 0.1
        assert np.linalg.norm(fit.transform[:3, 3] - rig.extrinsic[:3, 3]) <= 0.003
        assert not fit.errors.inliers[bad].any()


def test_an_extrinsic_of_rectified_images():
    rig = default_rig("plumb_bob")
    turn = moved(np.eye(4), np.array((0.02, -0.03, 0.01, 0, 0, 0)))[:3, :3]
    thermal = replace(
        rig.thermal, r=tuple(turn.ravel()), p=(450.0, 0, 310, 0, 0, 450.0, 250, 0, 0, 0, 1.0, 0), rectified=True
    )
    points, _, _ = space_points(replace(rig, thermal=thermal), 1)
    fit = fit_pose(points, rig.rgb, thermal)
    assert angle(fit.transform, rig.extrinsic) <= 0.1


def test_the_covariance_of_an_extrinsic_is_that_of_many_trials():
    rig = default_rig()
    steps, said = [], []
    for seed in range(60):
        fit = fit_pose(space_points(rig, seed, 40, 0.3, 0.0)[0], rig.rgb, rig.thermal)
        relative = fit.transform[:3, :3] @ rig.extrinsic[:3, :3].T
        steps.append(
            [*(np.array((relative[2, 1], relative[0, 2], relative[1, 0]))), *(fit.transform - rig.extrinsic)[:3, 3]]
        )
        said.append(np.diag(fit.covariance))
    assert np.sqrt(np.mean(said, 0)) == pytest.approx(np.sqrt(np.mean(np.square(steps), 0)), rel=0.35)


def test_an_extrinsic_that_is_not_determined_is_refused():
    rig = default_rig()
    points, positions, _ = space_points(rig, 0, 30, 0.0, 0.0)
    few = Correspondences(points.rgb[:5], points.thermal[:5], depth=points.depth[:5])
    with pytest.raises(PointsError, match="5 points; an extrinsic needs at least 6"):
        fit_pose(few, rig.rgb, rig.thermal)
    along = np.outer(np.linspace(1, 5, 10), (0.1, 0.05, 1)) + np.array((0.0, 0.02, 0.0))
    back = inverse(rig.extrinsic)
    line = Correspondences(project(rig.rgb, along), project(rig.thermal, along @ back[:3, :3].T + back[:3, 3]), along)
    with pytest.raises(PointsError, match="all points lie on one line in space"):
        fit_pose(line, rig.rgb, rig.thermal)
    far = np.random.default_rng(0).uniform((-1, -1, 39), (1, 1, 41), (12, 3))
    distant = Correspondences(project(rig.rgb, far), project(rig.thermal, far @ back[:3, :3].T + back[:3, 3]), far)
    with pytest.raises(
        PointsError, match=r"do not determine the extrinsic: for each px .* m; points at several distances"
    ):
        fit_pose(distant, rig.rgb, rig.thermal)
    shuffled = replace(points, thermal=points.thermal[::-1].copy())
    with pytest.raises(PointsError, match="of 30 points agree"):
        fit_pose(shuffled, rig.rgb, rig.thermal)
    wrong = replace(points, depth=None, position=positions * 1000 + (0, 500, 0))
    with pytest.raises(PointsError, match=r"the RGB camera sees these points .* px"):
        fit_pose(wrong, rig.rgb, rig.thermal)


def test_what_is_fitted_follows_from_what_is_known():
    rig = default_rig()
    points, _, _ = space_points(rig, 2)
    sizes = Calibration(rgb=CameraModel(RGB), thermal=CameraModel(THERMAL))
    lenses = replace(rig, t_rgb_thermal=None)
    found = calibrate_points(points, lenses)
    assert (found.model, found.calibration.h_rgb_thermal, found.calibration.plane_distance) == ("extrinsic", None, 5.0)
    assert found.calibration.provenance["extrinsic_points"] == 80
    assert found.calibration.provenance["extrinsic_inliers"] == 56
    assert len(found.calibration.provenance["extrinsic_covariance"].ravel()) == 36
    flat, _ = plane_points(0)
    for base in (sizes, lenses):
        assert calibrate_points(flat, base).model == "homography"
    with pytest.raises(PointsError, match="an extrinsic needs the intrinsics of both cameras"):
        calibrate_points(points, sizes, "extrinsic")
    with pytest.raises(PointsError, match="an extrinsic needs X, Y, Z or depth"):
        calibrate_points(flat, lenses, "extrinsic")


def test_least_squares_finds_the_minimum_and_does_not_step_where_there_is_none():
    def residuals(p):
        with np.errstate(invalid="ignore"):
            return np.array((10 * (p[1] - p[0] ** 2), 1 - p[0], np.sqrt(p[0] + 2) * 0))

    found = minimise(residuals, np.array((-1.2, 1.0)), np.full(2, 1e-6))
    assert found.parameters == pytest.approx((1, 1), abs=1e-5)
