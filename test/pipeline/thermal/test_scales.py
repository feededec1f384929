"""Formats of thermal cameras: every preset at a known temperature, an own scale, and what cannot hold a format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.stage import PRESETS, Scale, ThermalError, ThermalInput, ThermalSettings, resolve

BODY = 310.15
"""K, 37 °C."""

RAW_OF_BODY = {
    "centikelvin": 31015,
    "decikelvin": 3101.5,
    "optris": 1370,
    "kelvin64": 310.15 * 64,
    "flir_ax5_high": 310.15 / 0.04,
    "flir_ax5_low": 310.15 / 0.4,
    "kelvin": 310.15,
    "celsius": 37,
}


def test_every_preset_with_a_scale_is_in_the_table():
    assert {name for name, preset in PRESETS.items() if preset.scale is not None} == set(RAW_OF_BODY)


@pytest.mark.parametrize("name", RAW_OF_BODY)
def test_a_preset_gives_body_temperature_in_kelvin(name):
    scale = PRESETS[name].scale
    assert scale.kelvin(RAW_OF_BODY[name]) == pytest.approx(BODY)
    assert scale.raw(BODY) == pytest.approx(RAW_OF_BODY[name])


@pytest.mark.parametrize("name", RAW_OF_BODY)
def test_the_scene_range_is_in_kelvin_in_every_preset(name):
    scale = PRESETS[name].scale
    dtype = PRESETS[name].dtypes[0]
    kelvin = np.random.default_rng(0).uniform(280, 320, (200, 300))
    raw = ((kelvin - scale.offset) / scale.factor).astype(dtype)
    low, high = ThermalInput(ThermalSettings(preset=name), ThermalPreprocessing())(raw).temperature
    # 1 % of 40 K off either end, to within a raw unit and the coarseness of the sample.
    assert low == pytest.approx(280.4, abs=scale.factor + 0.2)
    assert high == pytest.approx(319.6, abs=scale.factor + 0.2)


@pytest.mark.parametrize("method", ["minmax", "fixed", "clahe", "percentile"])
def test_the_scene_range_does_not_depend_on_the_normalisation(method):
    raw = np.random.default_rng(1).normal(30000, 300, (120, 160)).astype(np.uint16)
    low, high = (273.15, 323.15) if method == "fixed" else (5, 95)
    given = ThermalInput(ThermalSettings(method, low, high, preset="centikelvin"), ThermalPreprocessing())(raw)
    default = ThermalInput(ThermalSettings(preset="centikelvin"), ThermalPreprocessing())(raw)
    assert given.temperature == default.temperature


def test_without_a_scale_there_is_no_temperature():
    raw = np.full((8, 8), 8000, np.uint16)
    for preset in ("unknown", "raw14"):
        assert ThermalInput(ThermalSettings(preset=preset), ThermalPreprocessing())(raw).temperature is None


def test_an_own_scale_stands_before_the_preset():
    settings = ThermalSettings(preset="centikelvin", scale=0.5, offset=-10)
    assert settings.kelvin_scale() == Scale(0.5, -10)
    frame = ThermalInput(settings, ThermalPreprocessing())(np.full((8, 8), 600, np.uint16))
    assert frame.temperature == (290, 290)


def test_a_fixed_range_is_in_kelvin_where_the_scale_is_known():
    raw = np.array([[27315, 29815, 32315]], np.uint16)
    frame = ThermalInput(ThermalSettings("fixed", 273.15, 323.15, preset="centikelvin"), ThermalPreprocessing())(raw)
    assert frame.image.tolist() == [[0, 128, 255]]
    assert frame.bounds == pytest.approx((27315, 32315))


def test_resolved_settings_resolve_to_themselves():
    once = resolve(
        ThermalSettings("fixed", 273.15, 323.15, preset="centikelvin"), ThermalPreprocessing(), np.dtype(np.uint16)
    )
    assert resolve(once, ThermalPreprocessing(), np.dtype(np.uint16)) == once


def test_the_range_of_a_model_stays_in_raw_units():
    trained_with = ThermalPreprocessing("fixed", 29000, 31000)
    resolved = resolve(ThermalSettings(preset="centikelvin"), trained_with, np.dtype(np.uint16))
    assert (resolved.normalisation, resolved.low, resolved.high) == ("fixed", 29000, 31000)


@pytest.mark.parametrize(("preset", "dtype"), [("centikelvin", np.uint8), ("celsius", np.uint16)])
def test_an_image_that_cannot_hold_the_preset_is_refused(preset, dtype):
    with pytest.raises(ThermalError, match=rf"^preset: '{preset}' is for images of .*float32.* camera's are"):
        ThermalInput(ThermalSettings(preset=preset), ThermalPreprocessing())(np.zeros((4, 4), dtype))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"preset": "flir"}, "^preset: 'flir' is not one of unknown, raw14"),
        ({"scale": -0.1}, "^scale: -0.1; expected K per raw unit"),
        ({"scale": float("nan")}, "^scale: nan"),
        ({"scale": 0.1, "offset": float("inf")}, "^scale: 0.1 with offset inf"),
        ({"offset": 273.15}, "^offset: 273.15 needs a scale"),
        (
            {"normalisation": "fixed", "low": 0, "high": 50, "preset": "optris"},
            "^low: 0 to high 50 is not a range in K.* 'optris'",
        ),
    ],
)
def test_a_wrong_scale_names_key_and_expectation(values, sentence):
    with pytest.raises(ThermalError, match=sentence):
        ThermalSettings(**values)


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_has_every_preset_with_its_numbers(name):
    rows = (Path(__file__).parents[3] / "docs" / "thermal.md").read_text().splitlines()
    (row,) = (line for line in rows if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    preset = PRESETS[name]
    expected = ["-", "-"] if preset.scale is None else [f"{preset.scale.factor:g}", f"{preset.scale.offset:g}"]
    assert cells[1:3] == expected
    encodings = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}
    assert cells[3] == ", ".join(encodings[dtype] for dtype in preset.dtypes)
    if preset.ceiling is not None:
        assert cells[4] == f"{preset.ceiling:g}"
