"""The worker takes the newest item of each slot in turn, survives exceptions, and ends."""

from __future__ import annotations

import threading
import time
from collections import Counter

from rgbt_seg_ros.serving import worker as worker_module
from rgbt_seg_ros.serving.worker import FairWorker


def ignore(items, error):
    raise AssertionError(error)


class Slow:
    """Work that is held until it is released, so that a test decides what waits meanwhile."""

    def __init__(self):
        self.started, self.release = threading.Semaphore(0), threading.Semaphore(0)
        self.seen = []

    def __call__(self, items):
        self.seen.append(items)
        self.started.release()
        assert self.release.acquire(timeout=60)

    def wait(self):
        assert self.started.acquire(timeout=60)


def test_what_waits_is_replaced_by_what_is_newer_and_said_so():
    work = Slow()
    worker = FairWorker("worker", 1, work, ignore)
    assert worker.put(1) is False
    work.wait()
    assert worker.put(2) is False
    assert worker.put(3) is True
    work.release.release(2)
    work.wait()
    assert work.seen == [[(0, 1)], [(0, 3)]]
    assert worker.stop(60)


def idle(worker):
    """Wait until it waits for something to do, and return a lock under which it cannot wake up."""
    end = time.monotonic() + 10
    while not worker._idle:
        assert time.monotonic() < end
        time.sleep(0.001)
    return worker._condition


def test_of_two_that_come_in_one_breath_to_an_idle_worker_none_is_lost():
    work = Slow()
    worker = FairWorker("worker", 2, work, ignore)
    with idle(worker):
        assert worker.put(1) is False
        assert worker.put(2) is False
        # It is bounded all the same: one in hand, one that waits.
        assert worker.put(3) is True
        assert worker.put(4) is True
        # Not the one that the worker was woken up for.
        assert worker.put(5, 1) is False
        assert worker.put(6, 1) is True
    work.release.release(3)
    for _ in range(3):
        work.wait()
    assert worker.stop(10)
    assert work.seen == [[(0, 1)], [(1, 6)], [(0, 4)]]


def test_the_one_it_was_woken_up_for_comes_before_a_call_and_the_next_after_it():
    order, done = [], threading.Event()
    worker = FairWorker("worker", 1, lambda items: (order.append(items[0][1]), len(order) == 3 and done.set()), ignore)
    with idle(worker):
        worker.put(1)
        worker.call(lambda: order.append("call"))
        worker.put(2)
    assert done.wait(10)
    assert order == [1, "call", 2]
    assert worker.stop(10)


def test_what_it_was_woken_up_for_goes_first_when_companions_have_come():
    work = Slow()
    worker = FairWorker("worker", 2, work, ignore, together=lambda slot: 0, largest=lambda: 2, wait=0.2)
    with idle(worker):
        worker.put(1, 1)
        worker.put(2, 0)
        worker.put(3, 1)
    work.release.release(2)
    for _ in range(2):
        work.wait()
    assert worker.stop(10)
    assert work.seen == [[(1, 1), (0, 2)], [(1, 3)]]


def test_the_newest_takes_the_place_of_what_waits_for_companions():
    work, others = Slow(), threading.Event()
    worker = FairWorker(
        "worker", 2, work, ignore, together=lambda slot: 0, largest=lambda: 2 if not others.is_set() else 1, wait=60.0
    )
    worker.put("alive", 1)
    work.wait()
    work.release.release()
    with idle(worker):
        worker.put(1)
    missing, asked = worker._missing, threading.Semaphore(0)
    worker._missing = lambda: (asked.release(), missing())[1]
    # It has been woken up, and waits for the other slot.
    while worker._handed is not None:
        time.sleep(0.001)
    assert worker.put(2) is True
    assert asked.acquire(timeout=10)
    others.set()
    with worker._condition:
        worker._condition.notify()
    work.wait()
    work.release.release()
    assert work.seen[1:] == [[(0, 2)]]
    assert worker.stop(10)


def test_slots_take_turns_however_fast_one_of_them_is():
    work = Slow()
    worker = FairWorker("worker", 3, work, ignore)
    worker.put("first", 0)
    for index in range(30):
        work.wait()
        for slot, times in ((0, 5), (1, 1), (2, 2)):
            for _ in range(times):
                worker.put(index, slot)
        work.release.release()
    work.wait()
    work.release.release(10)
    assert worker.stop(60)
    turns = [slot for items in work.seen for slot, _ in items][1:31]
    assert Counter(turns) == {0: 10, 1: 10, 2: 10}
    assert all(len(set(turns[i : i + 3])) == 3 for i in range(28))


