"""Stages that run ahead of each other."""

from __future__ import annotations

import threading
import time

import pytest

from rgbt_seg_ros.evaluation.bags.overlap import ahead


def test_order_is_kept():
    assert list(ahead(iter(range(100)), 3)) == list(range(100))


def test_it_is_never_more_than_its_depth_ahead():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    for position, _ in enumerate(ahead(items(), 2)):
        time.sleep(0.002)
        # Two wait, one is in the producer's hand, one is here.
        assert len(made) <= position + 4


def test_an_error_comes_in_its_turn():
    def items():
        yield 1
        raise ValueError("two")

    stream = ahead(items(), 5)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="two"):
        next(stream)


def test_a_consumer_that_stops_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    stream = ahead(items(), 1)
    next(stream)
    stream.close()
    assert closed.wait(5)
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
