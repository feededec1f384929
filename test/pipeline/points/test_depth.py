"""Points of depth images against the surfaces that they were made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig, plane_surfaces, render_rig
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.pipeline.points.depth import DepthPoints


def small(**changes):
    rig = default_rig()
    turned = (0.9998, 0.02, 0.0, -0.02, 0.9998, 0.0, 0.0, 0.0, 1.0)
    return replace(rig, rgb=replace(rig.rgb.scaled((60, 80)), r=turned), **changes)


@pytest.mark.parametrize("depth_pixels", ["raw", "rectified"])
@pytest.mark.parametrize("metres", [False, True])
def test_points_lie_on_the_plane_and_project_onto_their_pixels(depth_pixels, metres):
    rig = small(depth_pixels=depth_pixels)
    scene = render_rig(rig, plane_surfaces(3.0))
    depth = scene.depth if metres else np.rint(scene.depth * 1000).astype(np.uint16)
    points = np.stack(DepthPoints(rig.rgb, depth_pixels).planes(depth), -1)
    found = np.isfinite(points[..., 2])
    assert found.mean() > 0.9
    np.testing.assert_allclose(points[found][:, 2], 3.0, atol=2e-3)
    pixels = project(rig.rgb, points.astype(np.float64))
    row, column = np.nonzero(found)
    np.testing.assert_allclose(pixels[found], np.stack((column, row), 1), atol=0.01)


def test_pixels_without_depth_have_no_point():
    rig = small(depth_pixels="raw")
    depth = np.full(rig.rgb.size, 2.0, np.float32)
    depth[0, :4] = (0.0, np.nan, np.inf, -1.0)
    x, y, z = DepthPoints(rig.rgb, "raw").planes(depth)
    for plane in (x, y, z):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(plane)), [0, 1, 2, 3])


def test_a_depth_image_of_another_size_is_refused():
    rig = small()
    with pytest.raises(AlignmentError, match="30x40"):
        DepthPoints(rig.rgb, "raw").planes(np.ones((30, 40), np.float32))


def test_a_mask_that_runs_over_an_edge_leaves_no_point_behind_the_thing():
    rig = small(depth_pixels="raw")
    depth = np.full((60, 80), 8.0, np.float32)
    depth[20:40, 30:50] = 2.0
    label = np.zeros((60, 80), np.uint8)
    # Two pixels too far on the right, none on the left.
    label[20:40, 30:52] = 1
    points = DepthPoints(rig.rgb, "raw")
    lost = np.isnan(points.planes(depth, label)[2])
    assert np.array_equal(np.nonzero(lost)[1].reshape(20, 2), np.full((20, 2), (50, 51)))
    assert not np.isnan(points.planes(depth)[2]).any()


def test_a_surface_at_a_slant_keeps_its_points():
    rig = small(depth_pixels="raw")
    # The ground 1 m below the camera, below the horizon.
    focal, middle = rig.rgb.k[4], rig.rgb.k[5]
    row = np.arange(60, dtype=np.float32)[:, None] * np.ones((1, 80), np.float32)
    depth = np.where(row > middle + 5, focal / np.maximum(row - middle, 1), 0).astype(np.float32)
    planes = DepthPoints(rig.rgb, "raw").planes(depth, np.zeros((60, 80), np.uint8))
    np.testing.assert_array_equal(np.isfinite(planes[2]), depth > 0)
