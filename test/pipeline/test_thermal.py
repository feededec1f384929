"""Thermal scaling: every depth to 8 bits, monotone, saturating, and refused where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal import ThermalError, ThermalSettings, normalise, resolve

RAMP = np.linspace(29000, 31000, 64 * 64).astype(np.uint16).reshape(64, 64)


def test_eight_bit_pictures_pass_without_a_copy():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.shares_memory(normalise(image, ThermalSettings("none")), image)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_percentile_stretches_to_the_whole_band_and_keeps_the_order(dtype):
    result = normalise(RAMP.astype(dtype), ThermalSettings("percentile", 1, 99))
    assert result.min() == 0
    assert result.max() == 255
    assert (np.diff(result.ravel().astype(int)) >= 0).all()


def test_fixed_range_is_in_raw_units_and_saturates():
    image = np.array([[0, 29000, 30000, 31000, 65535]], np.uint16)
    result = normalise(image, ThermalSettings("fixed", 29000, 31000))
    assert result.tolist() == [[0, 0, 128, 255, 255]]


def test_minmax_uses_the_finite_values_only():
    image = np.array([[np.nan, 1.0, 2.0, np.inf, -np.inf]], np.float32)
    assert normalise(image, ThermalSettings("minmax")).tolist() == [[0, 0, 255, 255, 0]]


def test_one_hot_pixel_does_not_take_the_contrast():
    image = RAMP.copy()
    image[5, 5] = 65535
    result = normalise(image, ThermalSettings("percentile"))
    assert np.median(result) == pytest.approx(127, abs=8)


@pytest.mark.parametrize("image", [np.full((8, 8), 7, np.uint16), np.full((8, 8), np.nan, np.float32)])
@pytest.mark.parametrize("method", ["percentile", "minmax"])
def test_an_image_without_contrast_comes_out_as_zero(image, method):
    assert not normalise(image, ThermalSettings(method)).any()


def test_auto_follows_the_model_and_stretches_what_is_deeper_than_it_knows():
    auto = ThermalSettings()
    assert resolve(auto, ThermalPreprocessing("fixed", 1, 2), np.dtype(np.uint16)) == ThermalSettings("fixed", 1, 2)
    assert resolve(auto, ThermalPreprocessing(), np.dtype(np.uint8)).normalisation == "none"
    assert resolve(auto, ThermalPreprocessing(), np.dtype(np.uint16)).normalisation == "percentile"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (("otsu",), "otsu"),
        (("percentile", 99, 1), "low < high"),
        (("percentile", -1, 99), "percentages"),
        (("fixed", 5, 5), "low < high"),
    ],
)
def test_wrong_settings_name_what_is_legal(settings, word):
    with pytest.raises(ThermalError, match=word):
        ThermalSettings(*settings)


def test_wrong_images_are_refused():
    with pytest.raises(ThermalError, match="8-bit images only"):
        normalise(RAMP, ThermalSettings("none"))
    with pytest.raises(ThermalError, match="float64"):
        normalise(RAMP.astype(np.float64), ThermalSettings("minmax"))
    with pytest.raises(ThermalError, match="resolved"):
        normalise(RAMP, ThermalSettings())
