"""Rounds by a clock of the test's own: who runs when, for how long, and what figures come of it."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.benchmark.timing import LEAST_ROUNDS, BenchError, Clock, Rounds, interleave, ratio, summarise


class Machine:
    """A clock that moves when something runs or sleeps, and a list of what ran."""

    def __init__(self):
        self.time = 0.0
        self.ran = []

    def work(self, name, seconds):
        def run():
            self.ran.append(name)
            self.time += seconds() if callable(seconds) else seconds

        return run

    def sleep(self, seconds):
        self.time += seconds

    @property
    def clock(self):
        return Clock(lambda: self.time, self.sleep)


def test_every_round_runs_everything_once_and_in_changing_order():
    machine = Machine()
    runs = {name: machine.work(name, 0.01) for name in "abcd"}
    times = interleave(runs, Rounds(count=20), machine.clock)
    rounds = [tuple(machine.ran[start : start + 4]) for start in range(0, 80, 4)]
    assert len(machine.ran) == 80
    assert all(sorted(done) == list("abcd") for done in rounds)
    assert len(set(rounds)) > 5
    assert {name: len(found) for name, found in times.items()} == dict.fromkeys("abcd", 20)


def test_the_pause_is_not_counted():
    machine = Machine()
    times = interleave({"a": machine.work("a", 0.25)}, Rounds(count=3, pause=0.5), machine.clock)
    assert times["a"] == pytest.approx([0.25] * 3)
    assert machine.time == pytest.approx(3 * 0.75)


def test_seconds_end_after_the_round_in_which_they_pass():
    machine = Machine()
    times = interleave({"a": machine.work("a", 1.0)}, Rounds(count=0, seconds=4.5, pause=0.0), machine.clock)
    assert len(times["a"]) == 5


def test_some_rounds_are_run_however_short_the_time():
    machine = Machine()
    times = interleave({"a": machine.work("a", 60.0)}, Rounds(count=0, seconds=1.0), machine.clock)
    assert len(times["a"]) == LEAST_ROUNDS


def test_progress_counts_rounds():
    machine, told = Machine(), []
    interleave({"a": machine.work("a", 1.0)}, Rounds(count=3), machine.clock, told.append)
    assert told == [1, 2, 3]


def test_a_slow_spell_changes_no_ratio():
    machine = Machine()
    # From 10 s on another process takes half of the machine.
    runs = {
        "plain": machine.work("plain", lambda: 0.2 if machine.time < 10 else 0.4),
        "fast": machine.work("fast", lambda: 0.1 if machine.time < 10 else 0.2),
    }
    times = interleave(runs, Rounds(count=101, pause=0.0), machine.clock)
    assert ratio(times["plain"], times["fast"]).median == pytest.approx(2.0)
    assert summarise(times["fast"]).median_ms == pytest.approx(200.0)


def test_ratio_is_the_median_of_the_rounds_and_tells_their_spread():
    found = ratio([1.0] * 11, [1.0 / value for value in range(1, 12)])
    assert (found.low, found.median, found.high) == pytest.approx((2.0, 6.0, 10.0))


def test_ratio_refuses_durations_of_different_rounds():
    with pytest.raises(ValueError, match="not of the same rounds"):
        ratio([1.0, 2.0], [1.0])


def test_summary_of_a_hundred_durations():
    found = summarise([value / 1e3 for value in range(1, 101)])
    assert found.median_ms == pytest.approx(50.5)
    assert found.p99_ms == pytest.approx(99.01)
    assert found.rounds == 100
    assert found.per_second == pytest.approx(1e3 / 50.5)


@pytest.mark.parametrize("values", [{"count": 0}, {"count": -1}, {"count": 0, "seconds": -1.0}, {"pause": -0.1}])
def test_rounds_that_cannot_be(values):
    with pytest.raises(BenchError, match=r"^rounds: "):
        Rounds(**values)


def test_nothing_to_time():
    with pytest.raises(BenchError, match="no runs to time"):
        interleave({}, Rounds(count=1))
