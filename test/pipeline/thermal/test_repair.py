"""Pixels without a measurement: NaN, Inf and dead ones are found, counted and filled, and real objects are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.repair import FILL_PASSES, fill, find_dead, replace_dead
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

HEIGHT, WIDTH = 120, 160


def scene(dtype=np.uint16, noise=4.0, seed=0):
    """A wall with a gradient, warm bodies seen through a lens, and noise of the sensor."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = 7800 + 1.5 * rows + 40 * np.sin(columns / 15)
    for _ in range(6):
        row, column = rng.integers(10, HEIGHT - 10), rng.integers(10, WIDTH - 10)
        image[row : row + rng.integers(3, 20), column : column + rng.integers(3, 12)] = 8300
    return (cv2.GaussianBlur(image, (5, 5), 0.7) + rng.normal(0, noise, image.shape)).astype(dtype)


def take(image, **values):
    return ThermalInput(ThermalSettings(**values), ThermalPreprocessing("percentile", 1, 99))(image)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("value", [0, 16383])
def test_isolated_stuck_pixels_are_found_at_the_rim_too(dtype, value):
    image = scene(dtype)
    where = {(0, 0), (0, 80), (60, WIDTH - 1), (HEIGHT - 1, WIDTH - 1), (50, 50), (90, 23)}
    for row, column in where:
        image[row, column] = value
    rows, columns = find_dead(image)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == where


@pytest.mark.parametrize("seed", range(5))
def test_no_pixel_of_a_sound_sensor_is_called_dead(seed):
    assert len(find_dead(scene(seed=seed))[0]) == 0
    assert len(find_dead(scene(noise=60, seed=seed))[0]) == 0
    flat = np.random.default_rng(seed).normal(8000, 5, (HEIGHT, WIDTH)).astype(np.uint16)
    assert len(find_dead(flat)[0]) == 0


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_a_distant_hot_point_seen_through_a_lens_is_not_dead(shift):
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    point = 8000 * np.exp(-((rows - 60 - shift) ** 2 + (columns - 80) ** 2) / (2 * 0.6**2))
    image = (scene() + point).astype(np.uint16)
    assert len(find_dead(image)[0]) == 0


def test_a_dead_pixel_gets_a_value_of_its_neighbours_and_no_other_pixel_changes():
    sound = scene()
    image = sound.copy()
    image[50, 50] = 16383
    repaired = replace_dead(image, find_dead(image))
    around = np.delete(sound[49:52, 49:52].ravel(), 4)
    assert repaired[50, 50] in np.sort(around)[3:5]
    repaired[50, 50] = sound[50, 50]
    np.testing.assert_array_equal(repaired, sound)
    assert image[50, 50] == 16383


def test_dead_pixels_are_repaired_and_counted_where_asked_for():
    image = scene()
    image[30, 40], image[70, 90] = 0, 16383
    frame = take(image, repair="dead")
    assert frame.dead == 2
    assert frame.image[70, 90] < 255
    assert frame.image[30, 40] > 0
    left = take(image)
    assert (left.dead, left.image[30, 40], left.image[70, 90]) == (0, 0, 255)


def test_holes_have_the_mean_of_their_measured_neighbours():
    image = np.arange(25, dtype=np.float32).reshape(5, 5)
    image[0, 0] = image[2, 2] = np.nan
    repaired = fill(image, np.isnan(image))
    assert repaired[2, 2] == pytest.approx(12)
    assert repaired[0, 0] == pytest.approx((1 + 5 + 6) / 3)
    measured = ~np.isnan(image)
    np.testing.assert_array_equal(repaired[measured], image[measured])


def test_holes_close_from_the_rim_and_large_ones_stay_open():
    image = np.full((60, 60), 300, np.float32)
    image[5 : 5 + 2 * FILL_PASSES, 5:50] = np.inf
    image[20:50, 20:50] = np.nan
    repaired = fill(image, ~np.isfinite(image))
    assert (repaired[5 : 5 + 2 * FILL_PASSES, 5:50] == 300).all()
    rim = FILL_PASSES
    assert np.isnan(repaired[20 + rim : 50 - rim, 20 + rim : 50 - rim]).all()
    assert np.isnan(repaired).sum() == (30 - 2 * rim) ** 2


def test_non_finite_pixels_are_counted_filled_and_do_not_touch_the_stretch():
    image = scene(np.float32)
    whole = take(image)
    image[10, 10], image[20, 20], image[30, 30] = np.nan, np.inf, -np.inf
    frame = take(image)
    assert frame.non_finite == 3
    difference = np.abs(frame.image.astype(int) - whole.image)
    assert difference.max() <= 12
    assert np.count_nonzero(difference > 1) <= 3
    open_holes = take(image, repair="none")
    assert open_holes.non_finite == 3
    assert [int(open_holes.image[i, i]) for i in (10, 20, 30)] == [0, 255, 0]


def test_an_image_without_any_measurement_comes_out_as_zero():
    frame = take(np.full((9, 9), np.nan, np.float32), repair="dead", preset="kelvin")
    assert (frame.non_finite, frame.dead, frame.temperature) == (81, 0, None)
    assert not frame.image.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_the_smallest_images_can_be_repaired(shape):
    assert take(np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), repair="dead").dead == 0
