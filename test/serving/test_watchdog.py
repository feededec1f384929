"""A run that takes too long is one stall, however often it is looked at."""

from __future__ import annotations

from rgbt_seg_ros.serving.watchdog import Watchdog


def test_a_run_within_the_limit_or_none_at_all_is_no_stall():
    watchdog = Watchdog(5.0)
    assert watchdog.check(None, 100.0) == 0.0
    assert watchdog.check(96.0, 100.0) == 0.0
    assert watchdog.stalls == 0


def test_a_stall_is_counted_once_and_its_time_grows():
    watchdog = Watchdog(5.0)
    assert [watchdog.check(90.0, now) for now in (96.0, 97.0, 98.0)] == [6.0, 7.0, 8.0]
    assert watchdog.stalls == 1
    assert watchdog.check(None, 99.0) == 0.0
    assert watchdog.check(99.5, 120.0) == 20.5
    assert watchdog.stalls == 2


def test_a_limit_of_zero_is_off():
    assert Watchdog(0.0).check(1.0, 1e6) == 0.0
