"""Temperatures in the pixels of the RGB image."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, default_rig, render_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.points.temperature import Thermometer, kelvin_image
from rgbt_seg_ros.pipeline.thermal.scales import PRESETS

CENTIKELVIN = PRESETS["centikelvin"].scale


def test_without_a_calibration_the_nearest_thermal_pixel_counts():
    thermal = np.array([[30000, 29000], [28000, 31000]], np.uint16)
    found = kelvin_image(thermal, CENTIKELVIN, Aligner(None, AlignmentSettings("none")), (4, 4))
    np.testing.assert_allclose(found[:2, :2], 300.0)
    np.testing.assert_allclose(found[2:, 2:], 310.0)


def test_each_mode_shows_where_its_calibration_says():
    rig = default_rig()
    rig = replace(rig, rgb=rig.rgb.scaled((120, 160)), thermal=rig.thermal.scaled((128, 160)))
    scene = render_rig(rig, box_surfaces(2))
    thermal = scene.thermal.astype(np.uint16) * 10 + 29000
    truth = 290 + 0.1 * scene.aligned
    depth = kelvin_image(thermal, CENTIKELVIN, Aligner(rig, AlignmentSettings("depth")), (120, 160), scene.depth)
    known = np.isfinite(depth)
    assert 0.5 < known.mean() < 1
    assert np.median(np.abs(depth - truth)[known]) < 0.5
    plane = kelvin_image(thermal, CENTIKELVIN, Aligner(rig, AlignmentSettings("plane")), (120, 160))
    far = np.isfinite(plane) & (np.abs(scene.depth - 5) < 1)
    assert np.median(np.abs(plane - truth)[far]) < 1.5


def test_without_what_the_alignment_needs_no_temperature_is_known():
    thermal, size = np.full((4, 4), 30000, np.uint16), (4, 4)
    depth_mode = SimpleNamespace(waiting_for="", mode="depth")
    waiting = SimpleNamespace(waiting_for="camera_info", mode="plane")
    ready = Aligner(None, AlignmentSettings("none"))
    thermometer = Thermometer()
    assert thermometer.image(None, CENTIKELVIN, ready, size, None) is None
    assert thermometer.image(thermal, CENTIKELVIN, depth_mode, size, None) is None
    assert thermometer.image(thermal, CENTIKELVIN, waiting, size, None) is None
    np.testing.assert_allclose(thermometer.image(thermal, CENTIKELVIN, ready, size, None), 300.0)
