"""A true calibration is good, a false one is off by what it is false by, and unrelated images tell nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.alignment import Aligned, Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CalibrationError, CameraModel
from rgbt_seg_ros.registration.alignment_check import check_alignment, mutual_information
from rgbt_seg_ros.registration.edge_picture import edge_grid, edges_over
from rgbt_seg_ros.registration.image_pairs import ImagePair
from rgbt_seg_ros.registration.reprojection import Reprojection
from rig_street import render_street_rig

SIZE = (240, 320)


@cache
def rig():
    full = default_rig()
    return replace(full, rgb=full.rgb.scaled(SIZE), thermal=full.thermal.scaled((256, 320)), depth_pixels="raw")


@cache
def streets():
    scenes = [render_street_rig(rig(), 7, index) for index in range(2)]
    return [ImagePair(str(i), s.rgb, s.thermal) for i, s in enumerate(scenes)], [scene.depth for scene in scenes]


def moved(dx, dy=0.0, longer=1.0):
    """Return the rig with a principal point that is off, and a thermal focal length that is too long."""
    k = np.add(rig().rgb.k, (0, 0, dx, 0, 0, dy, 0, 0, 0))
    thermal = np.multiply(rig().thermal.k, (longer, 1, 1, 1, longer, 1, 1, 1, 1))
    return replace(rig(), rgb=replace(rig().rgb, k=tuple(k)), thermal=replace(rig().thermal, k=tuple(thermal)))


def checked(calibration, pairs, depths=None, mode="depth"):
    return check_alignment(Aligner(calibration, AlignmentSettings(mode)), pairs, depths)


def test_the_true_calibration_is_good():
    found = checked(rig(), *streets())
    assert found.verdict == "good"
    assert found.sentence.startswith("good: off by 0.")
    assert found.offset.off < 1
    assert found.offset.agreeing > 0.9
    assert found.information > 1.2 * found.information_apart
    assert 0.8 < found.covered < 1


@pytest.mark.parametrize(("dx", "dy"), [(5, 0), (-4, 3)])
def test_a_shifted_calibration_is_off_by_its_shift(dx, dy):
    found = checked(moved(dx, dy), *streets())
    assert found.verdict == "off"
    assert found.offset.off == pytest.approx(5, abs=0.6)
    # The thermal image has to go back.
    assert found.offset.dx == pytest.approx(-dx, abs=0.6)
    assert found.offset.dy == pytest.approx(-dy, abs=0.6)
    assert found.sentence.startswith("off by about 5 px")
    assert found.offset.best > found.offset.score


def test_a_focal_length_that_is_wrong_is_told_as_a_scale():
    found = checked(moved(0, longer=1.05), *streets())
    assert found.verdict == "off"
    assert found.offset.scale == pytest.approx(0.05, abs=0.015)
    assert "larger" in found.sentence
    assert found.sentence.startswith("off by about")


def test_a_shift_beyond_what_is_sought_is_at_least_that():
    found = checked(moved(17), *streets())
    assert found.verdict == "off"
    assert found.offset.limited
    assert found.sentence.startswith("off by at least 1")


@pytest.mark.parametrize("images_tell", [True, False])
def test_points_that_the_calibration_cannot_place_make_it_off(images_tell):
    pairs, depths = streets()
    if not images_tell:
        pairs = [replace(pairs[0], thermal=np.full_like(pairs[0].thermal, 90))]
    errors = np.array([0.1, np.nan, np.nan, np.nan, np.nan, np.nan])
    points = Reprojection(np.zeros((6, 2)), errors, errors)
    aligner = Aligner(rig(), AlignmentSettings("depth"))
    found = check_alignment(aligner, pairs, depths, points)
    assert found.verdict == "off"
    assert "off by the points, which err by 0.1 px RMS, 5 of 6 having no place in the thermal image" in found.sentence
    assert (
        check_alignment(aligner, pairs, depths, Reprojection(np.zeros((1, 2)), errors[:1], errors[:1])).verdict
        == "good"
    )


def test_images_of_other_scenes_tell_nothing():
    pairs, depths = streets()
    swapped = [replace(pairs[0], thermal=pairs[1].thermal), replace(pairs[1], thermal=pairs[0].thermal)]
    for chosen in (swapped, swapped[:1], swapped[1:]):
        found = checked(rig(), chosen, depths, "depth")
        assert found.verdict == "cannot tell"
        assert found.sentence.startswith("cannot tell: ")


@pytest.mark.parametrize("thermal", [np.full((256, 320), 90), np.random.default_rng(0).integers(80, 100, (256, 320))])
def test_a_thermal_image_without_structure_tells_nothing(thermal):
    pair = replace(streets()[0][0], thermal=thermal.astype(np.uint8))
    assert checked(rig(), [pair], mode="plane").sentence == "cannot tell: the images share no edges"


def plain(size):
    return Calibration(CameraModel(size), CameraModel(size), h_rgb_thermal=(1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def test_images_that_are_too_small_to_compare_tell_nothing():
    pair = ImagePair("a", np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8))
    assert checked(plain((20, 30)), [pair], mode="homography").sentence == "cannot tell: the images are too small"


def test_large_images_are_judged_in_their_own_pixels():
    pair = streets()[0][0]
    rgb = cv2.resize(pair.rgb, (1280, 960), interpolation=cv2.INTER_CUBIC)
    thermal = 255 - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    shifted = cv2.warpAffine(thermal, np.float32([[1, 0, 12], [0, 1, 0]]), (1280, 960), borderMode=cv2.BORDER_REPLICATE)
    found = checked(plain((960, 1280)), [ImagePair("a", rgb, shifted)], mode="homography")
    assert found.zoom == 2
    assert found.sentence.startswith("off by about 12 px")
    assert "12 px to the left" in found.sentence


def test_images_of_another_size_are_refused_with_the_name_of_the_pair():
    pair = replace(streets()[0][0], rgb=np.zeros((120, 160, 3), np.uint8))
    with pytest.raises(CalibrationError, match=r"rgb\.size: .* 240x320 .*, this one has 120x160 \(pair 0\)$"):
        checked(rig(), [pair], mode="plane")


def test_mutual_information_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    halves = np.repeat(np.array([[0, 200]], np.uint8), 50, 1).repeat(40, 0)
    rgb = np.dstack([halves] * 3)
    assert mutual_information(rgb, Aligned(255 - halves, None)) == pytest.approx(1.0)
    assert mutual_information(rgb, Aligned(np.zeros_like(halves), None)) == 0
    noise = rng.integers(0, 2, halves.shape).astype(np.uint8) * 255
    assert mutual_information(rgb, Aligned(noise, None)) < 0.01
    # What is not valid says nothing, nor does what a shift brings in from outside.
    half = np.where(np.arange(100) < 75, halves, 0).astype(np.uint8)
    assert mutual_information(rgb, Aligned(half, np.broadcast_to(np.arange(100) < 75, half.shape))) > 0.9
    assert mutual_information(rgb, Aligned(np.roll(halves, 10, 1), None), (-10, 0)) == pytest.approx(1.0, abs=0.03)
    assert mutual_information(rgb, Aligned(halves, np.zeros(halves.shape, bool))) == 0


def test_edges_are_red_where_the_thermal_image_has_them_and_nowhere_else():
    thermal = np.full((80, 100), 60, np.uint8)
    thermal[:, 50:] = 180
    rgb = np.full((80, 100, 3), 90, np.uint8)
    picture = edges_over(rgb, Aligned(thermal, None))
    red = (picture == (255, 0, 0)).all(-1)
    columns = np.flatnonzero(red.any(0))
    assert red[5:-5].any(1).all()
    assert columns.min() >= 47
    assert columns.max() <= 52
    assert np.ptp(picture[~red], -1).max() == 0
    # The edge of what is not valid is none of the scene's.
    valid = np.broadcast_to(np.arange(100) < 50, thermal.shape)
    assert not (edges_over(rgb, Aligned(thermal, valid)) == (255, 0, 0)).all(-1).any()


def test_the_grid_holds_every_pair():
    pairs, depths = streets()
    aligner = Aligner(rig(), AlignmentSettings("depth"))
    assert edge_grid(aligner, pairs, depths).shape == (240, 644, 3)
    assert edge_grid(aligner, [*pairs, pairs[0]], [*depths, depths[0]]).shape == (484, 644, 3)
