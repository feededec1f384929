"""The stretch is to the last bit what its definition gives, the one that the published accuracies were measured with."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.normalise import stretch
from rgbt_seg_ros.pipeline.thermal.stage import ThermalError, ThermalInput, ThermalSettings, normalise, resolve


def by_definition(thermal, low, high):
    """round(255·(v − low)/(high − low)) in float32, half to even."""
    values = np.nan_to_num(thermal.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled = (values - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def percentile_by_definition(thermal, low, high):
    values = thermal[::4, ::4].ravel()
    return by_definition(thermal, *(float(end) for end in np.percentile(values[np.isfinite(values)], (low, high))))


def image_of(dtype, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:96, 0:128]
    smooth = np.sin(rows / (9 + seed)) * np.cos(columns / 13) * 0.35 + 0.5
    span, base = {np.uint8: (255, 0), np.uint16: (1500, 29000), np.float32: (40, 270)}[dtype]
    return (base + span * np.clip(smooth + rng.normal(0, 0.02, smooth.shape), 0, 1)).astype(dtype)


@pytest.mark.parametrize("seed", range(20))
def test_every_16_bit_value_becomes_the_grey_of_the_definition(seed):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    low, high = np.sort(np.random.default_rng(seed).uniform(-100, 70000, 2))
    np.testing.assert_array_equal(stretch(values, (low, high)), by_definition(values, low, high))


def test_values_half_way_between_two_greys_go_to_the_even_one():
    values = np.arange(511, dtype=np.uint16)[None]
    np.testing.assert_array_equal(stretch(values, (0.0, 510.0)), np.rint(values / 2).astype(np.uint8))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("ends", [(1, 99), (0, 100), (2.5, 97)])
def test_percentile_is_to_the_last_bit_its_definition(dtype, ends, seed):
    image = image_of(dtype, seed)
    expected = percentile_by_definition(image, *ends)
    np.testing.assert_array_equal(normalise(image, ThermalSettings("percentile", *ends)), expected)
    stage = ThermalInput(ThermalSettings("percentile", *ends, preset="unknown"), ThermalPreprocessing())
    np.testing.assert_array_equal(stage(image, 5).image, expected)


@pytest.mark.parametrize("trained_with", [ThermalPreprocessing(), ThermalPreprocessing("percentile", 2, 98)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_stage_by_default_gives_what_training_and_evaluation_give(dtype, trained_with):
    stage = ThermalInput(ThermalSettings(), trained_with)
    for seed in range(3):
        image = image_of(dtype, seed)
        of_training = normalise(image, resolve(ThermalSettings(), trained_with, image.dtype))
        np.testing.assert_array_equal(stage(image, seed).image, of_training)


def test_what_is_not_finite_is_left_out_of_the_bounds_and_black_or_white():
    image = image_of(np.float32, 0)
    image[0, 0], image[0, 4], image[0, 8] = np.nan, np.inf, -np.inf
    result = normalise(image, ThermalSettings("percentile", 1, 99))
    np.testing.assert_array_equal(result, percentile_by_definition(image, 1, 99))
    assert result[0, [0, 4, 8]].tolist() == [0, 255, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_clahe_lifts_the_contrast_of_a_dim_corner(dtype):
    image = image_of(dtype, 1).astype(np.float32)
    image[:48, :64] = image[:48, :64] * 0.02 + image.min()
    image = image.astype(dtype)
    plain = normalise(image, ThermalSettings("percentile"))
    lifted = normalise(image, ThermalSettings("clahe", clahe_clip=4.0))
    assert lifted.dtype == np.uint8
    assert lifted[:40, :56].std() > 1.5 * plain[:40, :56].std()


def test_the_contrast_limit_limits():
    image = image_of(np.uint16, 2)
    weak, strong = (normalise(image, ThermalSettings("clahe", clahe_clip=clip)) for clip in (0.1, 20.0))
    assert strong[:12, :16].std() > weak[:12, :16].std()


@pytest.mark.parametrize("clip", [0.0, -1.0, float("inf")])
def test_a_wrong_contrast_limit_is_refused(clip):
    with pytest.raises(ThermalError, match=r"^clahe_clip"):
        ThermalSettings("clahe", clahe_clip=clip)
