"""Clouds painted with masks: the right pixel, what hides what, and several cameras."""

from __future__ import annotations

import numpy as np
import points as judge_of_points
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig, render_rig
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse, transform_from
from rgbt_seg_ros.pipeline.points.hidden import gaps
from rgbt_seg_ros.pipeline.points.paint import Paint, PaintedPoints, PointProjector

RIG = default_rig()
SIZE = RIG.rgb.size


def columns(points):
    return [np.ascontiguousarray(points[:, axis]) for axis in range(3)]


def paint_of(label):
    return Paint(label, np.full(label.shape, 9, np.uint8), label.astype(np.uint32) * 3, label + np.float32(280))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_point_takes_the_pixel_that_sees_it_through_lens_and_extrinsic(dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, SIZE[0] * SIZE[1], 500)
    seen_from = rays(RIG.rgb, pixel_grid(SIZE)).reshape(-1, 3)[pixels] * rng.uniform(2, 2.2, (500, 1))
    transform = transform_from((0.3, -0.2, 0.1), (0.0, 0.1, 0.0, 0.995))
    back = inverse(transform)
    own = (seen_from @ back[:3, :3].T + back[:3, 3]).astype(dtype)
    label = rng.integers(0, 9, SIZE, dtype=np.uint8)
    seen = PointProjector(RIG.rgb).see(*columns(own), transform, label, occlusion=False)
    np.testing.assert_array_equal(seen.points, np.arange(500))
    np.testing.assert_array_equal(seen.pixels, pixels)


def test_points_behind_the_camera_outside_the_image_or_not_finite_are_not_seen():
    points = np.array(
        [(0, 0, 2), (0, 0, -2), (9, 0, 2), (0, -9, 2), (np.nan, 0, 2), (0, 0, np.inf), (0, 0, 0), (0, 0, np.nan)],
        np.float32,
    )
    seen = PointProjector(RIG.rgb).see(*columns(points), np.eye(4), np.zeros(SIZE, np.uint8))
    np.testing.assert_array_equal(seen.points, [0])


def test_no_points_are_no_error():
    empty = [np.zeros(0, np.float32)] * 3
    assert len(PointProjector(RIG.rgb).see(*empty, np.eye(4), np.zeros(SIZE, np.uint8)).points) == 0


def two_walls(step=12):
    """A wall at 6 m in every second pixel, and a board at 2 m in front of its middle with gaps of ``step`` rows."""
    grid = rays(RIG.rgb, pixel_grid(SIZE))
    far, near = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    far[::4, ::2] = True
    near[100:380:step, 200:440:2] = True
    points = np.concatenate((grid[far] * 6, grid[near] * 2)).astype(np.float32)
    label = np.zeros(SIZE, np.uint8)
    label[100:380, 200:440] = 1
    rows, cols = np.nonzero(far)
    behind = (rows >= 100) & (rows < 380) & (cols >= 200) & (cols < 440)
    return points, label, np.flatnonzero(behind), int(far.sum())


def test_what_lies_behind_a_thing_does_not_take_its_label_through_the_gaps_between_lines():
    points, label, behind, far = two_walls()
    seen = PointProjector(RIG.rgb).see(*columns(points), np.eye(4), label)
    painted = np.isin(np.arange(len(points)), seen.points)
    assert painted[behind].mean() < 0.02
    assert painted[far:].all(), "the board itself is seen"
    assert painted[np.setdiff1d(np.arange(far), behind)].all(), "what lies beside it is seen"


def test_a_lidar_beside_the_camera_paints_right_and_hides_what_is_hidden():
    surfaces, place = judge_of_points.surfaces_of(1), np.array((0.1, 0.0, 0.0))
    scene, lidar = render_rig(RIG, surfaces), judge_of_points.scan(surfaces, place)
    inside, painted = judge_of_points.paint_scan(RIG, scene, lidar, place)
    table, score = np.array([surface.label for surface in surfaces], np.uint8), judge_of_points.Score()
    score.add(painted[inside], table[lidar.surface[inside]], lidar.points[inside], surfaces)
    assert score.behind > 100
    assert score.smeared <= 0.01 * score.behind
    assert score.right >= 0.97 * score.painted
    # What is left out in doubt is not wrong, but missing.
    assert score.painted >= 0.93 * score.visible


def test_a_second_camera_paints_only_what_the_first_has_not_seen():
    points = np.array([(0, 0, 2), (0.05, 0, 2), (0, 0, -2)], np.float32)
    first, second = np.full(SIZE, 1, np.uint8), np.full(SIZE, 2, np.uint8)
    projector, around = PointProjector(RIG.rgb), np.diag((-1.0, 1.0, -1.0, 1.0))
    painted = PaintedPoints(3, temperature=True)
    np.testing.assert_array_equal(painted.painted.label, [255, 255, 255])
    assert np.isnan(painted.painted.temperature).all()
    painted.add(projector.see(*columns(points[:1]), np.eye(4), first), paint_of(first))
    painted.add(projector.see(*columns(points), np.eye(4), second), paint_of(second))
    painted.add(projector.see(*columns(points), around, first), paint_of(first))
    np.testing.assert_array_equal(painted.painted.label, [1, 2, 1])
    np.testing.assert_array_equal(painted.painted.confidence, [9, 9, 9])
    np.testing.assert_array_equal(painted.painted.rgb, [3, 6, 3])
    np.testing.assert_array_equal(painted.painted.temperature, [281, 282, 281])
    assert painted.seen.all()


def test_the_gaps_of_a_lidar_are_measured_along_both_axes():
    row, column = (part.ravel() for part in np.meshgrid(np.arange(0, 480, 12), np.arange(0, 640, 4), indexing="ij"))
    assert gaps(column, row, SIZE) == (4.0, 12.0)


def test_the_ground_hides_nothing_of_itself():
    directions = rays(RIG.rgb, pixel_grid(SIZE)).reshape(-1, 3)
    down = directions[directions[:, 1] > 0.08]
    points = (down * (1.2 / down[:, 1:2])).astype(np.float32)
    points = points[np.random.default_rng(0).permutation(len(points))[:40_000]]
    seen = PointProjector(RIG.rgb).see(*columns(points), np.eye(4), np.zeros(SIZE, np.uint8))
    assert len(seen.points) > 0.99 * len(points)
