"""What one look at a picture tells."""

from __future__ import annotations

from dataclasses import asdict

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.pipeline.health.picture import digest, look_at


def scene(size=(96, 128), seed=0, dtype=np.uint8, scale=1.0):
    """Return a picture with shapes in it, and a little noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 200, (6, 8)).astype(np.float32)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC) + rng.normal(0, 3, size)
    return (np.clip(image, 0, 255) * scale).astype(dtype)


@pytest.mark.parametrize("image", [scene(), scene((7, 9)), scene(dtype=np.uint16, scale=50), scene(dtype=np.float32)])
def test_one_pixel_changes_the_digest_wherever_it_is(image):
    for where in [(0, 0), (image.shape[0] // 2, 3), (-1, -1)]:
        changed = image.copy()
        changed[where] += 1
        assert digest(changed) != digest(image)
    assert digest(image.copy()) == digest(image)


def test_a_bar_that_moves_down_or_across_a_blank_picture_changes_the_digest():
    seen = set()
    for row in range(40, 60):
        image = np.full((480, 640), 90, np.uint8)
        image[row, 100:200] = 200
        seen |= {digest(image), digest(image.T)}
    assert len(seen) == 40


def test_a_picture_that_is_no_contiguous_array_is_told_like_its_copy():
    image = np.dstack([scene((100, 130))] * 3)
    assert look_at(image[2:98, 2:, ::-1]) == look_at(image[2:98, 2:, ::-1].copy())


def test_a_scene_has_detail_and_noise_has_none_at_480x640_and_at_small_sizes():
    rng = np.random.default_rng(1)
    for size in [(480, 640), (96, 128), (24, 32)]:
        facts = look_at(scene(size))
        assert facts.detail > 20
        noise = look_at(np.clip(rng.normal(100, 10, size), 0, 255).astype(np.uint8))
        assert noise.noise == pytest.approx(10, rel=0.15)
        assert noise.detail < 0.25 * noise.noise


def test_level_peak_and_saturated_share_are_in_the_units_of_the_image():
    image = np.full((96, 128), 1000, np.uint16)
    image[:48] = 16383
    facts = look_at(image)
    assert (facts.dtype, facts.saturated, facts.uniform) == ("uint16", 0.5, False)
    assert facts.level == pytest.approx((1000 + 16383) / 2)
    assert facts.detail == pytest.approx((16383 - 1000) / 2, rel=0.02)
    dark = np.zeros((96, 128, 3), np.uint8)
    dark[48:60, 60:72] = 255
    assert look_at(dark).peak > 200


def test_pixels_without_a_value_count_for_nothing():
    image = scene(dtype=np.float32)
    holed = image.copy()
    holed[::7, ::5] = np.nan
    holed[3, 3] = np.inf
    whole, told = look_at(image), look_at(holed)
    assert all(np.isfinite(value) for value in asdict(told).values() if not isinstance(value, str))
    assert told.level == pytest.approx(whole.level, rel=0.01)
    assert look_at(np.full((20, 30), np.nan, np.float32)).uniform


def test_a_few_odd_pixels_leave_a_picture_uniform():
    image = np.full((480, 640), 7, np.uint8)
    image[::40, ::90] = 90
    assert look_at(image).uniform
    assert not look_at(scene()).uniform


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (9, 700)])
def test_pictures_of_any_size_can_be_looked_at(size):
    rng = np.random.default_rng(0)
    for image in (rng.integers(0, 255, (*size, 3), np.uint8), rng.random(size)):
        assert look_at(image).noise >= 0
