"""Policy ``nearest`` against a brute-force definition, and against what cameras and bags do wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, Pair, PairingError, PairingSettings

MS = 1_000_000
SLOP = 50
Event = tuple[str, int]

# Small integers: ties, coincidences and gaps at exactly the slop are common. One unit is a millisecond.
times = st.lists(st.integers(0, 400), unique=True, max_size=14).map(sorted)
short_times = st.lists(st.integers(0, 30), unique=True, max_size=10).map(sorted)
any_events = st.lists(st.tuples(st.sampled_from(["rgb", "thermal"]), st.integers(0, 3000)), max_size=60)


def pairer(**settings: float | bool) -> NearestPairer:
    """Make one that replaces nothing: see test_pairing_gaps.py."""
    given = {"slop": SLOP / 1000, "queue_size": 100, "fill_gaps": False, **settings}
    return NearestPairer(PairingSettings(**given))  # type: ignore[arg-type]


def feed(target: NearestPairer, events: Iterable[Event]) -> list[Pair]:
    """Give frames whose item is their place in ``events``; stamps in milliseconds."""
    pairs = []
    for number, (stream, time) in enumerate(events):
        add = target.add_rgb if stream == "rgb" else target.add_thermal
        pairs += add(time * MS, number)
    return pairs


def stamps(pairs: Iterable[Pair]) -> list[tuple[int, int]]:
    return [(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs]


def merged(rgb: list[int], thermal: list[int]) -> list[Event]:
    """Return the frames in the order of their stamps."""
    return sorted([("rgb", t) for t in rgb] + [("thermal", t) for t in thermal], key=lambda event: event[1])


def interleave(rgb: list[int], thermal: list[int], choices: Iterable[bool]) -> list[Event]:
    """Return the frames of each stream in order, the streams mixed as ``choices`` say."""
    queues = {"rgb": list(rgb), "thermal": list(thermal)}
    events: list[Event] = []
    for rgb_first in itertools.chain(choices, itertools.repeat(True)):
        order = ("rgb", "thermal") if rgb_first else ("thermal", "rgb")
        stream = next((s for s in order if queues[s]), None)
        if stream is None:
            return events
        events.append((stream, queues[stream].pop(0)))
    raise AssertionError


def one_to_one(rgb: list[int], thermal: list[int], slop: int = SLOP) -> list[tuple[int, int]]:
    """Take the pairs within the slop, closest first, of equals the earlier; keep the free and uncrossed."""
    kept: list[tuple[int, int]] = []
    candidates = [(abs(r - t), r + t, r, t) for r in rgb for t in thermal if abs(r - t) <= slop]
    for _, _, r, t in sorted(candidates):
        if all((r < other_r and t < other_t) or (r > other_r and t > other_t) for other_r, other_t in kept):
            kept.append((r, t))
    return sorted(kept)


def nearest_of_each(rgb: list[int], thermal: list[int], slop: int = SLOP) -> list[tuple[int, int]]:
    best = [(r, min(thermal, key=lambda t: (abs(t - r), t))) for r in rgb if thermal]
    return [(r, t) for r, t in best if abs(r - t) <= slop]


def assert_every_frame_counted(target: NearestPairer) -> None:
    counts = target.counters()
    dropped = {s: sum(n for k, n in counts.dropped.items() if k.startswith(s)) for s in ("rgb", "thermal")}
    assert counts.received_rgb == counts.pairs + dropped["rgb"] + counts.waiting_rgb
    assert counts.received_thermal == counts.paired_thermal + dropped["thermal"] + counts.waiting_thermal


@given(times, times, st.lists(st.booleans(), max_size=28))
def test_pairs_are_the_stable_matching_whatever_the_interleaving(
    rgb: list[int], thermal: list[int], choices: list[bool]
) -> None:
    target = pairer(assume_periodic=False)
    pairs = feed(target, interleave(rgb, thermal, choices)) + target.flush()
    assert stamps(pairs) == one_to_one(rgb, thermal)
    assert_every_frame_counted(target)
    assert target.counters().waiting_rgb == target.counters().waiting_thermal == 0


@given(times, times, st.lists(st.booleans(), max_size=28))
def test_reuse_gives_every_rgb_frame_its_nearest_thermal_frame(
    rgb: list[int], thermal: list[int], choices: list[bool]
) -> None:
    target = pairer(assume_periodic=False, reuse_thermal=True)
    pairs = feed(target, interleave(rgb, thermal, choices)) + target.flush()
    assert stamps(pairs) == nearest_of_each(rgb, thermal)
    assert_every_frame_counted(target)
    assert target.counters().waiting_rgb == target.counters().waiting_thermal == 0
    assert target.counters().paired_thermal == len({pair.thermal_stamp for pair in pairs})


@given(short_times, short_times, st.lists(st.booleans(), max_size=20), st.booleans())
def test_exactly_the_pairs_that_no_next_frame_can_change_are_out(
    rgb: list[int], thermal: list[int], choices: list[bool], reuse: bool
) -> None:
    """Here one unit of time is a nanosecond, and the slop 5, so that every next frame can be tried."""
    slop = 5
    target = pairer(slop=slop * 1e-9, assume_periodic=False, reuse_thermal=reuse)
    emitted = []
    for stream, time in interleave(rgb, thermal, choices):
        add = target.add_rgb if stream == "rgb" else target.add_thermal
        emitted += [(pair.rgb_stamp, pair.thermal_stamp) for pair in add(time, None)]
    definition = nearest_of_each if reuse else one_to_one
    outcomes = [set(definition(rgb, thermal, slop))]
    for time in range(-slop, 40 + slop):
        if time > max(rgb, default=-99):
            outcomes.append(set(definition([*rgb, time], thermal, slop)))
        if time > max(thermal, default=-99):
            outcomes.append(set(definition(rgb, [*thermal, time], slop)))
    assert emitted == sorted(set.intersection(*outcomes))


@given(any_events, st.booleans(), st.booleans(), st.integers(1, 5))
def test_any_input_keeps_slop_order_counts_and_bounds(
    events: list[Event], reuse: bool, periodic: bool, size: int
) -> None:
    target = pairer(reuse_thermal=reuse, assume_periodic=periodic, queue_size=size)
    used: list[tuple[int, int]] = []
    for number, (stream, time) in enumerate(events):
        add = target.add_rgb if stream == "rgb" else target.add_thermal
        for pair in add(time * MS, number):
            assert abs(pair.rgb_stamp - pair.thermal_stamp) <= SLOP * MS
            assert abs(pair.offset) <= SLOP / 1000
            used.append((pair.rgb, pair.thermal))
        assert target.counters().waiting_rgb <= size
        assert target.counters().waiting_thermal <= size
        assert_every_frame_counted(target)
    used += [(pair.rgb, pair.thermal) for pair in target.flush()]
    assert_every_frame_counted(target)
    assert len({r for r, _ in used}) == len(used) == target.counters().pairs
    assert used == sorted(used)
    if not reuse:
        assert len({t for _, t in used}) == len(used)


def camera(start: int, period: int, frames: int) -> list[int]:
    return [start + period * i for i in range(frames)]


def test_a_steady_pair_comes_with_its_second_frame() -> None:
    target = pairer()
    feed(target, merged(camera(0, 33, 10), camera(5, 33, 10)))
    assert feed(target, [("rgb", 330)]) == []
    assert stamps(feed(target, [("thermal", 335)])) == [(330, 335)]


def test_equal_stamps_pair_at_once() -> None:
    assert stamps(feed(pairer(assume_periodic=False), [("thermal", 7), ("rgb", 7)])) == [(7, 7)]


def test_the_closer_partner_wins_over_the_first() -> None:
    target = pairer()
    pairs = feed(target, [("rgb", 0), ("thermal", 20), ("rgb", 33), ("thermal", 53)])
    assert stamps(pairs + target.flush())[0] == (33, 20)


def test_the_slop_is_inclusive() -> None:
    target = pairer()
    assert stamps(feed(target, [("rgb", 0), ("thermal", SLOP)]) + target.flush()) == [(0, SLOP)]
    target = pairer()
    assert feed(target, [("rgb", 0), ("thermal", SLOP + 1)]) + target.flush() == []


def test_thermal_offset_moves_thermal_frames_only_for_pairing() -> None:
    target = pairer(thermal_offset=-0.120)
    (pair,) = feed(target, [("rgb", 1000), ("thermal", 1122)]) + target.flush()
    assert (pair.rgb_stamp, pair.thermal_stamp) == (1000 * MS, 1122 * MS)
    assert pair.offset == pytest.approx(0.002)


def test_a_frame_earlier_than_its_rate_is_still_used() -> None:
    target = pairer()
    feed(target, merged(camera(0, 40, 6), camera(18, 40, 5)))
    feed(target, [("thermal", 212), ("thermal", 216), ("rgb", 217)])
    target.flush()
    assert_every_frame_counted(target)
    assert target.counters().pairs == 7


def test_reuse_serves_a_fast_rgb_camera() -> None:
    target = pairer(reuse_thermal=True, slop=0.06)
    pairs = feed(target, merged(camera(0, 33, 30), camera(0, 111, 9))) + target.flush()
    assert target.counters().pairs == len(pairs) >= 28
    assert target.counters().paired_thermal == 9


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("thermal_delay", [0, 200])
@pytest.mark.parametrize("lap", [50, 4])
def test_three_laps_of_a_bag_pair_alike(reuse: bool, thermal_delay: int, lap: int) -> None:
    arrivals = []
    for number in range(3):
        begin = number * (lap * 33 + 500)
        arrivals += [(begin + t, "rgb", t) for t in camera(0, 33, lap)]
        arrivals += [(begin + t + thermal_delay, "thermal", t) for t in camera(4, 33, lap)]
    target = pairer(reuse_thermal=reuse, queue_size=30)
    pairs = feed(target, [(s, t) for _, s, t in sorted(arrivals)]) + target.flush()
    assert stamps(pairs) == [(t, t + 4) for t in camera(0, 33, lap)] * 3


def test_stragglers_of_the_old_lap_harm_no_new_frame() -> None:
    target = pairer()
    old = merged(camera(10_000, 33, 20), camera(10_004, 33, 14))
    late = [("thermal", t) for t in camera(10_004 + 14 * 33, 33, 6)]
    rgb, thermal = camera(0, 33, 20), camera(4, 33, 20)
    mixed = list(itertools.chain(*zip([("rgb", t) for t in rgb[:6]], late, strict=True)))
    feed(target, old)
    pairs = feed(target, mixed + [("thermal", t) for t in thermal[:6]] + merged(rgb[6:], thermal[6:]))
    assert stamps(pairs + target.flush()) == list(zip(rgb, thermal, strict=True))
    counts = target.counters()
    assert counts.dropped["thermal_reset"] == 6
    assert counts.dropped["rgb_reset"] == 6
    assert_every_frame_counted(target)


def test_a_forward_jump_of_both_streams_goes_on() -> None:
    target = pairer()
    events = merged(camera(0, 33, 10), camera(4, 33, 10))
    jumped = merged(camera(3_600_000, 33, 10), camera(3_600_004, 33, 10))
    assert len(feed(target, events + jumped) + target.flush()) == 20


YEAR_2100 = 4_102_444_800_000


@pytest.mark.parametrize("stream", ["rgb", "thermal"])
@pytest.mark.parametrize("wrong", [YEAR_2100, 0])
@pytest.mark.parametrize("thermal_delay", [0, 200])
def test_one_wrong_stamp_costs_half_a_second_at_most(stream: str, wrong: int, thermal_delay: int) -> None:
    begin = 1_700_000_000_000
    arrivals = [(t, "rgb", t) for t in camera(begin, 33, 60)]
    arrivals += [(t + thermal_delay, "thermal", t) for t in camera(begin + 4, 33, 60)]
    events = [(s, t) for _, s, t in sorted(arrivals)]
    spoilt = next(i for i, (s, t) in enumerate(events) if s == stream and t > begin + 600)
    events[spoilt] = (stream, wrong)
    target = pairer(queue_size=30)
    pairs = feed(target, events) + target.flush()
    assert len(pairs) >= 60 - 16
    assert stamps(pairs)[-25:] == list(zip(camera(begin, 33, 60)[-25:], camera(begin + 4, 33, 60)[-25:], strict=True))
    assert_every_frame_counted(target)


def test_streams_whose_stamps_are_all_zero_are_counted_as_duplicates() -> None:
    target = pairer()
    pairs = feed(target, [("rgb", 0), ("thermal", 0)] * 20)
    assert stamps(pairs) == [(0, 0)]
    assert target.counters().dropped["rgb_duplicate"] == 19
    assert target.counters().dropped["thermal_duplicate"] == 19


def test_one_swapped_frame_is_dropped_and_two_restart() -> None:
    target = pairer()
    feed(target, [("rgb", 100), ("rgb", 90), ("rgb", 110)])
    assert target.counters().dropped["rgb_out_of_order"] == 1
    assert target.counters().waiting_rgb == 2
    feed(target, [("rgb", 95), ("rgb", 99)])
    assert target.counters().dropped["rgb_out_of_order"] == 2
    assert target.counters().dropped["rgb_reset"] == 2
    assert target.counters().waiting_rgb == 1


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("stream", ["rgb", "thermal"])
def test_a_lone_stream_keeps_the_newest_frames_only(stream: str, reuse: bool) -> None:
    target = pairer(queue_size=30, reuse_thermal=reuse)
    feed(target, [(stream, t) for t in camera(0, 33, 100)])
    counts = target.counters()
    assert counts.dropped[f"{stream}_queue_full"] == 70
    assert counts.waiting_rgb + counts.waiting_thermal == 30


def test_no_partner_is_told_as_soon_as_it_is_certain() -> None:
    target = pairer(assume_periodic=False)
    feed(target, [("rgb", 0), ("thermal", SLOP - 1)])
    assert target.counters().dropped["rgb_no_partner"] == 0
    target = pairer(assume_periodic=False)
    feed(target, [("rgb", 0), ("thermal", SLOP + 1)])
    assert target.counters().dropped["rgb_no_partner"] == 1


def test_reset_forgets_stamps_and_keeps_counters() -> None:
    target = pairer()
    feed(target, [("rgb", 100), ("rgb", 133)])
    target.reset()
    assert target.counters().dropped["rgb_reset"] == 2
    assert stamps(feed(target, [("thermal", 100), ("rgb", 100)])) == [(100, 100)]
    assert target.counters().received_rgb == 3
    assert_every_frame_counted(target)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slop", -0.1),
        ("slop", float("nan")),
        ("queue_size", 0),
        ("queue_size", 2.5),
        ("thermal_offset", float("inf")),
    ],
)
def test_wrong_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(PairingError, match=f"^{name}: {value} is not allowed; expected ") as caught:
        PairingSettings(**{name: value})  # type: ignore[arg-type]
    assert isinstance(caught.value, UserError)
