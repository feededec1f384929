"""Modes none, homography and plane: positions and pictures on a rig whose geometry is known, and the geometry's properties."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig, plane_surfaces, render_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings, resize
from rgbt_seg_ros.pipeline.alignment.tables import homography_at, plane_positions
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse

RNG = np.random.default_rng(0)
LENSES = ["plumb_bob", "rational_polynomial", "equidistant"]
THERMAL = RNG.integers(0, 256, (96, 128), dtype=np.uint8)


def small(rig: Calibration, factor: int = 2) -> Calibration:
    """The rig at half its resolution, which is quicker to render."""
    (h, w), (a, b) = rig.rgb.size, rig.thermal.size
    return replace(
        rig, rgb=rig.rgb.scaled((h // factor, w // factor)), thermal=rig.thermal.scaled((a // factor, b // factor))
    )


def homography_pair(matrix, thermal=(96, 128), rgb=(96, 128)) -> Calibration:
    return Calibration(CameraModel(rgb), CameraModel(thermal), h_rgb_thermal=flat(np.asarray(matrix, float)))


def aligned_by(matrix, thermal=THERMAL, size=(96, 128), rgb=(96, 128)):
    pair = homography_pair(matrix, thermal.shape, rgb)
    return Aligner(pair, AlignmentSettings("homography")).align(thermal, size)


# --- none ----------------------------------------------------------------------------------------------------------------


def test_mode_none_resizes_and_nothing_else():
    aligner = Aligner(None, AlignmentSettings())
    assert aligner.align(THERMAL, (96, 128)).image is THERMAL
    for size in ((48, 64), (200, 333)):
        aligned = aligner.align(THERMAL, size, fill=9)
        np.testing.assert_array_equal(aligned.image, resize(THERMAL, size))
        assert aligned.valid is None


# --- homography ----------------------------------------------------------------------------------------------------------


def test_the_identity_changes_no_pixel():
    aligned = aligned_by(np.eye(3))
    np.testing.assert_array_equal(aligned.image, THERMAL)
    assert aligned.valid is None


def test_a_shift_moves_pixels_and_leaves_the_rest_invalid_and_filled():
    pair = homography_pair(((1, 0, 10), (0, 1, -4), (0, 0, 1)))
    aligned = Aligner(pair, AlignmentSettings("homography")).align(THERMAL, (96, 128), fill=33)
    np.testing.assert_array_equal(aligned.image[:92, 10:], THERMAL[4:, :118])
    expected = np.zeros((96, 128), bool)
    expected[:92, 10:] = True
    np.testing.assert_array_equal(aligned.valid, expected)
    assert (aligned.image[~expected] == 33).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_homography_and_opencvs_warp_agree(seed):
    rng = np.random.default_rng(seed)
    matrix = np.eye(3) + rng.normal(size=(3, 3)) * ((0.05, 0.05, 8), (0.05, 0.05, 8), (3e-4, 3e-4, 0))
    smooth = cv2.GaussianBlur(THERMAL, (0, 0), 2)
    aligned = aligned_by(matrix * rng.uniform(-3, 3), smooth)
    expected = cv2.warpPerspective(smooth, matrix, (128, 96), flags=cv2.INTER_LINEAR)
    grey = aligned.valid.astype(np.uint8)
    inner = cv2.erode(grey, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    assert inner.sum() > 4000
    assert np.abs(aligned.image.astype(int) - expected)[inner > 0].max() <= 2


def test_a_homography_and_its_inverse_undo_each_other():
    matrix = np.array(((1.05, 0.03, -4.0), (-0.02, 0.97, 3.0), (1e-4, -5e-5, 1.0)))
    smooth = cv2.GaussianBlur(THERMAL, (0, 0), 2)
    there = aligned_by(matrix, smooth)
    back = aligned_by(np.linalg.inv(matrix), there.image)
    inside = back.valid[12:-12, 16:-16]
    assert inside.all()
    assert np.abs(back.image.astype(int) - smooth)[12:-12, 16:-16].max() <= 4


def test_two_homographies_in_a_row_are_their_product():
    first = np.array(((1.02, 0.01, 3.0), (0.0, 1.0, -2.0), (0.0, 1e-4, 1.0)))
    second = np.array(((0.98, -0.02, 1.0), (0.02, 1.01, 1.0), (5e-5, 0.0, 1.0)))
    smooth = cv2.GaussianBlur(THERMAL, (0, 0), 2)
    one = aligned_by(second @ first, smooth).image.astype(int)
    two = aligned_by(second, aligned_by(first, smooth).image).image
    assert np.abs(one - two)[10:-10, 12:-12].max() <= 4


@pytest.mark.parametrize("size", [(48, 64), (192, 256), (60, 128)])
def test_the_result_at_another_size_shows_the_same_view(size):
    """Aligned at the network's size is what aligned at the RGB image's size, resized, is."""
    smooth = cv2.GaussianBlur(THERMAL, (0, 0), 3)
    matrix = np.array(((1.1, 0.05, -6.0), (-0.03, 1.08, -2.0), (1e-4, 0.0, 1.0)))
    whole, other = aligned_by(matrix, smooth), aligned_by(matrix, smooth, size)
    assert other.image.shape == size
    assert np.abs(other.image.astype(int) - resize(whole.image, size)).max() <= 3


def test_a_point_follows_the_matrix_at_every_size():
    pair = homography_pair(((1.1, 0.05, -6.0), (-0.03, 1.08, -2.0), (1e-4, 0.0, 1.0)))
    point = np.array((40.0, 30.0, 1.0))
    at_full = pair.homography @ point
    expected = (at_full[:2] / at_full[2] + 0.5) * 0.5 - 0.5
    halved = homography_at(pair, (48, 64), (192, 256)) @ np.array((80.5, 60.5, 1.0))
    np.testing.assert_allclose(halved[:2] / halved[2], expected, atol=1e-9)


def test_a_fine_thermal_image_is_averaged_when_it_shrinks():
    """One pixel in four is hot: sampling every fourth would see all of them or none."""
    fine = np.zeros((384, 512), np.uint8)
    fine[::4, ::4] = 255
    aligned = aligned_by(((0.25, 0, -0.375), (0, 0.25, -0.375), (0, 0, 1)), fine)
    assert aligned.valid is None
    assert np.abs(aligned.image.astype(int) - round(255 / 16)).max() <= 1


# --- plane ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lens", LENSES)
def test_plane_is_exact_on_its_plane(lens):
    """Points of the plane, projected by OpenCV into both images, are what the table connects, within 0.5 px."""
    rig = default_rig(lens)
    x, y = np.meshgrid(np.linspace(-2, 2, 21), np.linspace(-1.5, 1.5, 17))
    points = np.stack((x, y, np.full_like(x, 5.0)), -1).reshape(-1, 3)
    rgb = project_by_opencv(rig.rgb, points)
    truth = project_by_opencv(rig.thermal, points @ inverse(rig.extrinsic)[:3, :3].T + inverse(rig.extrinsic)[:3, 3])
    table = Aligner(rig, AlignmentSettings("plane")).table(rig.rgb.size)
    # The map itself, as remap reads it: whole pixels and 32nds.
    column, row = table.fraction % 32 / 32, table.fraction // 32 / 32
    found = np.stack((table.whole[..., 0] + column, table.whole[..., 1] + row), -1).astype(np.float32)
    pixels = rgb.astype(np.float32)
    sampled = np.stack([cv2.remap(found[..., i], pixels[:, None, 0], pixels[:, None, 1], 1)[:, 0] for i in (0, 1)], -1)
    inside = ((rgb > 1) & (rgb < (638, 478)) & (truth > 1) & (truth < (638, 510))).all(-1)
    assert inside.sum() > 200
    assert np.linalg.norm(sampled - truth, axis=-1)[inside].max() < 0.1


def project_by_opencv(camera, points):
    zero = np.zeros(3)
    if camera.distortion_model == "equidistant":
        found = cv2.fisheye.projectPoints(points.reshape(-1, 1, 3), zero, zero, camera.matrix, np.array(camera.d))[0]
    else:
        found = cv2.projectPoints(points, zero, zero, camera.matrix, np.array(camera.d))[0]
    return found.reshape(-1, 2)


def test_plane_gives_the_picture_that_a_thermal_camera_in_the_rgb_cameras_place_would_give():
    rig = small(default_rig())
    scene = render_rig(rig, plane_surfaces(5.0))
    aligned = Aligner(rig, AlignmentSettings("plane")).align(scene.thermal, rig.rgb.size)
    assert aligned.valid is None
    assert np.abs(aligned.image.astype(int) - scene.aligned).max() <= 2
    assert np.abs(resize(scene.thermal, rig.rgb.size).astype(int) - scene.aligned).mean() > 5


def test_off_its_plane_it_errs_by_the_parallax():
    rig = small(default_rig())
    at_5, at_10 = (plane_positions(rig, d, rig.rgb.size, rig.thermal.size) for d in (5.0, 10.0))
    apart = np.nanmedian(np.linalg.norm(at_5 - at_10, axis=-1))
    assert apart == pytest.approx(235 * 0.1 * (1 / 5 - 1 / 10), rel=0.1)


def test_the_settings_distance_goes_before_the_files():
    rig = small(default_rig())
    there = Aligner(rig, AlignmentSettings("plane", plane_distance=10.0)).table((60, 80))
    filed = Aligner(replace(rig, plane_distance=10.0), AlignmentSettings("plane")).table((60, 80))
    other = Aligner(rig, AlignmentSettings("plane")).table((60, 80))
    np.testing.assert_array_equal(there.whole, filed.whole)
    assert not np.array_equal(there.whole, other.whole)


def test_cameras_in_one_place_are_aligned_by_any_plane():
    rig = small(default_rig())
    turn = rig.extrinsic.copy()
    turn[:3, 3] = 0
    rig = replace(rig, t_rgb_thermal=flat(turn))
    near, far = (plane_positions(rig, d, rig.rgb.size, rig.thermal.size) for d in (0.5, 500.0))
    np.testing.assert_allclose(near, far, atol=1e-6)
