"""Lists of cores, and threads bound to them."""

from __future__ import annotations

import os
import threading

import pytest

from rgbt_seg_ros import cores as module
from rgbt_seg_ros.cores import PROCESS_CORES, CoresError, bind_thread, bound_to, parse_cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads cannot be bound here")


def test_numbers_and_ranges_name_cores(monkeypatch):
    monkeypatch.setattr(module, "PROCESS_CORES", frozenset(range(8)))
    assert parse_cores("", "runtime.worker_cores") == frozenset()
    assert parse_cores("0", "runtime.worker_cores") == {0}
    assert parse_cores("1-3, 5", "runtime.worker_cores") == {1, 2, 3, 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("two", "runtime.worker_cores: 'two' is not a list of cores; expected numbers and ranges such as 0 or 1-3,5"),
        ("3-1", "is not a list of cores"),
        ("0,,1", "is not a list of cores"),
        ("-1", "is not a list of cores"),
        ("9999", "core 9999 is not among those of this process"),
    ],
)
def test_what_names_no_core_is_refused(text, words):
    with pytest.raises(CoresError, match=words):
        parse_cores(text, "runtime.worker_cores")


def test_a_thread_and_those_it_starts_are_bound_and_others_are_not():
    core = min(os.sched_getaffinity(0))
    seen = {}

    def inner():
        seen["inner"] = os.sched_getaffinity(0)

    def outer():
        seen["before"] = bind_thread(frozenset({core}))
        seen["outer"] = os.sched_getaffinity(0)
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()

    before = os.sched_getaffinity(0)
    thread = threading.Thread(target=outer)
    thread.start()
    thread.join()
    assert seen == {"before": before, "outer": {core}, "inner": {core}}
    assert bind_thread(frozenset()) == frozenset()
    assert os.sched_getaffinity(0) == before


def test_the_cores_of_the_process_are_those_of_before_a_thread_was_bound():
    if len(PROCESS_CORES) < 2:
        pytest.skip("one core")
    first, last = min(PROCESS_CORES), max(PROCESS_CORES)
    with bound_to(frozenset({first})):
        assert parse_cores(str(last), "runtime.worker_cores") == {last}


def test_a_thread_is_bound_for_a_while_also_where_what_it_does_fails():
    core = min(PROCESS_CORES)
    before = os.sched_getaffinity(0)
    seen = {}

    def inner():
        seen["inner"] = os.sched_getaffinity(0)

    def fail():
        seen["outer"] = os.sched_getaffinity(0)
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()
        raise ValueError

    with pytest.raises(ValueError), bound_to(frozenset({core})):  # noqa: PT011 - its own
        fail()
    assert seen == {"outer": {core}, "inner": {core}}
    assert os.sched_getaffinity(0) == before
    with bound_to(frozenset()):
        assert os.sched_getaffinity(0) == before
