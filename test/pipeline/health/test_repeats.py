"""Runs of equal pictures, of all the frames that came."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.health.repeats import RunLog

STEP = 100_000_000


def log_of(digests, step=STEP):
    log = RunLog()
    for index, digest in enumerate(digests):
        log.take(index * step, digest)
    return log


def test_a_repetition_is_told_also_where_only_it_is_asked_for():
    log = log_of([1, 2, 3, 4, 4, 4])
    assert log.at(5 * STEP).frozen
    assert log.at(4 * STEP).frozen
    assert not log.at(3 * STEP).frozen
    assert log.at(6 * STEP) is None


def test_a_frame_that_was_overtaken_changes_nothing_for_the_others():
    log = log_of([1, 2, 3, 4])
    log.take(STEP // 2, 9)
    log.take(4 * STEP, 4)
    assert not log.at(STEP // 2).frozen
    assert log.at(4 * STEP).frozen


def test_a_clock_that_was_set_back_begins_again():
    log = log_of([1, 2, 3, 4, 4], step=10 * STEP)
    log.take(0, 4)
    log.take(STEP, 4)
    assert not log.at(STEP).frozen


def test_only_the_newest_frames_are_kept():
    log = log_of(range(5000))
    assert log.at(0) is None
    assert log.at(4999 * STEP) is not None
