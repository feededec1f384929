"""A stream of pictures: which may be used, and which fault is announced from when to when."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.synthetic import render_sequence
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.picture import look_at
from rgbt_seg_ros.pipeline.health.stream import FaultInterval, HealthSettings, PictureHealth, intervals

MS = 1_000_000
SIZE = (48, 64)


def noisy(image, seed, sigma=2.0):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@lru_cache(maxsize=4096)
def thermal(seed, contrast=1.0):
    """Return facts of a thermal picture of one scene with new noise."""
    shapes = np.random.default_rng(7).uniform(-80, 80, (6, 8)).astype(np.float32)
    return look_at(noisy(100 + contrast * cv2.resize(shapes, SIZE[::-1]), seed))


@lru_cache(maxsize=4096)
def flat(seed, level=90.0, sigma=2.0):
    return look_at(noisy(np.full(SIZE, level), seed, sigma))


@lru_cache(maxsize=4096)
def rgb(seed, brightness=1.0, sigma=3.0, lamp=False):
    shapes = np.random.default_rng(8).uniform(20, 220, (6, 8, 3)).astype(np.float32)
    image = brightness * cv2.resize(shapes, SIZE[::-1])
    if lamp:
        image[10:14, 20:24] = 250
    return look_at(noisy(image, seed, sigma))


def watch(facts, period_ms=33, stream="thermal", settings=None):
    """Return stamps and judgements of pictures that come at a steady rate."""
    health = PictureHealth(stream, settings)
    stamps = [(1000 + i * period_ms) * MS for i in range(len(facts))]
    return stamps, [health.see(stamp, each) for stamp, each in zip(stamps, facts, strict=True)]


def unfit(judged):
    return [i for i, each in enumerate(judged[1]) if not each.fit]


def faults(judged):
    """Return the announced faults with their first and last ms after the first frame."""
    stamps, _ = judged
    return [(each.fault, (each.begin - stamps[0]) // MS, (each.end - stamps[0]) // MS) for each in intervals(*judged)]


def test_the_first_repetition_is_unfit_and_a_fifth_of_a_second_is_announced():
    facts = [thermal(i) for i in range(20)] + [thermal(19)] * 30 + [thermal(i) for i in range(60, 80)]
    stamps, judged = watch(facts)
    assert unfit((stamps, judged)) == list(range(20, 50))
    announced = [i for i, each in enumerate(judged) if each.fault is not None]
    assert announced == list(range(27, 50))
    last = judged[49]
    assert (last.fault, last.since, last.detail) == (StreamFault.FROZEN, stamps[20], "the same picture for 1.0 s")
    assert last.confidence > 0.9
    assert faults((stamps, judged)) == [(StreamFault.FROZEN, 20 * 33, 50 * 33)]


@pytest.mark.parametrize("period_ms", [20, 33, 100, 500])
def test_a_repetition_is_unfit_at_any_rate(period_ms):
    facts = [thermal(i) for i in range(6)] + [thermal(5)] * 6 + [thermal(8)]
    assert unfit(watch(facts, period_ms)) == list(range(6, 12))


def held(number, run_lengths):
    return [thermal(i) for i in range(number) for _ in range(run_lengths[i % len(run_lengths)])]


@pytest.mark.parametrize("runs", [[3, 3, 4], [2], [4, 2, 3]])
def test_a_slow_core_whose_driver_repeats_is_never_unfit_until_it_stops(runs):
    facts = held(60, runs)
    assert unfit(watch(facts)) == []
    frozen = facts + [facts[-1]] * 40
    judged = watch(frozen)
    first = unfit(judged)[0] - len(facts)
    assert 0 <= first <= 4
    assert faults(judged)[0][0] is StreamFault.FROZEN


def test_a_picture_now_and_then_repeated_is_learned_after_three_times():
    facts = held(60, [1, 1, 1, 1, 2])
    assert unfit(watch(facts)) == [5, 11, 17]


def test_frozen_for_seconds_is_never_learned_as_a_habit():
    facts = []
    for burst in range(6):
        facts += [thermal(1000 * burst + i) for i in range(10)] + [thermal(1000 * burst + 9)] * 20
    assert unfit(watch(facts)) == [30 * burst + 10 + i for burst in range(6) for i in range(20)]


def test_a_stream_that_never_changed_is_frozen_after_two_seconds():
    stamps, judged = watch([thermal(0)] * 50, 100)
    assert unfit((stamps, judged)) == list(range(21, 50))
    assert judged[-1].since == stamps[1]


def test_the_same_stamp_is_the_same_frame_and_an_earlier_one_begins_again():
    health = PictureHealth("thermal")
    for i in range(10):
        assert all(health.see(i * 33 * MS, thermal(i)).fit for _ in range(3))
    assert not health.see(330 * MS, thermal(9)).fit
    assert health.see(5 * MS, thermal(9)).fit


@pytest.mark.parametrize(
    "closed", [lambda i: flat(i, sigma=0), lambda i: flat(i), lambda i: flat(i, 3), lambda i: flat(i, 250, 4)]
)
def test_a_shutter_is_unfit_from_its_first_frame_to_its_last(closed):
    facts = [thermal(i) for i in range(30)] + [closed(i) for i in range(15)] + [thermal(100 + i) for i in range(30)]
    judged = watch(facts)
    assert unfit(judged) == list(range(30, 45))
    assert faults(judged) == [(StreamFault.SHUTTER, 30 * 33, 45 * 33)]
    assert judged[1][40].confidence >= 0.8


def test_a_shutter_that_closes_over_two_frames_is_told():
    facts = [thermal(i) for i in range(30)] + [thermal(30, 0.5)] + [flat(i) for i in range(15)] + [thermal(200)]
    assert unfit(watch(facts)) == list(range(31, 46))


def test_raw_counts_of_a_closed_shutter_show_the_housing_and_are_told_all_the_same():
    rng = np.random.default_rng(3)
    warmth = np.add.outer(np.linspace(-1, 1, 48) ** 2, np.linspace(-1, 1, 64) ** 2) * 6

    def counts(picture):
        return look_at((7000 + picture + rng.normal(0, 1, SIZE)).astype(np.uint16))

    open_ = cv2.resize(rng.uniform(-300, 300, (6, 8)), SIZE[::-1])
    facts = [counts(open_) for _ in range(20)] + [counts(warmth) for _ in range(10)] + [counts(open_) for _ in range(9)]
    assert unfit(watch(facts)) == list(range(20, 30))


def test_what_stays_closed_becomes_blind_with_less_confidence():
    facts = [thermal(i) for i in range(30)] + [flat(i) for i in range(80)]
    stamps, judged = watch(facts, 100)
    kinds = [each.fault for each in intervals(stamps, judged)]
    assert kinds == [StreamFault.SHUTTER, StreamFault.BLIND]
    assert unfit((stamps, judged)) == list(range(30, 110))
    assert judged[-1].confidence <= 0.5 < judged[60].confidence


def test_a_robot_that_turns_to_a_wall_of_little_contrast_is_no_shutter():
    turning = [thermal(100 + i, 1 - 0.9 * (i + 1) / 20) for i in range(20)]
    facts = [thermal(i) for i in range(30)] + turning + [thermal(200 + i, 0.1) for i in range(60)]
    assert unfit(watch(facts)) == []


def test_a_gain_control_that_halves_the_contrast_at_once_is_no_shutter():
    facts = (
        [thermal(i) for i in range(30)] + [thermal(100 + i, 0.4) for i in range(30)] + [thermal(i) for i in range(30)]
    )
    assert unfit(watch(facts)) == []


def test_a_thermal_camera_that_is_saturated_or_flat_from_the_start_is_blind():
    white = [
        look_at(np.where(np.random.default_rng(i).random(SIZE) < 0.95, 255, 200).astype(np.uint8)) for i in range(9)
    ]
    for facts in (white, [flat(i) for i in range(9)], [flat(i, sigma=0.0) for i in range(9)]):
        judged = watch(facts, 100)
        assert unfit(judged) == list(range(9))
        assert {each.fault for each in judged[1][2:]} == {StreamFault.BLIND}


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ([rgb(i, 0.002) for i in range(12)], "too dark"),
        ([flat(i, 252) for i in range(12)], "washed out"),
        ([flat(i, 120) for i in range(12)], "covered"),
        ([flat(i, 255, 9) for i in range(12)], "washed out"),
    ],
)
def test_an_rgb_camera_that_shows_nothing_is_blind_at_once(facts, word):
    judged = watch([rgb(i) for i in range(10)] + facts + [rgb(50)], stream="rgb")
    assert unfit(judged) == list(range(10, 22))
    assert judged[1][20].fault is StreamFault.BLIND
    assert word in judged[1][20].detail


def test_a_dark_night_with_a_lamp_or_an_edge_is_fit():
    for facts in ([rgb(i, 0.004, lamp=True) for i in range(9)], [rgb(i, 0.1, 5.0) for i in range(9)]):
        assert unfit(watch(facts, stream="rgb")) == []


def test_a_picture_that_was_noise_before_cannot_lose_its_contrast():
    noise = [look_at(np.random.default_rng(i).integers(0, 255, SIZE, np.uint8)) for i in range(60)]
    assert unfit(watch(noise)) == []


def test_a_night_whose_contrast_is_below_a_grey_level_but_above_the_noise_is_fit():
    """As the darkest world of a generated drive: detail 0.76, noise 2.4, no lamp."""
    facts = [rgb(i, 0.025, 2.0) for i in range(20)]
    assert 0.5 < min(each.detail for each in facts) < max(each.detail for each in facts) < 1.2
    assert unfit(watch(facts, stream="rgb")) == []


def test_each_kind_can_be_left_out():
    frozen = [thermal(i) for i in range(20)] + [thermal(19)] * 20
    closed = [thermal(i) for i in range(20)] + [flat(i) for i in range(20)]
    assert unfit(watch(frozen, settings=HealthSettings(frozen=False))) == []
    assert unfit(watch(closed, settings=HealthSettings(shutter=False))) == []
    assert unfit(watch([flat(i) for i in range(20)], settings=HealthSettings(blind=False))) == []


def test_a_fault_that_goes_on_ends_with_the_last_frame():
    stamps, judged = watch([thermal(i) for i in range(20)] + [thermal(19)] * 20)
    assert intervals(stamps, judged) == [FaultInterval(StreamFault.FROZEN, stamps[20], stamps[-1])]
    assert intervals(stamps[:24], judged[:24]) == []


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_clean_drives_by_day_dusk_and_night_have_no_fault(seed):
    """Seeds of a day, a dusk and a night; ten minutes of them were judged once."""
    samples = list(render_sequence(seed, 12, (96, 128), 10.0))
    assert unfit(watch([look_at(sample.rgb) for sample in samples], 100, "rgb")) == []
    assert unfit(watch([look_at(sample.thermal) for sample in samples], 100)) == []


def test_every_fault_is_plain_text_with_a_meaning():
    assert f"{StreamFault.FROZEN}" == "frozen"
    assert all(fault.meaning and fault == fault.value for fault in StreamFault)
