"""Projection against OpenCV's own functions, and the way back."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, project, rays, widest_slope

K = (500.0, 0.0, 320.0, 0.0, 505.0, 240.0, 0.0, 0.0, 1.0)
LENSES = [
    ("plumb_bob", ()),
    ("plumb_bob", (-0.3, 0.1, 0.001, -0.002)),
    ("plumb_bob", (-0.35, 0.15, 0.001, -0.002, -0.02)),
    ("rational_polynomial", (0.21, 0.02, 0.0004, -0.0006, 0.001, 0.45, 0.06, 0.004)),
    ("equidistant", ()),
    ("equidistant", (-0.02, 0.005, -0.001, 0.0002)),
]
POINTS = np.random.default_rng(0).normal(size=(200, 3)) * (0.5, 0.4, 0.2) + (0, 0, 2)


def camera(model: str = "plumb_bob", d: tuple[float, ...] = (), **more: object) -> CameraModel:
    return CameraModel((480, 640), K, model, d, **more)


@pytest.mark.parametrize(("model", "d"), LENSES)
def test_projection_is_that_of_opencv(model, d):
    zero = np.zeros(3)
    if model == "equidistant":
        expected = cv2.fisheye.projectPoints(
            POINTS.reshape(-1, 1, 3), zero, zero, np.reshape(K, (3, 3)), np.array(d or (0.0,) * 4)
        )[0]
    else:
        expected = cv2.projectPoints(POINTS, zero, zero, np.reshape(K, (3, 3)), np.array(d) if d else None)[0]
    np.testing.assert_allclose(project(camera(model, d), POINTS), expected.reshape(-1, 2), atol=1e-9)


@pytest.mark.parametrize(("model", "d"), LENSES)
def test_rays_of_pixels_project_back_to_them(model, d):
    pixels = pixel_grid((480, 640))[::37, ::41]
    there = rays(camera(model, d), pixels)
    assert np.isfinite(there).all()
    np.testing.assert_allclose(project(camera(model, d), there * 3.7), pixels, atol=0.02)


def test_a_rectified_image_is_that_of_r_and_p_without_distortion():
    turn = cv2.Rodrigues(np.array((0.02, -0.05, 0.01)))[0]
    matrix = np.array(((450.0, 0, 310, -45), (0, 450, 250, 0), (0, 0, 1, 0)))
    rectified = camera(
        "plumb_bob", LENSES[2][1], r=tuple(turn.ravel()), p=tuple(matrix.ravel().tolist()), rectified=True
    )
    turned = POINTS @ turn.T
    expected = turned[:, :2] / turned[:, 2:] * 450 + (310, 250)
    np.testing.assert_allclose(project(rectified, POINTS), expected, atol=1e-9)
    np.testing.assert_allclose(rays(rectified, expected), POINTS / POINTS[:, 2:], atol=1e-9)


def test_what_is_behind_the_camera_has_no_pixel():
    assert np.isnan(project(camera(), np.array(((0.1, 0.1, -1.0), (0.0, 0.0, 0.0))))).all()


def test_a_point_far_outside_the_view_does_not_fold_back_into_the_image():
    """k1 alone bends the image back beyond r = 1 / sqrt(-3·k1)."""
    lens = camera("plumb_bob", (-0.3, 0.0, 0.0, 0.0))
    assert widest_slope(lens) == pytest.approx(1 / np.sqrt(0.9), rel=0.01)
    inside, outside = np.array((1.0, 0.0, 1.0)), np.array((1.7, 0.0, 1.0))
    assert np.isfinite(project(lens, inside)).all()
    assert np.isnan(project(lens, outside)).all()
    folded = cv2.projectPoints(outside[None], np.zeros(3), np.zeros(3), np.reshape(K, (3, 3)), np.array(lens.d))[0]
    assert 0 <= folded[0, 0, 0] < 640


@pytest.mark.parametrize("size", [(240, 320), (720, 1280), (480, 640), (96, 160)])
def test_a_scaled_camera_sees_what_the_resized_image_shows(size):
    """A pixel's position moves as cv2.resize moves it: the middle of a pixel stays the middle of its area."""
    original, scaled = camera(*LENSES[2]), camera(*LENSES[2]).scaled(size)
    scale = np.array((size[1] / 640, size[0] / 480))
    np.testing.assert_allclose(project(scaled, POINTS), (project(original, POINTS) + 0.5) * scale - 0.5, atol=1e-9)
    assert scaled.size == size


def test_scaling_there_and_back_is_the_same_camera():
    original = camera(*LENSES[2], p=(*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0))
    back = original.scaled((333, 777)).scaled((480, 640))
    np.testing.assert_allclose(back.k, original.k, atol=1e-9)
    assert replace(back, k=original.k, p=original.p) == original


@pytest.mark.parametrize("count", [12, 14])
@pytest.mark.parametrize("seed", range(3))
def test_thin_prism_and_tilt_project_as_opencv_does(count, seed):
    rng = np.random.default_rng(seed)
    scales = (0.2, 0.1, 1e-3, 1e-3, 0.05, 0.05, 0.03, 0.01, 3e-3, 1e-3, 3e-3, 1e-3, 0.05, 0.05)
    lens = camera("rational_polynomial", tuple(rng.uniform(-1, 1, 14) * scales)[:count])
    points = rng.uniform((-1, -0.8, 2.5), (1, 0.8, 5), (300, 3))
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), lens.matrix, np.array(lens.d))[0][:, 0]
    found = project(lens, points)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(rays(lens, found) * points[:, 2:], points, atol=1e-6)
