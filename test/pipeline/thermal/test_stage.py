"""Thermal scaling: every depth to 8 bits, monotone, saturating, and refused where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.parameters.table import PARAMETERS, settings_of
from rgbt_seg_ros.pipeline.thermal.stage import ThermalError, ThermalInput, ThermalSettings, normalise, resolve

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
        (("fixed", 5, 5), "^low: 5 is not below high, 5"),
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


def stage(**values):
    return ThermalInput(ThermalSettings(**values), ThermalPreprocessing())


def test_rows_of_telemetry_are_cut_off_and_do_not_touch_the_stretch():
    framed = np.vstack([np.full((2, 64), 65535, np.uint16), RAMP, np.zeros((1, 64), np.uint16)])
    frame = stage(normalisation="minmax", crop_top=2, crop_bottom=1)(framed)
    np.testing.assert_array_equal(frame.image, normalise(RAMP, ThermalSettings("minmax")))
    assert frame.saturated == 0
    assert stage(normalisation="minmax")(framed).saturated == 128


def test_a_crop_of_the_whole_image_is_refused_and_a_negative_one_never_made():
    with pytest.raises(ThermalError, match=r"^crop_top: 40 rows, and 24 of crop_bottom, leave none of the 64"):
        stage(crop_top=40, crop_bottom=24)(RAMP)
    with pytest.raises(ThermalError, match=r"^crop_bottom: -1; expected a number of rows"):
        stage(crop_bottom=-1)


@pytest.mark.parametrize(
    ("preset", "dtype", "end"),
    [
        ("unknown", np.uint8, 255),
        ("unknown", np.uint16, 65535),
        ("raw14", np.uint16, 16383),
        ("raw14", np.float32, 16383),
    ],
)
def test_saturated_pixels_are_counted(preset, dtype, end):
    image = np.full((10, 10), 100, dtype)
    image[2, :5] = end
    image[3, 0] = end - 1
    assert stage(preset=preset)(image).saturated == 5


def test_a_float_image_of_an_unknown_end_has_no_saturated_pixel_and_infinity_is_none():
    image = np.full((10, 10), 100, np.float32)
    image[0, 0], image[0, 1], image[0, 2] = 1e30, np.inf, np.nan
    assert stage()(image).saturated == 0
    assert stage(preset="raw14")(image).saturated == 1


def test_an_eight_bit_picture_goes_through_the_stage_without_a_copy():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = stage(crop_top=3)(image)
    assert np.shares_memory(frame.image, image)
    assert (frame.method, frame.bounds, frame.image.shape) == ("none", None, (13, 16))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("method", ["auto", "percentile", "minmax", "clahe"])
def test_the_memory_of_a_message_is_taken_as_it_is_and_never_written(dtype, method):
    padded = np.zeros((64, 80), dtype)
    padded[:, :64] = (RAMP // 128).astype(dtype)
    padded[9, 9] = 255
    image = padded[:, :64]
    image.flags.writeable = False
    frame = stage(normalisation=method, repair="dead")(image)
    again = stage(normalisation=method, repair="dead")(np.ascontiguousarray(image))
    assert frame.dead == again.dead == 1
    np.testing.assert_array_equal(frame.image, again.image)


def test_the_frame_says_what_was_done():
    frame = stage(preset="centikelvin")(RAMP)
    assert frame.method == "percentile"
    assert 29000 < frame.bounds[0] < frame.bounds[1] < 31000
    assert frame.temperature == pytest.approx((frame.bounds[0] / 100, frame.bounds[1] / 100))
    assert (frame.non_finite, frame.dead, frame.saturated) == (0, 0, 0)


@pytest.mark.parametrize("key", ["repair", "normalisation"])
def test_a_choice_that_does_not_exist_names_those_that_do(key):
    with pytest.raises(ThermalError, match=rf"^{key}: 'x' is not one of .*none"):
        ThermalSettings(**{key: "x"})


def test_a_negative_time_constant_is_refused():
    with pytest.raises(ThermalError, match=r"^smoothing: -1; expected a time in s"):
        ThermalSettings(smoothing=-1.0)


def test_parameters_make_the_settings():
    values = {parameter.name: parameter.default for parameter in PARAMETERS}
    assert settings_of(values).segmenter.thermal == ThermalSettings()
    values |= {"thermal.preset": "optris", "thermal.crop_top": 2, "thermal.smoothing": 1.5, "thermal.repair": "dead"}
    expected = ThermalSettings(preset="optris", crop_top=2, smoothing=1.5, repair="dead")
    assert settings_of(values).segmenter.thermal == expected


def test_a_warm_person_shows_in_a_format_as_coarse_as_the_scene():
    raw = np.full((64, 64), 733, np.uint16)
    raw[::2] = 732
    raw[1::2, :20] = 733
    raw[10:13, 10:13] = 765  # 306 K in 0.2 % of the pixels
    raw[raw == 732] = 733
    stage = ThermalInput(ThermalSettings(preset="flir_ax5_low"), ThermalPreprocessing())
    frame = stage(raw)
    assert (frame.image[10:13, 10:13] == 255).all()
    assert frame.image[30, 30] == 0
    assert frame.temperature == pytest.approx((0.4 * 733, 0.4 * 733))


def test_a_preset_of_deep_images_and_no_normalisation_contradict_each_other():
    with pytest.raises(ThermalError, match="'none' takes 8-bit images, and preset 'centikelvin' is for deeper ones"):
        ThermalSettings("none", preset="centikelvin")
    with pytest.raises(ThermalError, match="is not a range in K, which it is where the scale is known"):
        ThermalSettings("fixed", 29000.0, 31000.0, preset="centikelvin")
