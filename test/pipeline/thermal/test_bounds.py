"""Bounds of the stretch: the percentiles are numpy's to the last bit, and smoothing keeps one hot object from flashing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.bounds import SmoothedBounds, percentiles
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

SECOND = 1_000_000_000
PERIOD = SECOND // 30


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: arrays.arrays(dtype, st.integers(1, 300))),
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_percentiles_are_those_of_numpy(values, percents):
    assert percentiles(values, percents) == np.percentile(values, percents).tolist()


def sequence(smoothing, frames, **values):
    stage = ThermalInput(ThermalSettings("percentile", 1, 99, smoothing=smoothing, **values), ThermalPreprocessing())
    return [stage(frame, 5 * SECOND + number * PERIOD) for number, frame in enumerate(frames)]


def street(hot):
    image = np.random.default_rng(3).normal(30000, 100, (120, 160))
    if hot:
        image[40:80, 60:100] = 34000
    return image.astype(np.uint16)


def test_one_hot_object_does_not_flash_the_picture():
    frames = [street(hot=number >= 5) for number in range(10)]
    background = np.s_[90:, :]

    def jump(results):
        levels = [float(result.image[background].mean()) for result in results]
        return np.abs(np.diff(levels)).max()

    assert jump(sequence(0.0, frames)) > 100
    assert jump(sequence(2.0, frames)) < 50


def test_smoothed_bounds_approach_those_of_the_scene_with_the_time_constant():
    smoothed = SmoothedBounds(2.0)
    smoothed.update(0, (0.0, 100.0))
    for number in range(1, 61):
        low, high = smoothed.update(number * PERIOD, (1000.0, 2100.0))
    share = 1 - np.exp(-60 * PERIOD / SECOND / 2.0)
    assert low == pytest.approx(1000 * share)
    assert high == pytest.approx(100 + 2000 * share)


def test_the_rate_of_the_frames_does_not_matter_to_a_step():
    ends = []
    for rate in (9, 30):
        smoothed = SmoothedBounds(1.0)
        smoothed.update(0, (0.0, 1.0))
        for number in range(1, rate + 1):
            end = smoothed.update(number * SECOND // rate, (10.0, 20.0))
        ends.append(end)
    assert ends[0] == pytest.approx(ends[1])


def test_the_same_frames_and_stamps_give_the_same_pictures():
    frames = [street(hot=number % 3 == 0) for number in range(8)]
    for one, other in zip(sequence(1.0, frames), sequence(1.0, frames), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.bounds == other.bounds


def test_a_frame_that_is_used_twice_comes_out_the_same():
    stage = ThermalInput(ThermalSettings("percentile", smoothing=1.0), ThermalPreprocessing())
    stage(street(hot=False), 0)
    first, again = stage(street(hot=True), PERIOD), stage(street(hot=True), PERIOD)
    assert first.bounds == again.bounds


def test_a_stamp_that_runs_backwards_and_a_reset_start_anew():
    smoothed = SmoothedBounds(5.0)
    smoothed.update(10 * SECOND, (0.0, 1.0))
    assert smoothed.update(2 * SECOND, (7.0, 9.0)) == (7.0, 9.0)
    smoothed.reset()
    assert smoothed.update(3 * SECOND, (1.0, 2.0)) == (1.0, 2.0)


def test_after_a_long_pause_the_old_bounds_weigh_nothing():
    smoothed = SmoothedBounds(1.0)
    smoothed.update(0, (0.0, 1.0))
    assert smoothed.update(60 * SECOND, (50.0, 60.0)) == pytest.approx((50.0, 60.0))


def test_a_closed_shutter_leaves_the_bounds_as_they_were():
    plain, shuttered = SmoothedBounds(1.0), SmoothedBounds(1.0)
    for smoothed in (plain, shuttered):
        smoothed.update(0, (0.0, 1.0))
    assert shuttered.update(PERIOD, (5.0, 5.0)) == (5.0, 5.0)
    assert shuttered.update(2 * PERIOD, (3.0, 4.0)) == plain.update(2 * PERIOD, (3.0, 4.0))


def test_without_a_stamp_a_frame_is_of_no_sequence():
    stage = ThermalInput(ThermalSettings("percentile", smoothing=1.0), ThermalPreprocessing())
    stage(street(hot=False), 0)
    alone = ThermalInput(ThermalSettings("percentile"), ThermalPreprocessing())(street(hot=True))
    np.testing.assert_array_equal(stage(street(hot=True)).image, alone.image)
    untouched = ThermalInput(ThermalSettings("percentile", smoothing=1.0), ThermalPreprocessing())
    untouched(street(hot=False), 0)
    assert stage(street(hot=True), PERIOD).bounds == untouched(street(hot=True), PERIOD).bounds


def test_a_fixed_range_is_not_smoothed():
    stage = ThermalInput(ThermalSettings("fixed", 29000, 31000, smoothing=1.0), ThermalPreprocessing())
    assert [stage(street(hot), n * PERIOD).bounds for n, hot in enumerate((False, True))] == [(29000, 31000)] * 2
