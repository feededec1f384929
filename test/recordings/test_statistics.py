"""Streams with known faults give those faults back, with place and size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.recordings.pairing_preview import (
    FrameLog,
    clock_difference,
    different_clocks,
    preview_pairing,
    why_no_pairs,
)
from rgbt_seg_ros.recordings.statistics import stream_statistics

START = 1_700_000_000_000_000_000
MS = 1_000_000


def regular(count: int, step_ms: int = 100) -> np.ndarray:
    return START + np.arange(count, dtype=np.int64) * step_ms * MS


def log_of(rgb: np.ndarray, thermal: np.ndarray, late_ms: int = 5) -> FrameLog:
    """Return frames in the order of their stamps, recorded a little later."""
    cameras = np.repeat(np.array((0, 1), np.int8), (len(rgb), len(thermal)))
    stamps = np.concatenate((rgb, thermal))
    order = np.argsort(stamps, kind="stable")
    return FrameLog(cameras[order], stamps[order], stamps[order] + late_ms * MS)


def test_a_regular_stream_has_nothing_to_report() -> None:
    stamps = regular(50)
    found = stream_statistics(stamps, stamps + 7 * MS, START)
    assert found.rate_hz == pytest.approx(10)
    assert found.mean_rate_hz == pytest.approx(10)
    assert (found.gaps, found.backwards, found.duplicates) == (0, 0, 0)
    assert found.lag is not None
    assert found.lag.kind == "constant"
    assert found.lag.median == pytest.approx(0.007)


def test_faults_are_counted_and_placed() -> None:
    stamps = regular(50)
    log_times = stamps + 7 * MS
    stamps = np.delete(stamps, (20, 21))
    log_times = np.delete(log_times, (20, 21))
    stamps[30] = stamps[29]
    stamps[40] = stamps[38] - 50 * MS
    found = stream_statistics(stamps, log_times, START)
    assert found.first_gaps[0].length == pytest.approx(0.3)
    assert found.first_gaps[0].at == pytest.approx(2.207)
    assert (found.duplicates, found.backwards) == (1, 1)
    assert found.duplicates_at == pytest.approx(3.207)
    assert found.backwards_at == pytest.approx(4.207)
    assert found.interval_max == pytest.approx(0.35)


def test_nine_hertz_taken_out_of_thirty_has_no_gaps() -> None:
    stamps = START + np.round(np.arange(90) * 30 / 9).astype(np.int64) * 33_333_333
    found = stream_statistics(stamps, stamps, START)
    assert found.gaps == 0
    assert found.mean_rate_hz == pytest.approx(9, abs=0.02)


@pytest.mark.parametrize(
    ("stamps", "kind"),
    [
        (regular(100) - 3600 * 1000 * MS, "other clock"),
        (regular(100) + 3600 * 1000 * MS, "other clock"),
        (START + np.arange(100, dtype=np.int64) * 99 * MS, "drifting"),
        (np.zeros(100, np.int64), "zero"),
    ],
)
def test_clocks_are_told_apart(stamps: np.ndarray, kind: str) -> None:
    found = stream_statistics(stamps, regular(100) + 5 * MS, START)
    assert found.lag is not None
    assert found.lag.kind == kind


def test_no_and_one_message_are_no_error() -> None:
    empty = np.zeros(0, np.int64)
    assert stream_statistics(empty, empty, START).lag is None
    one = stream_statistics(regular(1), regular(1), START)
    assert one.count == 1
    assert math.isnan(one.rate_hz)
    assert math.isnan(one.mean_rate_hz)


def test_the_preview_counts_every_frame_and_bins_every_pair() -> None:
    frames = log_of(regular(30), regular(10, 300) + 12 * MS)
    found = preview_pairing(frames, PairingSettings(slop=0.05))
    assert (found.pairs, found.rgb, found.thermal, found.thermal_paired) == (10, 30, 10, 10)
    assert found.dropped == {"rgb_no_partner": 20}
    assert found.histogram == (0, 0, 10, 0, 0, 0, 0, 0, 0, 0)
    assert found.largest == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("thermal", "words"),
    [
        (regular(10) + 40 * MS, "the closest two stamps are 0.0400 s apart, the slop is 0.01 s"),
        (regular(10) + 7200 * 1000 * MS, "different clocks"),
        (np.zeros(0, np.int64), "no usable thermal frame"),
    ],
)
def test_no_pairs_are_explained(thermal: np.ndarray, words: str) -> None:
    frames = log_of(regular(10), thermal)
    if words == "different clocks":
        # Recorded together, in spite of their stamps.
        frames = FrameLog(frames.cameras, frames.stamps, np.tile(regular(10), 2))
        assert clock_difference(frames) == pytest.approx(7200)
    settings = PairingSettings(slop=0.01)
    assert preview_pairing(frames, settings).pairs == 0
    assert words in why_no_pairs(frames, settings)


def test_cameras_that_never_ran_together_are_named_as_such() -> None:
    frames = log_of(regular(10), regular(10) + 60_000 * MS)
    assert "no overlap in time" in why_no_pairs(frames, PairingSettings())


def test_stamps_of_zero_are_named_as_such() -> None:
    frames = log_of(regular(10), np.zeros(10, np.int64))
    frames = FrameLog(frames.cameras, frames.stamps, np.sort(np.tile(regular(10), 2)))
    assert why_no_pairs(frames, PairingSettings()) == "all thermal stamps are 0"


def recorded_late(rgb: np.ndarray, thermal: np.ndarray, late_ms: tuple[int, int]) -> FrameLog:
    """Return frames in the order of recording, each camera so long after its stamps."""
    log_times = np.concatenate((rgb + late_ms[0] * MS, thermal + late_ms[1] * MS))
    order = np.argsort(log_times, kind="stable")
    cameras = np.repeat(np.array((0, 1), np.int8), (len(rgb), len(thermal)))
    return FrameLog(cameras[order], np.concatenate((rgb, thermal))[order], log_times[order])


def test_partners_that_were_recorded_too_far_apart_are_no_matter_of_the_slop() -> None:
    frames = recorded_late(regular(150), regular(100), (5, 2005))
    settings = PairingSettings(slop=0.01, queue_size=10)
    found = why_no_pairs(frames, settings)
    assert preview_pairing(frames, settings).pairs == 0
    assert found.startswith(
        "100 of 100 thermal frames have a partner within the slop, but the two were recorded 2.000 s apart"
    )
    assert (
        "at most 10 frames of a stream wait (sync.queue_size); dropped: rgb_no_partner 10, rgb_queue_full 140" in found
    )


@pytest.mark.parametrize(
    ("shift_ms", "late_ms", "clocks"),
    [
        (0, (5, 2005), False),  # the same stamps, recorded later
        (0, (2005, 5), False),
        (2000, (5, -1995), True),  # thermal stamps lie in the future
        (-20_000, (5, 20_005), True),  # no stamps in common
        (-6000, (5, 6005), True),  # of another clock than the recorder's
    ],
)
def test_a_camera_that_is_recorded_late_is_not_one_of_another_clock(
    shift_ms: int, late_ms: tuple[int, int], clocks: bool
) -> None:
    frames = recorded_late(regular(100), regular(100) + shift_ms * MS, late_ms)
    assert clock_difference(frames) == pytest.approx((late_ms[0] - late_ms[1]) / 1000)
    assert different_clocks(frames) == clocks