def test_slots_of_one_kind_share_a_turn_and_the_other_still_gets_every_second_one():
    work = Slow()
    worker = FairWorker("worker", 3, work, ignore, together=lambda slot: slot % 2, largest=lambda: 3)
    worker.put("first", 0)
    for index in range(10):
        work.wait()
        for slot in range(3):
            worker.put(index, slot)
        work.release.release()
    work.wait()
    work.release.release(10)
    assert worker.stop(60)
    kinds = [tuple(slot for slot, _ in items) for items in work.seen][1:11]
    assert Counter(map(frozenset, kinds)) == {frozenset({0, 2}): 5, frozenset({1}): 5}


def test_no_more_share_a_turn_than_may():
    work = Slow()
    worker = FairWorker("worker", 4, work, ignore, together=lambda slot: "same", largest=lambda: 2)
    worker.put("first", 0)
    work.wait()
    for slot in range(4):
        worker.put("then", slot)
    work.release.release(10)
    for _ in range(2):
        work.wait()
    assert worker.stop(60)
    assert [{slot for slot, _ in items} for items in work.seen] == [{0}, {1, 2}, {0, 3}]


def test_an_item_waits_for_those_that_may_share_its_turn_and_no_longer(monkeypatch):
    # However long this thread is kept from its work, a slot counts as alive.
    monkeypatch.setattr(worker_module, "_ALIVE", 1e9)
    work = Slow()
    # Nothing but what is waited for could end the wait within the test's time.
    worker = FairWorker("worker", 2, work, ignore, together=lambda slot: "same", largest=lambda: 2, wait=600.0)
    worker.put(0, 0)
    work.wait()
    worker.put(1, 0)
    worker.put(1, 1)
    work.release.release()
    work.wait()
    worker.put(2, 1)
    work.release.release()
    threading.Timer(0.1, worker.put, (2, 0)).start()
    work.wait()
    work.release.release()
    assert [sorted(items) for items in work.seen] == [[(0, 0)], [(0, 1), (1, 1)], [(0, 2), (1, 2)]]
    assert worker.stop(60)


def test_a_slot_that_has_gone_silent_is_not_waited_for():
    work = Slow()
    work.release.release(10)
    worker = FairWorker("worker", 2, work, ignore, together=lambda slot: "same", largest=lambda: 2, wait=60.0)
    worker.put(0, 0)
    work.wait()
    assert worker.stop(60)


def test_an_exception_is_reported_and_the_loop_goes_on():
    failures, done = [], threading.Event()

    def work(items):
        if items[0][1] == "bad":
            raise ValueError("bad")
        done.set()

    worker = FairWorker(
        "worker", 1, work, lambda items, error: (failures.append((items, str(error))), worker.put("good"))
    )
    worker.put("bad")
    assert done.wait(60)
    assert failures == [([(0, "bad")], "bad")]
    assert worker.stop(60)


def test_stop_says_when_the_work_in_hand_does_not_end():
    work = Slow()
    worker = FairWorker("worker", 1, work, ignore)
    worker.put(1)
    work.wait()
    assert worker.stop(0.05) is False
    work.release.release()
    assert worker.stop(60)


def test_a_call_comes_before_what_waits_and_the_newest_is_taken_after_it():
    work, begun, go_on, order = Slow(), threading.Event(), threading.Event(), []

    def call():
        order.append(len(work.seen))
        begun.set()
        assert go_on.wait(60)

    worker = FairWorker("worker", 1, work, ignore)
    worker.put(1)
    work.wait()
    worker.put(2)
    worker.call(call)
    work.release.release(2)
    assert begun.wait(60)
    assert worker.put(3) is True
    go_on.set()
    work.wait()
    assert work.seen == [[(0, 1)], [(0, 3)]]
    assert order == [1]
    assert worker.stop(60)


def test_a_call_that_raises_ends_nothing():
    work = Slow()
    worker = FairWorker("worker", 1, work, lambda items, error: None)
    worker.call(lambda: 1 / 0)
    worker.put("good")
    work.wait()
    work.release.release()
    assert work.seen == [[(0, "good")]]
    assert worker.stop(60)
