"""Cameras from rendered views of a board: found, counted alike in both, and fitted to known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration import CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse
from rgbt_seg_ros.registration.board import Board, BoardError
from rgbt_seg_ros.registration.board_detection import checker_size, find_board
from rgbt_seg_ros.registration.bundle import Rig, linearised
from rgbt_seg_ros.registration.image_pairs import SourceError
from rgbt_seg_ros.registration.least_squares import numeric_jacobian
from rgbt_seg_ros.registration.pose_fit import moved
from rgbt_seg_ros.registration.target import TargetOptions, calibrate_target
from rgbt_seg_ros.registration.target_fit import fit_camera, fit_stereo, plane_homography
from rgbt_seg_ros.registration.target_views import View, in_one_order
from support.board_rendering import board_poses, render_pairs

CHECKER = Board("checker", 8, 5, 0.06)
CIRCLES = Board("circles", 7, 5, 0.07)
ACIRCLES = Board("acircles", 4, 9, 0.05)
RIG = default_rig("plumb_bob")
BARE = replace(RIG, rgb=CameraModel(RIG.rgb.size), thermal=CameraModel(RIG.thermal.size), t_rgb_thermal=None)
CIRCLE_PAIRS = render_pairs(RIG, CIRCLES, board_poses(CIRCLES, 14, 1), 1)


def angle(first, second):
    return np.degrees(np.arccos(np.clip((np.trace(first[:3, :3].T @ second[:3, :3]) - 1) / 2, -1, 1)))


def seen(rig, board, poses, noise=0.05, seed=0):
    """Return views whose points are projected, not found."""
    rng = np.random.default_rng(seed)
    back = inverse(rig.extrinsic)
    views = []
    for index, pose in enumerate(poses):
        points = board.points @ pose[:3, :3].T + pose[:3, 3]
        pixels = project(rig.rgb, points), project(rig.thermal, points @ back[:3, :3].T + back[:3, 3])
        views.append(View(str(index), *(entry + rng.normal(0, noise, entry.shape) for entry in pixels)))
    return views


def check(result, degrees=0.1, metres=0.003, focal=0.005):
    transform = result.stereo.rig.transform
    assert angle(transform, RIG.extrinsic) <= degrees
    assert np.linalg.norm(transform[:3, 3] - RIG.extrinsic[:3, 3]) <= metres
    for found, true in ((result.calibration.rgb, RIG.rgb), (result.calibration.thermal, RIG.thermal)):
        assert np.diag(found.matrix)[:2] == pytest.approx(np.diag(true.matrix)[:2], rel=focal)
    # Beside noise: the middle of a circle seen aslant is not its picture's, and k3, which is not fitted, is not 0 here.
    assert (
        np.linalg.norm(transform[:3, 3] - RIG.extrinsic[:3, 3]) <= 3 * np.linalg.norm(result.stereo.sigma[3:6]) + 0.001
    )
    assert np.radians(angle(transform, RIG.extrinsic)) <= 3 * np.linalg.norm(result.stereo.sigma[:3]) + np.radians(0.02)


@pytest.mark.parametrize("board", [CHECKER, ACIRCLES], ids=lambda board: board.kind)
def test_lenses_and_extrinsic_come_back_from_rendered_boards(board):
    pairs = render_pairs(RIG, board, board_poses(board, 12, 1), 1)
    result = calibrate_target(pairs, TargetOptions(board))
    check(result)
    assert result.calibration.provenance["extrinsic_views"] == len(result.stereo.views)
    assert len(result.calibration.provenance["rgb_intrinsics_sigma"]) == 8


def test_circles_and_the_plane_that_is_asked_for():
    result = calibrate_target(CIRCLE_PAIRS, TargetOptions(CIRCLES, with_k3=True, plane=5.0), BARE)
    check(result)
    calibration = result.calibration
    assert calibration.plane_distance == 5
    middle = project(
        calibration.thermal,
        inverse(calibration.extrinsic)[:3, 3] + inverse(calibration.extrinsic)[:3, :3] @ (0.1, 0.1, 5.0),
    )
    mapped = calibration.homography @ (*middle, 1)
    assert mapped[:2] / mapped[2] == pytest.approx(project(calibration.rgb, np.array((0.1, 0.1, 5.0))), abs=6)


@pytest.mark.parametrize("lens", ["equidistant", "rational_polynomial"])
def test_given_intrinsics_of_every_lens_are_kept(lens):
    rig = default_rig(lens)
    pairs = render_pairs(rig, CIRCLES, board_poses(CIRCLES, 6, 2), 2)
    result = calibrate_target(pairs, TargetOptions(CIRCLES), replace(rig, t_rgb_thermal=None))
    assert (result.rgb, result.thermal) == (None, None)
    assert (result.calibration.rgb, result.calibration.thermal) == (rig.rgb, rig.thermal)
    assert angle(result.stereo.rig.transform, rig.extrinsic) <= 0.02
    assert np.linalg.norm(result.stereo.rig.transform[:3, 3] - rig.extrinsic[:3, 3]) <= 0.001


def test_one_lens_is_fitted_and_the_other_kept():
    base = replace(BARE, rgb=RIG.rgb)
    result = calibrate_target(CIRCLE_PAIRS, TargetOptions(CIRCLES), base)
    assert result.calibration.rgb == RIG.rgb
    assert result.rgb is None
    check(result)


@pytest.mark.parametrize("board", [CHECKER, CIRCLES, Board("checker", 5, 5, 0.06)], ids=str)
@pytest.mark.parametrize("upside_down", [False, True])
def test_points_are_counted_alike_whatever_end_each_camera_began_at(board, upside_down):
    rig = RIG
    if upside_down:
        rig = replace(RIG, t_rgb_thermal=flat(RIG.extrinsic @ np.diag((-1.0, -1.0, 1.0, 1.0))))
    truth = seen(rig, board, board_poses(board, 8, 3))
    rng = np.random.default_rng(0)
    orders = board.orders()
    mixed = [replace(view, thermal=view.thermal[orders[rng.integers(len(orders))]]) for view in truth]
    for found, view in zip(in_one_order(mixed, board, rig.rgb, rig.thermal), truth, strict=True):
        assert np.array_equal(found.thermal, view.thermal)


def test_where_nothing_else_tells_the_cameras_are_the_same_way_up():
    pose = np.eye(4)
    pose[:3, 3] = (0, 0, 1.2)
    truth = seen(RIG, CIRCLES, [pose] * 3)
    turned = [replace(view, thermal=view.thermal[CIRCLES.orders()[1]]) for view in truth]
    for found, view in zip(in_one_order(turned, CIRCLES, RIG.rgb, RIG.thermal), truth, strict=True):
        assert np.array_equal(found.thermal, view.thermal)


@pytest.mark.parametrize(
    ("board", "count"),
    [
        (CHECKER, 2),
        (Board("circles", 5, 5, 0.1), 4),
        (ACIRCLES, 1),
        (Board("acircles", 4, 8, 0.05), 2),
    ],
    ids=str,
)
def test_orders_are_turns_of_the_board_onto_itself(board, count):
    orders = board.orders()
    assert len(orders) == count
    assert np.array_equal(orders[0], np.arange(len(board.points)))
    middle = board.points - board.points.mean(0)
    for order in orders:
        turn, _, _, _ = np.linalg.lstsq(middle[:, :2], middle[order][:, :2], rcond=None)
        assert middle[:, :2] @ turn == pytest.approx(middle[order][:, :2], abs=1e-9)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_mirrored_counting_is_undone():
    pixels = CHECKER.points[:, :2] * 500 + 100
    mirrored = pixels.reshape(5, 8, 2)[:, ::-1].reshape(-1, 2)
    assert np.array_equal(
        CHECKER.as_seen_from_the_front(mirrored), pixels.reshape(5, 8, 2)[:, ::-1][:, ::-1].reshape(-1, 2)
    )
    assert np.array_equal(CHECKER.as_seen_from_the_front(pixels), pixels)


@pytest.mark.parametrize("board", [CHECKER, CIRCLES, ACIRCLES], ids=lambda board: board.kind)
def test_a_board_is_found_to_a_tenth_of_a_pixel_hot_or_cold_and_in_small_images(board):
    pose = board_poses(board, 3, 4)[1]
    small = replace(RIG, rgb=RIG.rgb.scaled((240, 320)))
    points = board.points @ pose[:3, :3].T + pose[:3, 3]
    for rig, limit in ((RIG, 0.15), (small, 0.25)):
        image = render_pairs(rig, board, [pose])[0].rgb
        for shown in (image, 255 - image):
            pixels, _ = find_board(shown, board)
            errors = [
                np.linalg.norm(pixels[order] - project(rig.rgb, points), axis=1).mean() for order in board.orders()
            ]
            assert min(errors) <= limit


def test_a_hot_object_in_the_scene_does_not_hide_the_board():
    pair = CIRCLE_PAIRS[0]
    dim = (pair.thermal * 0.12).astype(np.uint8)
    dim[:60, :60] = 255
    assert find_board(dim, CIRCLES)[0] is not None


def test_a_checker_of_another_size_is_not_taken_for_a_part_of_it():
    pairs = render_pairs(RIG, CHECKER, board_poses(CHECKER, 1, 0))
    assert find_board(pairs[0].rgb, Board("checker", 6, 4, 0.06)) == (None, None)
    assert sorted(checker_size(pairs[0].rgb)) == [5, 8]
    with pytest.raises(
        BoardError, match=r"7x4 inner corners is in 0 RGB and 0 thermal images of 1 pairs.*shows (8x5|5x8)"
    ):
        calibrate_target(pairs, TargetOptions(Board("checker", 7, 4, 0.06)))


def test_a_pattern_of_3_by_3_is_no_checker_but_texture():
    """Both cases are checkers; the smallest is also what the detector finds in cloth and tiles."""
    for side, expected in ((4, None), (5, (4, 4))):
        squares = np.indices((side, side)).sum(0) % 2 * 255
        image = np.pad(np.kron(squares, np.ones((40, 40))).astype(np.uint8), 60, constant_values=255)
        assert checker_size(image) == expected


def test_too_few_views_and_views_from_one_pose_are_refused():
    with pytest.raises(BoardError, match="RGB camera: 4 usable views of the board; at least 6"):
        calibrate_target(CIRCLE_PAIRS[:4], TargetOptions(CIRCLES))
    with pytest.raises(BoardError, match="RGB camera: 1 usable views"):
        calibrate_target([CIRCLE_PAIRS[0]] * 9, TargetOptions(CIRCLES))
    with pytest.raises(BoardError, match="2 views of the board in both cameras from different places; at least 3"):
        calibrate_target(CIRCLE_PAIRS[:2] * 3, TargetOptions(CIRCLES), replace(RIG, t_rgb_thermal=None))


def test_parallel_boards_do_not_tell_the_focal_length():
    poses = []
    for x in (-0.2, 0, 0.2):
        for y in (-0.15, 0, 0.1):
            poses.append(np.eye(4))
            poses[-1][:3, 3] = (x - 0.2, y - 0.15, 1.2)
    views = [view.rgb for view in seen(RIG, CIRCLES, poses)]
    with pytest.raises(BoardError, match="RGB camera: all views show the board at about one tilt"):
        fit_camera(views, RIG.rgb.size, CIRCLES, "RGB")


def test_a_view_that_fits_far_worse_is_left_out():
    views = seen(RIG, CIRCLES, board_poses(CIRCLES, 8, 5))
    views[3] = replace(views[3], thermal=views[3].thermal + np.array((0, 6)))
    fit = fit_stereo(views, CIRCLES, RIG.rgb, RIG.thermal)
    assert fit.left_out == ("3",)
    assert angle(fit.rig.transform, RIG.extrinsic) <= 0.02


def test_views_that_contradict_each_other_are_refused():
    rng = np.random.default_rng(0)
    views = [
        replace(view, thermal=view.thermal + rng.normal(0, 15, 2))
        for view in seen(RIG, CIRCLES, board_poses(CIRCLES, 8, 5))
    ]
    with pytest.raises(BoardError, match=r"do not fit together|from different places"):
        fit_stereo(views, CIRCLES, RIG.rgb, RIG.thermal)


def test_the_covariance_contains_what_fitted_lenses_leave_uncertain():
    poses = board_poses(CIRCLES, 8, 6)
    errors, said = [], []
    for seed in range(5):
        views = seen(RIG, CIRCLES, poses, 0.1, seed)
        rgb, thermal = (
            fit_camera([getattr(view, name) for view in views], getattr(RIG, name).size, CIRCLES, name).camera
            for name in ("rgb", "thermal")
        )
        fit = fit_stereo(views, CIRCLES, rgb, thermal, (8, 8))
        errors.append(np.radians(angle(fit.rig.transform, RIG.extrinsic)))
        said.append(np.linalg.norm(fit.sigma[:3]))
    assert 0.5 <= np.sqrt(np.mean(np.square(errors))) / np.mean(said) <= 1.7


@pytest.mark.parametrize("cameras", ["both", "rgb", "thermal"])
def test_derivatives_of_the_bundle_are_those_of_its_residuals(cameras):
    rig = Rig(RIG.rgb, RIG.thermal, RIG.extrinsic, (9, 8))
    pose = board_poses(CIRCLES, 3, 0)[1]
    pixels = np.zeros((len(CIRCLES.points), 2))
    view = View("a", *(pixels if cameras in ("both", name) else None for name in ("rgb", "thermal")))

    def residuals(step):
        errors = rig.moved(step[: rig.shared]).errors(view, CIRCLES, moved(pose, step[rig.shared :]))
        return np.concatenate([error.ravel() for error in errors.values()])

    lens = [1e-3] * 4 + [1e-6] * 5
    steps = np.array([1e-6] * 6 + lens + lens[:8] + [1e-6] * 6)
    expected = numeric_jacobian(residuals, np.zeros(len(steps)), steps)
    found, jacobian = linearised(view, CIRCLES, rig, pose)
    assert found == pytest.approx(residuals(np.zeros(len(steps))))
    assert jacobian == pytest.approx(expected, abs=1e-5, rel=1e-5)


def test_the_homography_of_a_plane_is_exact_without_distortion():
    rgb, thermal = replace(RIG.rgb, d=()), replace(RIG.thermal, d=())
    matrix, errors = plane_homography(rgb, thermal, RIG.extrinsic, 4.0)
    assert errors.max() < 1e-4
    with pytest.raises(BoardError, match="hardly any of the plane at 4 m in common"):
        plane_homography(rgb, thermal, moved(RIG.extrinsic, np.array((0, np.pi / 2, 0, 0, 0, 0))), 4.0)
    assert matrix.shape == (3, 3)


def test_images_that_do_not_belong_together_are_refused():
    other = replace(CIRCLE_PAIRS[1], thermal=CIRCLE_PAIRS[1].thermal[:500])
    with pytest.raises(SourceError, match="0001: thermal image of 640x500"):
        calibrate_target([CIRCLE_PAIRS[0], other], TargetOptions(CIRCLES))
    with pytest.raises(CalibrationError, match=r"rgb.size: the calibration is for images of 240x320"):
        calibrate_target(CIRCLE_PAIRS, TargetOptions(CIRCLES), replace(RIG, rgb=RIG.rgb.scaled((240, 320))))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dots", 4, 4, 0.1), "board 'dots': expected one of checker, circles, acircles"),
        (("checker", 2, 4, 0.1), "grid 2x4: 3 to 50"),
        (("checker", 4, 51, 0.1), "grid 4x51"),
        (("checker", 4, 5, 60), "spacing 60: metres were expected, from 0.001 to 1"),
        (("checker", 4, 5, 1.5), "spacing 1.5: metres were expected"),
    ],
)
def test_what_is_no_board(arguments, words):
    with pytest.raises(BoardError, match=words):
        Board(*arguments)
