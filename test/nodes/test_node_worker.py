"""The worker takes the newest item, survives exceptions, and ends."""

from __future__ import annotations

import threading

from rgbt_seg_ros.nodes.worker import LatestWorker


def test_what_waits_is_replaced_by_what_is_newer_and_said_so():
    started, release, done = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def work(item):
        seen.append(item)
        started.set()
        release.wait(10)
        if item == 3:
            done.set()

    worker = LatestWorker(work, lambda error: None)
    assert worker.put(1) is False
    assert started.wait(10)
    assert worker.put(2) is False
    assert worker.put(3) is True
    release.set()
    assert done.wait(10)
    assert seen == [1, 3]
    assert worker.stop(10)


def test_an_exception_is_reported_and_the_loop_goes_on():
    failures, done = [], threading.Event()

    def work(item):
        if item == "bad":
            raise ValueError(item)
        done.set()

    worker = LatestWorker(work, lambda error: (failures.append(str(error)), worker.put("good")))
    worker.put("bad")
    assert done.wait(10)
    assert failures == ["bad"]
    assert worker.stop(10)


def test_stop_says_when_the_work_in_hand_does_not_end():
    release = threading.Event()
    started = threading.Event()

    def work(item):
        started.set()
        release.wait(10)

    worker = LatestWorker(work, lambda error: None)
    worker.put(1)
    assert started.wait(10)
    assert worker.stop(0.05) is False
    release.set()
    assert worker.stop(10)
