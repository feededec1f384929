"""Faults of cameras on demand: the words for them, and what a camera then delivers."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.scenes.faults import Fault, FaultyCamera, parse_fault

SIZE = (24, 32)


def picture(index, dtype=np.uint8, channels=()):
    values = np.random.default_rng(index).integers(40, 200, (*SIZE, *channels))
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thermal:shutter:0.5/15", Fault("thermal", "shutter", 0.5, 15.0, 15.0)),
        ("thermal:silent:5@10", Fault("thermal", "silent", 5.0, 10.0)),
        ("rgb:frozen:3@20/60", Fault("rgb", "frozen", 3.0, 20.0, 60.0)),
        ("rgb:dark:2", Fault("rgb", "dark", 2.0)),
    ],
)
def test_words_for_faults(text, expected):
    fault = parse_fault(text)
    assert fault == expected
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text",
    [
        *("", "thermal", "thermal:shutter", "rgb:shutter:1", "thermal:dark:1", "depth:silent:1", "rgb:silent:-1"),
        *("rgb:silent:0", "rgb:silent:5/5", "rgb:silent:1e9", "rgb:silent:1@", "rgb:silent:nan", "rgb:silent:1/2@3"),
        *("rgb:silent:1 ", "x" * 999),
    ],
)
def test_other_words_are_refused_with_what_was_expected(text):
    with pytest.raises(
        UserError, match=r"expected (STREAM:KIND:DURATION\[@AT\]\[/EVERY\]|a DURATION above 0 s)"
    ) as refusal:
        parse_fault(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_a_fault_lasts_from_its_time_for_its_duration_and_comes_again():
    once, often = parse_fault("rgb:dark:2@10"), parse_fault("rgb:dark:0.5/15")
    assert [once.active(t) for t in (0, 9.99, 10, 11.99, 12, 25)] == [False, False, True, True, False, False]
    assert not parse_fault("rgb:dark:0.1@0.2").active(0.3)
    assert [often.active(t) for t in (0, 0.2, 15, 15.4, 15.5, 30.2)] == [False, False, True, True, False, True]


def test_a_frozen_camera_repeats_the_picture_before_and_a_silent_one_delivers_none():
    camera = FaultyCamera(
        "rgb", [parse_fault("rgb:frozen:3@2"), parse_fault("rgb:silent:2@7"), parse_fault("thermal:silent:9")]
    )
    got = [camera.take(picture(i, channels=(3,)), float(i), i) for i in range(10)]
    source = [0, 1, 1, 1, 1, 5, 6, None, None, 9]
    for image, index in zip(got, source, strict=True):
        assert (image is None) == (index is None)
        if index is not None:
            np.testing.assert_array_equal(image, picture(index, channels=(3,)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_shutter_takes_the_contrast_and_keeps_level_and_type(dtype):
    camera = FaultyCamera("thermal", [parse_fault("thermal:shutter:1@1")])
    clean = camera.take(picture(0, dtype) * dtype(20), 0.0, 0)
    closed = [camera.take(picture(i, dtype) * dtype(20), 1.0, i) for i in (1, 2)]
    for image in closed:
        assert image.dtype == dtype
        assert image.mean() == pytest.approx(clean.mean(), rel=0.01)
        assert image.std() < 0.02 * clean.std()


def test_pictures_of_a_blind_camera_show_noise_that_follows_from_the_seed():
    for kind, low, high in (("dark", 1, 6), ("covered", 0.5, 3), ("washed", 248, 255)):
        first, again, other = (
            FaultyCamera("rgb", [Fault("rgb", kind, 1.0)], seed).take(picture(3, channels=(3,)), 0.0, 3)
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert low < first.mean() < high
        assert 0 < first.std() < 4
    saturated = FaultyCamera("thermal", [Fault("thermal", "saturated", 1.0)])
    assert saturated.take(picture(0, np.uint16), 0.0, 0).min() == 65535
