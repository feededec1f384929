"""What others send decides how often something happens only within bounds, and what is left out is counted."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.serving import throttle
from rgbt_seg_ros.serving.throttle import Throttle, with_count


@pytest.fixture
def clock(monkeypatch):
    """The time in its only item; it stands still."""
    now = [100.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    return now


def test_a_few_pass_at_once_then_one_in_a_period_with_the_count_of_the_others(clock):
    limit = Throttle(10.0, 3)
    assert [limit.passes("a") for _ in range(5)] == [0, 0, 0, None, None]
    clock[0] += 9.9
    assert limit.passes("a") is None
    clock[0] += 0.2
    assert limit.passes("a") == 3
    assert limit.passes("a") is None
    clock[0] += 1000.0
    assert [limit.passes("a") for _ in range(4)] == [1, 0, 0, None]


def test_keys_do_not_share_and_their_number_is_bounded(clock):
    limit = Throttle(10.0)
    assert limit.passes("a") == limit.passes("b") == 0
    assert limit.passes("a") is None
    for number in range(10_000):
        limit.passes(number)
    assert len(limit._keys) <= 256


def test_the_count_is_said_only_where_something_was_left_out():
    assert with_count("a line", 0) == "a line"
    assert with_count("a line", 3) == "a line (3 more like it were not logged)"
