"""What the pairs of ``nearest`` are by definition, what a frame costs, and frames that break a promise."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, PairingSettings
from rgbt_seg_ros.pipeline.pairing.stamps import StreamClock

MS = 1_000_000
Match = tuple[int, int]

times = st.lists(st.integers(0, 14), unique=True, max_size=5).map(sorted)


def ordered_matchings(rgb: list[int], thermal: list[int], slop: int) -> Iterator[tuple[Match, ...]]:
    """Every set of pairs within the slop that uses a frame once and crosses nowhere."""
    if not rgb:
        yield ()
        return
    yield from ordered_matchings(rgb[1:], thermal, slop)
    for index, time in enumerate(thermal):
        if abs(rgb[0] - time) <= slop:
            for rest in ordered_matchings(rgb[1:], thermal[index + 1 :], slop):
                yield ((rgb[0], time), *rest)


def is_stable(matching: tuple[Match, ...], rgb: list[int], thermal: list[int], slop: int) -> bool:
    """No two frames would both gain as partners, unless they crossed a pair that is neither's own."""
    alone = (math.inf, 0)
    rank = {pair: (abs(pair[0] - pair[1]), sum(pair)) for pair in ((r, t) for r in rgb for t in thermal)}
    of_rgb = {r: rank[r, t] for r, t in matching}
    of_thermal = {t: rank[r, t] for r, t in matching}
    for (r, t), closeness in rank.items():
        if closeness[0] <= slop and closeness < of_rgb.get(r, alone) and closeness < of_thermal.get(t, alone):
            others = [pair for pair in matching if pair[0] != r and pair[1] != t]
            if all((other_r < r) == (other_t < t) for other_r, other_t in others):
                return False
    return True


@given(times, times, st.integers(0, 6))
def test_the_pairs_are_the_only_stable_ones(rgb: list[int], thermal: list[int], slop: int) -> None:
    target = NearestPairer(PairingSettings(slop=slop * 1e-9, assume_periodic=False))
    pairs = [pair for time in rgb for pair in target.add_rgb(time, None)]
    pairs += [pair for time in thermal for pair in target.add_thermal(time, None)]
    pairs += target.flush()
    stable = [m for m in ordered_matchings(rgb, thermal, slop) if is_stable(m, rgb, thermal, slop)]
    assert stable == [tuple((pair.rgb_stamp, pair.thermal_stamp) for pair in pairs)]


def lines_run(action: Callable[[], object]) -> int:
    """Return how many lines of the pairing modules ``action`` runs: a measure of work that no other load moves."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if "/pipeline/pairing/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("queue_size", [20, 10_000])
def test_shrinking_gaps_cost_no_more_for_each_frame_the_longer_they_shrink(reuse: bool, queue_size: int) -> None:
    """Every gap is a little smaller than the last, so that nothing is decided for as long as possible."""

    def cost(frames: int) -> float:
        target = NearestPairer(PairingSettings(queue_size=queue_size, assume_periodic=False, reuse_thermal=reuse))

        def play() -> None:
            time, gap = 0, 40 * MS
            for number in range(frames):
                (target.add_thermal if number % 2 else target.add_rgb)(time, None)
                time += gap
                gap -= 40 * MS // (frames + 1)

        return lines_run(play) / frames

    assert cost(2000) < 1.2 * cost(200)


def test_a_frame_far_earlier_than_its_rate_is_not_paired_over_the_slop() -> None:
    target = NearestPairer(PairingSettings(slop=0.05))
    for time in (0, 400, 800):
        target.add_thermal(time * MS, None)
    assert target.add_rgb(990 * MS, None) == []  # no thermal frame is expected before 1000
    assert target.add_thermal(900 * MS, None) == []
    pairs = target.add_thermal(1000 * MS, None) + target.flush()
    assert [(pair.rgb_stamp // MS, pair.thermal_stamp // MS) for pair in pairs] == [(990, 1000)]


def test_a_full_queue_inside_a_run_leaves_frames_of_one_stream_unpaired() -> None:
    target = NearestPairer(PairingSettings(slop=0.05, queue_size=2, assume_periodic=False))
    target.add_rgb(0, "rgb 0")
    target.add_thermal(20 * MS, "thermal 20")
    target.add_rgb(39 * MS, "rgb 39")
    assert target.add_thermal(57 * MS, "thermal 57") == []
    assert target.add_thermal(60 * MS, "thermal 60") == []
    counts = target.counters()
    assert (counts.dropped["thermal_queue_full"], counts.dropped["rgb_no_partner"]) == (1, 1)
    assert (counts.waiting_rgb, counts.waiting_thermal) == (1, 2)
    assert [(pair.rgb, pair.thermal) for pair in target.flush()] == [("rgb 39", "thermal 57")]


def test_the_next_frame_is_expected_half_the_shortest_of_eight_intervals_later() -> None:
    clock = StreamClock(assume_periodic=True)
    assert clock.earliest_next() == -math.inf
    for time in (0, 100, 140, 240):
        clock.observe(time)
    assert clock.earliest_next() == 260
    for number in range(1, 8):
        clock.observe(240 + 100 * number)
    assert clock.earliest_next() == 940 + 50  # the interval of 40 is the ninth last


def test_without_the_assumption_the_next_frame_may_come_at_once() -> None:
    clock = StreamClock(assume_periodic=False)
    clock.observe(0)
    clock.observe(100)
    assert clock.earliest_next() == 101
