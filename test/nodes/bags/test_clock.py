"""When a message is due, and what /clock tells."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.nodes.bags.clock import Pace, Ticker

SECOND = 1_000_000_000
FIRST = 1_700_000_000 * SECOND


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_a_message_is_due_when_the_bags_time_is_its_log_time(rate):
    pace = Pace(begin=50, first=FIRST, rate=rate)
    assert pace.due(FIRST) == 50
    assert pace.due(FIRST + 6 * SECOND) == 50 + round(6 * SECOND / rate)
    assert pace.time(pace.due(FIRST + 6 * SECOND)) == FIRST + 6 * SECOND


def test_ticks_come_at_their_rate_with_the_bags_time():
    told = []
    ticker = Ticker(told.append, hz=10)
    ticker.tick(0)
    assert told == []
    ticker.start(Pace(begin=SECOND, first=FIRST, rate=2.0))
    for now in (1.0, 1.001, 1.1, 1.199, 1.2):
        ticker.tick(round(now * SECOND))
    assert told == [FIRST, FIRST + SECOND // 5, FIRST + 2 * SECOND // 5]


def test_ticks_that_were_missed_are_not_made_up_for():
    told = []
    ticker = Ticker(told.append, hz=10)
    ticker.start(Pace(begin=0, first=FIRST, rate=1.0))
    ticker.tick(0)
    ticker.tick(5 * SECOND)
    ticker.tick(5 * SECOND + 1)
    assert told == [FIRST, FIRST + 5 * SECOND]


def test_the_end_is_told_unless_it_has_passed_and_a_new_pass_jumps_back():
    told = []
    ticker = Ticker(told.append, hz=10)
    for end in (FIRST + SECOND, FIRST + 1):
        ticker.start(Pace(begin=0, first=FIRST, rate=1.0))
        ticker.tick(0)
        ticker.tick(SECOND // 2)
        ticker.finish(end)
        ticker.tick(3 * SECOND)
    middle = FIRST + SECOND // 2
    assert told == [FIRST, middle, FIRST + SECOND, FIRST, middle]
