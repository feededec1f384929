"""When two cameras take and stamp their frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.reader import BagError
from rgbt_seg_ros.data.bags.timing import DEFAULT_START, Timing, captures

MS = 1_000_000


def stamps(timing, count, camera):
    return [getattr(capture, camera) for capture in captures(timing, count) if getattr(capture, camera) is not None]


def test_the_thermal_camera_takes_the_nearest_rgb_instant():
    taken = [capture.index for capture in captures(Timing(30, 9), 31) if capture.thermal is not None]
    assert taken == [0, 3, 7, 10, 13, 17, 20, 23, 27, 30]
    # Halfway between two frames, the later one.
    assert [capture.index for capture in captures(Timing(3, 2), 7) if capture.thermal is not None] == [0, 2, 3, 5, 6]


def test_stamps_are_instants_and_a_delay_without_drift():
    timing = Timing(30, 10, thermal_delay=0.04, start=5_000_000_000)
    found = list(captures(timing, 3001))
    assert [capture.rgb for capture in found[:4]] == [5_000_000_000, 5_033_333_333, 5_066_666_667, 5_100_000_000]
    assert found[3000].rgb == 105_000_000_000
    assert [capture.thermal for capture in found[:4]] == [5_040_000_000, None, None, 5_140_000_000]


def test_jitter_is_a_clipped_gaussian_of_the_seed():
    timing = Timing(30, thermal_jitter=0.004, seed=5)
    offsets = np.array([capture.thermal - capture.rgb for capture in captures(timing, 4000)]) / 1e9
    assert offsets.std() == pytest.approx(0.004, rel=0.05)
    assert abs(offsets.mean()) < 0.0003
    assert abs(offsets).max() == 0.012
    assert stamps(timing, 50, "rgb") == stamps(Timing(30), 50, "rgb")
    assert stamps(timing, 50, "thermal") == stamps(timing, 4000, "thermal")[:50]
    assert stamps(timing, 50, "thermal") != stamps(Timing(30, thermal_jitter=0.004, seed=6), 50, "thermal")
    both = Timing(30, rgb_jitter=0.004, thermal_jitter=0.004, seed=5)
    assert stamps(both, 50, "rgb") != stamps(both, 50, "thermal")


def test_the_most_jitter_allowed_keeps_the_order_of_stamps():
    timing = Timing(100, 33, rgb_jitter=0.00166, thermal_jitter=0.0049)
    for camera in ("rgb", "thermal"):
        assert all(a < b for a, b in pairwise(stamps(timing, 20_000, camera)))


def test_losses_are_a_share_of_each_stream_and_leave_the_other_stamps_as_they_are():
    whole, less = Timing(thermal_jitter=0.002, seed=3), Timing(thermal_jitter=0.002, seed=3, drop=0.2)
    lost = {"rgb": set(), "thermal": set()}
    for full, found in zip(captures(whole, 4000), captures(less, 4000), strict=True):
        assert found.rgb in (None, full.rgb)
        assert found.thermal in (None, full.thermal)
        for camera, indices in lost.items():
            if getattr(found, camera) is None:
                indices.add(full.index)
    assert [len(indices) / 4000 for indices in lost.values()] == pytest.approx([0.2, 0.2], abs=0.02)
    assert lost["rgb"] != lost["thermal"]


@pytest.mark.parametrize("delay", [0.25, -0.25])
def test_every_stamp_lies_between_its_bounds(delay):
    timing = Timing(30, 9, delay, rgb_jitter=0.005, thermal_jitter=0.01)
    found = list(captures(timing, 500))
    for index in range(0, 500, 50):
        later = [s for capture in found[index:] for s in (capture.rgb, capture.thermal) if s is not None]
        earlier = [s for capture in found[: index + 1] for s in (capture.rgb, capture.thermal) if s is not None]
        assert timing.earliest(index) <= min(later)
        assert timing.latest(index) >= max(earlier)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rate": 0}, "rate of 0 Hz; expected more than 0"),
        ({"rate": -30}, "rate of -30 Hz"),
        ({"rate": float("nan")}, "rate of nan Hz"),
        ({"thermal_rate": 0}, "thermal rate of 0 Hz; expected at least 0.001"),
        ({"thermal_rate": 1e-308}, "thermal rate of 1e-308 Hz; expected at least 0.001"),
        ({"thermal_rate": 31}, "thermal rate of 31 Hz; expected at most the RGB rate, 30 Hz"),
        ({"thermal_delay": float("inf")}, "thermal delay of inf s"),
        ({"thermal_delay": 11}, "thermal delay of 11 s; expected at most 10 s"),
        ({"thermal_jitter": -0.1}, "thermal jitter of -0.1 s"),
        ({"thermal_jitter": float("nan")}, "thermal jitter of nan s"),
        ({"thermal_jitter": 0.0056}, "thermal jitter of 0.0056 s; expected less than 0.00556, .* in another order"),
        (
            {"thermal_rate": 9, "thermal_jitter": 0.017},
            "thermal jitter of 0.017 s; expected less than 0.0167, .* 0.1 s",
        ),
        ({"rgb_jitter": 0.0056}, "RGB jitter of 0.0056 s"),
        ({"drop": 1}, "share of 1 lost frames; expected 0 to below 1"),
        ({"drop": -0.1}, "share of -0.1"),
        ({"seed": 2**32}, r"seed 4294967296; expected 0 to below 2\*\*32"),
        ({"start": -1}, "start at .* no stamp is below 0"),
        ({"start": 0, "thermal_delay": -0.1}, "start at 0 s; expected .* no stamp is below 0"),
    ],
)
def test_what_no_camera_does_is_refused(values, sentence):
    with pytest.raises(BagError, match=sentence):
        Timing(**values)


def test_stamps_beyond_ros_time_are_refused_before_the_first_frame():
    last = Timing(1, start=(2**31 - 10) * 1_000 * MS)
    assert len(stamps(last, 10, "rgb")) == 10
    with pytest.raises(BagError, match=r"11 frames from .*; expected all stamps before 2\*\*31 s"):
        captures(last, 11)
    assert stamps(Timing(), 1, "rgb") == [DEFAULT_START]
