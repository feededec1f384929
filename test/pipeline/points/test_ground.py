"""Rays onto the ground, and the feet of obstacles."""

from __future__ import annotations

import numpy as np
import points as judge_of_points
from nav2_tiles import judge, mark

from rgbt_seg_ros.benchmark.rig.rig_scenes import CAMERA_HEIGHT, default_rig, render_rig
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import inverse, transform_from
from rgbt_seg_ros.pipeline.points.ground import GroundPoints, feet, plane_of_frame, plane_of_mount

CAMERA = CameraModel((60, 80), k=(60.0, 0, 39.5, 0, 60.0, 29.5, 0, 0, 1.0))
IS_GROUND = np.arange(256) == 0


def picture(*rows):
    """Labels of a drawing: . ground, # an obstacle, ? unlabeled."""
    return np.array([[{".": 0, "#": 1, "?": 255}[mark] for mark in row] for row in rows], np.uint8)


def standing(*rows):
    label = picture(*rows)
    return ["".join("v" if foot else "-" for foot in row) for row in feet(label == 0, label != 255)]


def test_an_obstacle_gives_only_the_pixels_that_touch_the_ground():
    found = standing("...........", "..###......", "..###..##..", "..###..##..", ".......?#..", "...........")
    assert found == ["-----------", "-----------", "-----------", "--vvv------", "--------v--", "-----------"]


def test_what_reaches_over_the_ground_is_no_foot_and_a_hidden_foot_is_none():
    # An arm on each side, high above the feet of a person in the middle.
    rows = ["." * 13, ".###########.", *[".....###....." for _ in range(8)], "....#####....", "." * 13]
    found = standing(*rows)
    # The hands are the ends of the thing: beside them nothing says where the ground is.
    assert found[-2] == "----vvvvv----"
    assert found[1] == "-vv-------vv-"
    assert standing("...", "###", "###")[1:] == ["---", "---"]


def test_the_ground_lies_where_it_is_and_obstacles_where_they_stand():
    label = np.zeros((60, 80), np.uint8)
    label[20:50, 30:40] = 1
    x, y, z = GroundPoints(CAMERA).planes(label, IS_GROUND, plane_of_mount(1.0, 0.2))
    kept = np.isfinite(z)
    # In a frame that looks level the ground is 1 m below.
    np.testing.assert_allclose((y * np.cos(0.2) + z * np.sin(0.2))[kept], 1.0, atol=1e-5)
    np.testing.assert_array_equal(np.argwhere(kept & (label == 1)), [(49, column) for column in range(30, 40)])
    assert not kept[:20].any(), "above the horizon, and too far away, there is no ground"
    row, column = np.nonzero(kept)
    np.testing.assert_allclose(60 * x[kept] / z[kept] + 39.5, column, atol=1e-3)
    np.testing.assert_allclose(60 * y[kept] / z[kept] + 29.5, row, atol=1e-3)


def test_a_frame_on_the_ground_says_the_same_as_height_and_pitch():
    # base_footprint: x ahead, y left, z up; the camera 1.2 m above it, 0.3 m ahead, looks level.
    base_from_camera = np.eye(4)
    base_from_camera[:3, :3] = ((0, 0, 1), (-1, 0, 0), (0, -1, 0))
    base_from_camera[:3, 3] = (0.3, 0.0, 1.2)
    plane = plane_of_frame(inverse(base_from_camera))
    np.testing.assert_allclose((*plane.normal, plane.height), (0, 1, 0, 1.2), atol=1e-12)
    assert plane_of_frame(inverse(transform_from((0, 0, -1), (0, 0, 0, 1)))) is None


def test_another_plane_takes_the_place_of_the_last_one():
    ground, label = GroundPoints(CAMERA), np.zeros((60, 80), np.uint8)
    low = ground.planes(label, IS_GROUND, plane_of_mount(1.0, 0.3))[2]
    high = ground.planes(label, IS_GROUND, plane_of_mount(2.0, 0.3))[2]
    both = np.isfinite(low) & np.isfinite(high)
    np.testing.assert_allclose(high[both], 2 * low[both], rtol=1e-5)


def test_on_the_rig_nothing_lies_behind_a_thing():
    rig, surfaces = default_rig(), judge_of_points.surfaces_of(1)
    scene = render_rig(rig, surfaces)
    planes = GroundPoints(rig.rgb).planes(scene.label, IS_GROUND, plane_of_mount(CAMERA_HEIGHT, 0.0))
    tiles = mark(np.stack(planes, -1).reshape(-1, 3).astype(np.float64), scene.label.ravel(), {0}, {0, 1, 2, 3, 4, 5})
    verdict = judge(tiles, surfaces)
    assert verdict.free > 2
    assert verdict.lethal > 0.01
    assert verdict.falsely_free < 0.01 * verdict.free
    assert verdict.falsely_lethal < 0.25 * verdict.lethal
