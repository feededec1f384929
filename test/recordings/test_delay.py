"""A known delay comes back, from signals and from images, and no delay is made up where nothing tells it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rgbt_seg_ros.data.synthetic import render_scene, render_sequence
from rgbt_seg_ros.recordings.delay import Delay, estimate_delay
from rgbt_seg_ros.recordings.motion import Motion, MotionMeter, grey
from rgbt_seg_ros.recordings.motion_delay import motion_delay
from rgbt_seg_ros.recordings.stamp_phase import stamp_phase

START = 1_700_000_000_000_000_000
Array = npt.NDArray[np.float64]
Path = Callable[[Array], Array]


def stamps(times: Array) -> npt.NDArray[np.int64]:
    return START + np.round(times * 1e9).astype(np.int64)


def wander(seed: int) -> Path:
    """Return where a camera that shakes is: (T, 2) pixels, of waves of 0.4 to 2 Hz."""
    rng = np.random.default_rng(seed)
    rates, turns = rng.uniform(0.4, 2.0, (6, 2)), rng.uniform(0, 2 * np.pi, (6, 2))
    return lambda times: np.sin(2 * np.pi * rates * times[:, None, None] + turns).sum(1)


def motion_of(path: Path, times: Array, seen: Array, noise: float, rng: np.random.Generator) -> Motion:
    """Return the motion of a camera that takes frames at ``times`` and stamps them ``seen``; 3 cells with own gains."""
    steps = np.diff(path(times), axis=0)
    channels = np.concatenate([gain * steps for gain in (0.5, 1.0, 2.0)], 1)
    channels += noise * rng.standard_normal(channels.shape)
    stamped = stamps(seen)
    return Motion(stamped[:-1], stamped[1:], channels, np.ones(len(steps), bool))


def locked(delay: float, seconds: float = 20, noise: float = 0.1, seed: int = 0, jitter: float = 0.002) -> Delay:
    """Estimate the delay of a 9 Hz camera that is triggered by frames of a 30 Hz one."""
    rng = np.random.default_rng(seed)
    rgb = np.arange(0, seconds, 1 / 30)
    thermal = np.round(np.arange(0, seconds, 1 / 9) * 30) / 30
    late = thermal + delay + rng.normal(0, jitter, len(thermal))
    path = wander(seed)
    motions = motion_of(path, rgb, rgb, noise, rng), motion_of(path, thermal, late, noise, rng)
    return estimate_delay(stamps(rgb), stamps(late), motions)


@pytest.mark.parametrize("delay", [0.04, 0.0, -0.11, 0.25])
def test_locked_cameras_are_told_to_a_millisecond(delay: float) -> None:
    found = locked(delay)
    assert found.source == "stamps and motion"
    assert found.seconds == pytest.approx(delay, abs=0.001)
    assert found.thermal_offset == pytest.approx(-delay, abs=0.001)
    assert found.slop is not None
    assert 0.004 < found.slop < 0.012


def test_free_running_cameras_are_told_by_their_motion() -> None:
    rng = np.random.default_rng(1)
    rgb, thermal = np.arange(0, 30, 1 / 30), 0.0123 + np.arange(0, 30, 1 / 8.7)
    late = thermal + 0.04 + rng.normal(0, 0.002, len(thermal))
    path = wander(1)
    motions = motion_of(path, rgb, rgb, 0.1, rng), motion_of(path, thermal, late, 0.1, rng)
    found = estimate_delay(stamps(rgb), stamps(late), motions)
    assert found.source == "motion"
    assert found.candidates == ()
    assert found.seconds == pytest.approx(0.04, abs=0.005)
    assert abs(found.seconds - 0.04) < 4 * found.uncertainty
    assert found.slop == pytest.approx(1 / 60, abs=0.002)


def test_a_constant_phase_of_cameras_that_expose_apart_does_not_override_the_motion() -> None:
    rng = np.random.default_rng(2)
    rgb, thermal = np.arange(0, 30, 1 / 30), 0.016 + np.arange(0, 30, 1 / 10)
    path = wander(2)
    motions = motion_of(path, rgb, rgb, 0.05, rng), motion_of(path, thermal, thermal + 0.04, 0.05, rng)
    found = estimate_delay(stamps(rgb), stamps(thermal + 0.04), motions)
    assert found.phase is not None
    assert found.phase.locked
    assert found.source == "motion"
    assert found.seconds == pytest.approx(0.04, abs=0.005)


def test_the_stated_uncertainty_is_about_right() -> None:
    off = []
    for seed in range(12):
        found = locked(0.04, seconds=15, noise=0.5, seed=seed).motion
        assert found is not None
        assert found.delay is not None
        off.append((found.delay - 0.04) / found.uncertainty)
    assert 0.3 < np.sqrt(np.mean(np.square(off))) < 2.5


def test_a_scene_that_stands_still_tells_nothing() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(0, 30, 1 / 30)
    motions = tuple(motion_of(lambda t: np.zeros((len(t), 2)), times, times, 0.1, rng) for _ in range(2))
    found = motion_delay(*motions)
    assert found.delay is None
    assert found.reason


def test_motion_that_repeats_itself_is_ambiguous() -> None:
    rng = np.random.default_rng(4)
    rgb, thermal = np.arange(0, 30, 1 / 30), np.arange(0, 30, 1 / 25)

    def shake(times: Array) -> Array:
        return np.repeat(np.sin(2 * np.pi * 5 * times)[:, None], 2, 1)

    found = motion_delay(motion_of(shake, rgb, rgb, 0.05, rng), motion_of(shake, thermal, thermal, 0.05, rng))
    assert found.delay is None
    assert "ambiguous" in found.reason


def test_a_short_recording_is_refused_with_what_it_would_need() -> None:
    found = locked(0.04, seconds=2)
    assert found.seconds is None
    assert "too short" in found.reason


def test_a_delay_outside_what_is_tried_is_not_invented() -> None:
    found = locked(0.5)
    assert found.seconds is None


def test_a_known_difference_of_clocks_is_searched_about() -> None:
    rng = np.random.default_rng(5)
    times = np.arange(0, 20, 1 / 30)
    path = wander(5)
    motions = motion_of(path, times, times, 0.1, rng), motion_of(path, times, times + 7200.04, 0.1, rng)
    found = estimate_delay(stamps(times), stamps(times + 7200.04), motions, centre=7200.0)
    assert found.seconds == pytest.approx(7200.04, abs=0.003)


def test_stamps_alone_give_candidates_and_no_answer() -> None:
    rgb, thermal = np.arange(0, 20, 1 / 30), np.round(np.arange(0, 20, 1 / 9) * 30) / 30 + 0.04
    found = estimate_delay(stamps(rgb), stamps(thermal), None)
    assert found.seconds is None
    assert min(abs(candidate - 0.04) for candidate in found.candidates) < 1e-4
    assert len(found.candidates) == 18


def test_a_thermal_camera_that_is_faster_is_compared_the_other_way_round() -> None:
    thermal, rgb = np.arange(0, 20, 1 / 30) + 0.01, np.arange(0, 20, 1 / 10)
    found = stamp_phase(stamps(rgb), stamps(thermal))
    assert found is not None
    assert found.locked
    assert found.phase == pytest.approx(0.01, abs=1e-4)


def test_a_panning_camera_with_noise_is_told_from_its_images() -> None:
    scene = render_scene(5, 2, (160, 224))
    rng = np.random.default_rng(0)
    path = wander(6)

    def look(image: npt.NDArray[np.uint8], time: float) -> npt.NDArray[np.uint8]:
        x, y = 112 + path(np.array((time,)))[0]
        seen = cv2.getRectSubPix(image.astype(np.float32), (128, 96), (float(x), float(y)))
        return np.clip(seen + rng.normal(0, 3, seen.shape), 0, 255).astype(np.uint8)

    rgb, thermal = np.arange(0, 8, 1 / 30), 0.0171 + np.arange(0, 7.9, 1 / 9)
    meters = MotionMeter(), MotionMeter()
    for time in rgb:
        meters[0].add(int(stamps(np.array(time))), grey(look(scene.rgb, time)))
    for time in thermal:
        # As a camera of raw counts would deliver it.
        counts = look(scene.thermal, time).astype(np.uint16) * 20 + 6000
        meters[1].add(int(stamps(np.array(time + 0.04))), grey(counts))
    found = motion_delay(meters[0].motion(), meters[1].motion())
    assert found.delay == pytest.approx(0.04, abs=0.005)
    assert found.uncertainty < 0.004


def test_a_rendered_drive_is_seen_to_move_alike_by_both_cameras() -> None:
    meters = MotionMeter(), MotionMeter()
    for index, sample in enumerate(render_sequence(7, 12, (96, 128), 6.0)):
        for meter, image in zip(meters, (sample.rgb, sample.thermal), strict=True):
            meter.add(START + index * 166_666_667, grey(image))
    rgb, thermal = (meter.motion() for meter in meters)
    assert rgb.valid.all()
    assert thermal.valid.all()
    assert np.corrcoef(rgb.displacement.ravel(), thermal.displacement.ravel())[0, 1] > 0.5


def test_another_scene_and_another_size_are_no_motion() -> None:
    first, second = render_scene(1, 0, (96, 128)), render_scene(1, 5, (96, 128))
    meter = MotionMeter()
    for index, image in enumerate((first.rgb, first.rgb, second.rgb, second.rgb[:64], second.rgb[:64])):
        meter.add(START + index, grey(image))
    assert meter.motion().valid.tolist() == [True, False, True]
