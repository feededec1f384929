"""RGB frames that are owed a thermal frame: which they are, and what they get."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbt_seg_ros.pipeline.pairing.gaps import Rhythm
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, Pair, PairingSettings

MS = 1_000_000
Events = list[tuple[int, bool]]


def camera(start: int, period: int, frames: int, lost: Iterable[int] = ()) -> list[int]:
    """Return the times of a steady stream (ms) but for the frames of these numbers."""
    return [start + period * number for number in range(frames) if number not in set(lost)]


def pair_up(
    rgb: list[int], thermal: list[int], **settings: float | bool
) -> tuple[list[tuple[int, int]], NearestPairer]:
    """Give the frames in the order of their times (ms); return the times of the pairs."""
    target = NearestPairer(PairingSettings(**settings))  # type: ignore[arg-type]
    pairs: list[Pair] = []
    for time, is_rgb in sorted([(t, True) for t in rgb] + [(t, False) for t in thermal]):
        pairs += (target.add_rgb if is_rgb else target.add_thermal)(time * MS, None)
    pairs += target.flush()
    return [(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs], target


def test_an_rgb_frame_whose_thermal_frame_was_lost_takes_the_nearest_one() -> None:
    rgb, thermal = camera(0, 33, 12), camera(10, 33, 12, lost=(7,))
    pairs, target = pair_up(rgb, thermal)
    # Thermal frame 6 is 23 ms before it, frame 8 is 43 ms after.
    assert pairs == [(time, time + 10 if time != 231 else 208) for time in rgb]
    counts = target.counters()
    assert (counts.pairs, counts.reused, sum(counts.dropped.values())) == (12, 1, 0)


def test_it_is_dropped_where_it_is_told_to_be_or_has_none_within_the_slop() -> None:
    rgb, thermal = camera(0, 33, 12), camera(10, 33, 12, lost=(7,))
    for settings in ({"fill_gaps": False}, {"slop": 0.022}):
        pairs, target = pair_up(rgb, thermal, **settings)
        assert 231 not in dict(pairs)
        assert target.counters().dropped["rgb_no_partner"] == 1
        assert len(pairs) == 11


def test_every_one_of_several_that_were_lost_in_a_row_is_replaced_within_the_slop() -> None:
    rgb, thermal = camera(0, 33, 16), camera(4, 33, 16, lost=(7, 8, 9))
    pairs, target = pair_up(rgb, thermal)
    replaced = {231: 202, 297: 334}
    assert pairs == [(time, replaced.get(time, time + 4)) for time in rgb if time != 264]
    assert target.counters().dropped["rgb_no_partner"] == 1


@pytest.mark.parametrize(("rgb_period", "thermal_period"), [(33, 111), (16, 33), (33, 40), (33, 33)])
def test_a_camera_that_is_only_slower_has_lost_nothing(rgb_period: int, thermal_period: int) -> None:
    rgb, thermal = camera(0, rgb_period, 120), camera(7, thermal_period, 120 * rgb_period // thermal_period)
    assert pair_up(rgb, thermal)[0] == pair_up(rgb, thermal, fill_gaps=False)[0]


@pytest.mark.parametrize("jitter", [0, 2])
def test_one_rgb_frame_of_a_faster_camera_takes_the_place_for_each_that_was_lost(jitter: int) -> None:
    random = np.random.default_rng(4)
    rgb = [time + int(random.integers(-jitter, jitter + 1)) for time in camera(100, 16, 300)]
    thermal = [time + int(random.integers(-jitter, jitter + 1)) for time in camera(103, 32, 150, lost=(20, 40, 41, 77))]
    with_them, without = pair_up(rgb, thermal)[0], pair_up(rgb, thermal, fill_gaps=False)[0]
    more = sorted(set(with_them) - set(without))
    assert set(without) <= set(with_them)
    assert [round((time - 103) / 32) for time, _ in more] == [20, 40, 41, 77]
    # The cadence of the masks stays that of the thermal camera.
    assert all(24 <= after - before <= 40 for (before, _), (after, _) in pairwise(with_them))


def test_a_camera_that_changes_its_rate_has_lost_nothing_once_that_is_its_rhythm() -> None:
    rgb = camera(0, 33, 200)
    thermal = camera(5, 33, 100) + camera(5 + 33 * 100, 66, 50)
    pairs, _ = pair_up(rgb, thermal)
    late = [thermal_time for rgb_time, thermal_time in pairs if rgb_time > 33 * 118]
    assert len(late) == len(set(late)) > 35


def test_nothing_is_known_before_a_rhythm_is() -> None:
    rgb, thermal = camera(0, 33, 6), camera(5, 33, 6, lost=(2,))
    assert 66 not in dict(pair_up(rgb, thermal)[0])
    rhythm = Rhythm()
    for time in (0, 10, 20, 30, 40):
        rhythm.observe(time)
        assert rhythm.interval == 0
    for time in (70, 80):
        rhythm.observe(time)
        assert rhythm.interval == 10


def test_a_pause_of_the_thermal_camera_is_filled_at_its_ends_only() -> None:
    """A shutter that closes for half a second."""
    rgb, thermal = camera(0, 33, 60), camera(5, 33, 60, lost=range(20, 35))
    with_them, without = pair_up(rgb, thermal)[0], pair_up(rgb, thermal, fill_gaps=False)[0]
    assert sorted(set(with_them) - set(without)) == [(660, 632), (1122, 1160)]


def test_cameras_of_one_rate_in_opposite_phase_leave_no_rgb_frame_alone() -> None:
    """Jitter decides which neighbour is the closer one, and where that changes a frame of each is left over."""
    random = np.random.default_rng(2)
    rgb = [time + int(random.integers(-4, 5)) for time in camera(100, 33, 300)]
    thermal = [time + int(random.integers(-4, 5)) for time in camera(116, 33, 300)]
    assert len(pair_up(rgb, thermal, fill_gaps=False)[0]) < 295
    pairs, target = pair_up(rgb, thermal)
    assert len(pairs) >= 299
    assert max(abs(r - t) for r, t in pairs) <= 33
    assert target.counters().dropped["thermal_no_partner"] > 5


# A stream with a rhythm, some jitter and losses.
streams = st.builds(
    lambda start, period, jitter, lost: [
        start + period * number + jitter[number % len(jitter)] for number in range(30) if number not in lost
    ],
    st.integers(20, 60),
    st.sampled_from([16, 33, 40, 111]),
    st.lists(st.integers(-5, 5), min_size=1, max_size=7),
    st.sets(st.integers(6, 28), max_size=8),
)


@given(streams, streams, st.lists(st.booleans(), max_size=60), st.booleans())
def test_they_are_more_pairs_beside_the_same_ones_in_order_whichever_stream_is_ahead(
    rgb: list[int], thermal: list[int], choices: list[bool], periodic: bool
) -> None:
    def run(order: Events, **settings: bool) -> tuple[list[tuple[int, int]], NearestPairer]:
        target = NearestPairer(PairingSettings(queue_size=100, **settings))
        pairs: list[Pair] = []
        for time, is_rgb in order:
            pairs += (target.add_rgb if is_rgb else target.add_thermal)(time * MS, None)
            counts = target.counters()
            rgb_drops = sum(count for reason, count in counts.dropped.items() if reason.startswith("rgb"))
            thermal_drops = sum(counts.dropped.values()) - rgb_drops
            assert counts.received_rgb == counts.pairs + rgb_drops + counts.waiting_rgb
            assert counts.received_thermal == counts.paired_thermal + thermal_drops + counts.waiting_thermal
        pairs += target.flush()
        return [(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs], target

    merged = sorted([(t, True) for t in rgb] + [(t, False) for t in thermal])
    replaced, target = run(merged, assume_periodic=periodic)
    plain, _ = run(merged, assume_periodic=periodic, fill_gaps=False)
    assert set(plain) <= set(replaced)
    assert replaced == sorted(replaced)
    assert all(abs(r - t) <= 50 for r, t in replaced)
    assert len({r for r, _ in replaced}) == len(replaced)
    assert [t for _, t in replaced] == sorted(t for _, t in replaced)
    assert target.counters().paired_thermal == len({t for _, t in replaced}) == len(plain)
    mixed, left = [], {True: list(rgb), False: list(thermal)}
    for is_rgb in choices:
        if left[is_rgb]:
            mixed.append((left[is_rgb].pop(0), is_rgb))
    mixed += [(time, is_rgb) for is_rgb in (True, False) for time in left[is_rgb]]
    assert run(mixed, assume_periodic=False)[0] == run(merged, assume_periodic=False)[0]


def test_a_new_lap_of_a_bag_begins_without_what_was_known() -> None:
    target = NearestPairer()
    laps = []
    for _ in range(3):
        pairs: list[Pair] = []
        for number in range(30):
            pairs += target.add_rgb(33 * number * MS, None)
            if number != 7:
                pairs += target.add_thermal((33 * number + 10) * MS, None)
        laps.append([(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs])
    # The last pair of a lap is not certain by its end.
    assert laps[0] == [(33 * number, 33 * number + 10 if number != 7 else 208) for number in range(29)]
    assert laps[0] == laps[1] == laps[2]


@pytest.mark.parametrize("late", [500, 990, 1000, 1010, 1040, 1100])
@pytest.mark.parametrize("queue_size", [1, 2, 15, 30])
def test_nothing_is_filled_by_guess_where_a_queue_is_too_short_for_streams_far_apart(
    late: int, queue_size: int
) -> None:
    """RGB frames that come so much later than thermal frames of the same time."""
    events = [(t + late, t, True) for t in camera(0, 33, 200)] + [(t, t, False) for t in camera(3, 33, 200)]

    def run(**settings: bool) -> list[tuple[int, int]]:
        target = NearestPairer(PairingSettings(queue_size=queue_size, **settings))
        pairs = [
            pair
            for _, time, is_rgb in sorted(events)
            for pair in (target.add_rgb if is_rgb else target.add_thermal)(time * MS, None)
        ]
        return [(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs]

    assert run() == run(fill_gaps=False)


def test_thermal_frames_of_another_time_are_not_kept() -> None:
    target, images = NearestPairer(), []
    for number in range(60):
        target.add_rgb((3_600_000 + 33 * number) * MS, None)
        image = np.zeros(1)
        images.append(weakref.ref(image))
        target.add_thermal(33 * number * MS, image)
        del image
    assert target.counters().waiting_thermal == 0
    assert sum(entry() is not None for entry in images) <= 1


def test_thermal_frames_are_let_go_of_once_later_ones_are_nearer() -> None:
    target, images = NearestPairer(), []
    for number in range(40):
        target.add_rgb(33 * number * MS, None)
        image = np.zeros(1)
        images.append(weakref.ref(image))
        target.add_thermal((33 * number + 10) * MS, image)
        del image
        assert sum(entry() is not None for entry in images) <= 3
