"""The rigs of known truth: both pictures, labels, depth and positions tell one story."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import CAMERA_HEIGHT, box_surfaces, default_rig, plane_surfaces, render_rig
from rgbt_seg_ros.benchmark.rig.rig_surfaces import Box, Wall, cast
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rig_street import render_street_rig


def small_rig():
    rig = default_rig()
    return replace(rig, rgb=rig.rgb.scaled((120, 160)), thermal=rig.thermal.scaled((128, 160)), depth_pixels="raw")


def test_rays_meet_a_wall_and_a_box_where_they_should():
    wall = Wall((0.0, 0.0, 4.0), (0.0, 0.0, -1.0), 0, 0.0, (0, 0, 0), 0)
    box = Box((0.0, 0.0, 3.0), (0.5, 0.5, 0.5), 0.0, 1, 0.0, (0, 0, 0), 0)
    turned = replace(box, turn=np.pi / 4)
    ahead, aside, away = (0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, -1.0)
    hits = cast([wall, box], np.zeros(3), np.array((ahead, aside, away)))
    assert hits.distance.tolist() == [2.5, 4.0, np.inf]
    assert hits.surface[:2].tolist() == [1, 0]
    assert turned.meet(np.zeros(3), np.array(ahead)) == pytest.approx(3 - np.sqrt(0.5))


def test_a_visible_point_has_its_own_label_and_warmth_in_the_thermal_image():
    rig, surfaces = small_rig(), box_surfaces(3)
    scene = render_rig(rig, surfaces)
    assert len(np.unique(scene.label)) >= 4
    position = np.rint(np.nan_to_num(scene.positions)).astype(int)
    column, row = np.clip(position[..., 0], 0, 159), np.clip(position[..., 1], 0, 127)
    inner = cv2.morphologyEx(scene.label, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) == 0
    compared = scene.visible & inner
    assert (scene.thermal_label[row, column] == scene.label)[compared].mean() > 0.995
    # The texture's waves are short beside a pixel of this small image far away, so the median is asked.
    assert np.median(np.abs(scene.thermal[row, column].astype(int) - scene.aligned)[compared]) <= 3


def test_what_is_hidden_shows_another_surface_there_or_lies_outside():
    scene = render_rig(small_rig(), box_surfaces(3))
    height, width = scene.thermal.shape
    position = scene.positions[~scene.visible]
    inside = (position > 1).all(-1) & (position[:, 0] < width - 2) & (position[:, 1] < height - 2)
    row, column = (np.rint(position[inside][:, axis]).astype(int) for axis in (1, 0))
    assert inside.sum() > 50
    assert (scene.thermal_label[row, column] > 0).mean() > 0.9


def test_depth_is_along_the_axis_of_the_pixels_it_belongs_to():
    rig = small_rig()
    np.testing.assert_allclose(render_rig(rig, plane_surfaces(5.0)).depth, 5.0, rtol=1e-6)
    turn = cv2.Rodrigues(np.array((0.0, 0.1, 0.0)))[0]
    turned = replace(rig, rgb=replace(rig.rgb, r=flat(turn)), depth_pixels="rectified")
    depth = render_rig(turned, plane_surfaces(5.0)).depth
    # The rectified camera looks to one side: on the wall it faces, distance changes linearly in 1/z across the image.
    inverse = 1 / depth[60]
    np.testing.assert_allclose(np.diff(inverse), np.diff(inverse).mean(), rtol=1e-2)
    assert abs(np.diff(inverse).mean()) > 1e-5


def test_boxes_stand_on_the_ground():
    for box in box_surfaces(0)[2:]:
        assert box.place[1] + box.shape[1] == pytest.approx(CAMERA_HEIGHT)


def test_a_lens_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="thermal lens 'fov': expected one of plumb_bob"):
        default_rig("fov")


def test_a_street_is_the_same_each_time_and_depth_aligns_it():
    rig = small_rig()
    scene, again = (render_street_rig(rig, 900, 2) for _ in range(2))
    for one, two in ((scene.rgb, again.rgb), (scene.thermal, again.thermal), (scene.depth, again.depth)):
        np.testing.assert_array_equal(one, two)
    assert scene.rgb.shape == (120, 160, 3)
    assert scene.thermal.shape == (128, 160)
    assert len(np.unique(scene.label)) > 2
    aligned = Aligner(rig, AlignmentSettings("depth")).align(scene.thermal, (120, 160), scene.depth)
    plain = cv2.resize(scene.thermal, (160, 120))
    errors = [np.abs(image.astype(int) - scene.aligned)[aligned.valid].mean() for image in (aligned.image, plain)]
    assert errors[0] < 0.5 * errors[1]
