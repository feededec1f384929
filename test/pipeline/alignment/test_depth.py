"""Mode depth on a rig whose geometry is known: positions, pictures, what is hidden, and pixels without depth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, default_rig, plane_surfaces, render_rig
from rgbt_seg_ros.benchmark.rig.rig_surfaces import Box, Wall
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat

LENSES = ["plumb_bob", "rational_polynomial", "equidistant"]


def small(rig: Calibration, factor: int = 2) -> Calibration:
    """The rig at half its resolution, which is quicker to render."""
    (h, w), (a, b) = rig.rgb.size, rig.thermal.size
    return replace(
        rig, rgb=rig.rgb.scaled((h // factor, w // factor)), thermal=rig.thermal.scaled((a // factor, b // factor))
    )


@lru_cache
def boxes(lens: str = "equidistant", depth_pixels: str = "raw", seed: int = 3):
    rig = replace(small(default_rig(lens)), depth_pixels=depth_pixels)
    return rig, render_rig(rig, box_surfaces(seed))


def test_rectified_images_of_both_cameras_are_aligned_as_well_as_raw_ones():
    matrix = (220.0, 0.0, 150.0, -7.0, 0.0, 220.0, 125.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    turn = flat(cv2.Rodrigues(np.array((0.01, -0.03, 0.02)))[0])
    rig = small(default_rig())
    rig = replace(
        rig,
        rgb=replace(rig.rgb, rectified=True, r=turn, p=matrix),
        thermal=replace(rig.thermal, rectified=True, p=matrix),
    )
    scene = render_rig(rig, box_surfaces(3))
    plane = render_rig(rig, plane_surfaces(5.0))
    aligned = Aligner(rig, AlignmentSettings("plane")).align(plane.thermal, rig.rgb.size)
    valid = np.ones(rig.rgb.size, bool) if aligned.valid is None else aligned.valid
    assert valid.mean() > 0.8
    assert np.abs(aligned.image.astype(int) - plane.aligned)[valid].max() <= 2
    x, y, seen = Aligner(rig, AlignmentSettings("depth")).warp(rig.rgb.size).positions(scene.depth)[:3]
    errors = np.hypot(x - scene.positions[..., 0], y - scene.positions[..., 1])[seen]
    assert seen.mean() > 0.75
    assert errors.max() < 0.01


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("depth_pixels", ["raw", "rectified"])
def test_depth_is_within_a_pixel_everywhere(lens, depth_pixels):
    rig, scene = boxes(lens, depth_pixels)
    x, y, valid = Aligner(rig, AlignmentSettings("depth")).warp(rig.rgb.size).positions(scene.depth)[:3]
    errors = np.hypot(x - scene.positions[..., 0], y - scene.positions[..., 1])[valid]
    assert np.median(errors) < 0.01
    # Of rectified pixels a raw one takes the nearest, which beside an edge may be the other side's.
    assert np.percentile(errors, 99) < 0.2
    assert valid.mean() > 0.9


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_no_foreground_is_seen_on_what_it_hides(seed):
    """Whatever RGB shows and thermal cannot see is invalid, but for a rim of one pixel beside what both see."""
    rig, scene = boxes(seed=seed)
    aligned = Aligner(rig, AlignmentSettings("depth")).align(scene.thermal, rig.rgb.size, scene.depth)
    hidden = ~scene.visible
    assert hidden.sum() > 300
    core = cv2.erode(hidden.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert core.sum() > 50
    assert not aligned.valid[core].any()
    assert (aligned.valid & hidden).sum() < 0.001 * hidden.size
    # And what both see is kept.
    assert (aligned.valid & scene.visible).sum() > 0.99 * scene.visible.sum()


def test_what_is_hidden_continues_what_lies_behind_and_not_what_hides_it():
    """A warm box before a cold wall: the network sees wall in the gap, in either order of the cameras."""
    rig = small(default_rig())
    for sign in (1, -1):
        moved = rig.extrinsic.copy()
        moved[:3, 3] *= sign
        pair = replace(rig, t_rgb_thermal=flat(moved), depth_pixels="raw")
        wall = Wall((0.0, 0.0, 9.0), (0.0, 0.0, -1.0), 0, 60.0, (0, 0, 0), 0)
        scene = render_rig(pair, [wall, Box((0.0, 0.0, 2.0), (0.3, 0.3, 0.1), 0.2, 1, 220.0, (0, 0, 0), 1)])
        aligned = Aligner(pair, AlignmentSettings("depth")).align(scene.thermal, pair.rgb.size, scene.depth, fill=130)
        gap = ~aligned.valid & (scene.label == 0)
        gap[:, :20] = gap[:, -20:] = False
        gap[:10] = gap[-10:] = False
        assert gap.sum() > 300
        assert (aligned.image[gap] < 90).mean() > 0.98


def test_the_z_buffer_is_what_removes_the_ghosts():
    rig, scene = boxes()
    warp = Aligner(rig, AlignmentSettings("depth")).warp(rig.rgb.size)
    core = cv2.erode((~scene.visible).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    warp._nearer = None
    with_ghosts = warp.positions(scene.depth)[2]
    assert with_ghosts[core].sum() > 100


def test_depth_gives_the_picture_of_a_thermal_camera_in_the_rgb_cameras_place():
    rig, scene = boxes()
    valid_by = {}
    for mode in ("depth", "plane", "none"):
        calibration = None if mode == "none" else rig
        aligned = Aligner(calibration, AlignmentSettings(mode)).align(scene.thermal, rig.rgb.size, scene.depth)
        valid = scene.visible if aligned.valid is None else aligned.valid & scene.visible
        valid_by[mode] = np.abs(aligned.image.astype(int) - scene.aligned)[valid].mean()
    assert valid_by["depth"] < 1.5
    assert valid_by["plane"] > 3 * valid_by["depth"]
    assert valid_by["none"] > 2 * valid_by["plane"]


@pytest.mark.parametrize("depth_pixels", ["raw", "rectified"])
def test_millimetres_and_metres_are_one_thing(depth_pixels):
    rig, scene = boxes(depth_pixels=depth_pixels)
    aligner = Aligner(rig, AlignmentSettings("depth"))
    millimetres = np.rint(scene.depth * 1000).astype(np.uint16)
    one = aligner.align(scene.thermal, rig.rgb.size, millimetres)
    two = aligner.align(scene.thermal, rig.rgb.size, (millimetres * np.float32(0.001)).astype(np.float32))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.valid, two.valid)


@pytest.mark.parametrize("hole", [0.0, np.nan, np.inf, -1.0])
def test_without_depth_a_pixel_is_invalid_or_at_the_distance_that_stands_in(hole):
    rig = replace(small(default_rig()), depth_pixels="raw")
    wall = render_rig(rig, plane_surfaces(5.0))
    depth = wall.depth.copy()
    depth[80:120, 100:200] = hole
    bare = Aligner(rig, AlignmentSettings("depth")).align(wall.thermal, rig.rgb.size, depth, fill=7)
    assert not bare.valid[82:118, 102:198].any()
    assert (bare.image[82:118, 102:198] == 7).all()
    assert bare.valid[40:78].all()
    stood_in = Aligner(rig, AlignmentSettings("depth", depth_missing=5.0)).align(wall.thermal, rig.rgb.size, depth)
    assert stood_in.valid[20:-20, 20:-20].all()
    assert np.abs(stood_in.image.astype(int) - wall.aligned)[20:-20, 20:-20].max() <= 2


def test_a_wall_hides_no_part_of_itself_even_at_a_grazing_angle_or_with_noise():
    rig = small(default_rig())
    rows = np.arange(rig.rgb.size[0])[:, None]
    ground = np.broadcast_to(np.where(rows > 130, 280 * 1.2 / np.maximum(rows - 118, 1), 0), rig.rgb.size)
    noisy = ground * (1 + np.random.default_rng(0).normal(size=ground.shape) * 0.01)
    for depth, share in ((ground, 0.999), (noisy, 0.98)):
        _, _, valid = (
            Aligner(rig, AlignmentSettings("depth")).warp(rig.rgb.size).positions(depth.astype(np.float32))[:3]
        )
        assert valid[135:-25, 30:-30].mean() > share


@pytest.mark.parametrize("size", [(120, 160), (480, 640), (160, 160)])
def test_depth_at_the_networks_size_shows_the_same_view(size):
    rig, scene = boxes()
    aligned = Aligner(rig, AlignmentSettings("depth")).align(scene.thermal, size, scene.depth)
    assert aligned.image.shape == aligned.valid.shape == size
    truth = cv2.resize(scene.aligned, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    errors = np.abs(aligned.image.astype(int) - truth)[aligned.valid]
    assert np.median(errors) <= 2
    assert (errors > 25).mean() < 0.05
    assert aligned.valid.mean() > 0.88
