"""Reading ahead in a thread: order, bounded memory, errors, and an early end."""

from __future__ import annotations

import threading
import time

import pytest

from rgbt_seg_ros.data.bags.reader import BagError, RawMessage
from rgbt_seg_ros.nodes.bags.read_ahead import ReadAhead


def message(index, size=100):
    return RawMessage("/topic", "std_msgs/msg/String", index, bytes(size))


def read_all(ahead):
    result = []
    while not ahead.exhausted:
        found = ahead.get(0.05)
        if found is not None:
            result.append(found.log_time)
    return result


def stops_at(value, expected):
    """Wait until a value is reached, and tell whether it goes no further."""
    end = time.monotonic() + 10
    while value() < expected and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    return value() == expected


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "bag reader"]


def test_every_message_comes_in_order():
    with ReadAhead(lambda: map(message, range(500)), limit=1000) as ahead:
        assert read_all(ahead) == list(range(500))
        assert ahead.get(0.01) is None


def test_no_more_waits_than_the_limit():
    drawn = []

    def source():
        for index in range(100):
            drawn.append(index)
            yield message(index)

    with ReadAhead(source, limit=1000) as ahead:
        # Ten are held, and the next one is in the reader's hand.
        assert stops_at(lambda: len(drawn), 11)
        assert ahead.get(10).log_time == 0
        assert stops_at(lambda: len(drawn), 12)
        assert read_all(ahead) == list(range(1, 100))


def test_a_message_above_the_limit_passes_alone():
    with ReadAhead(lambda: [message(0, 5000), message(1, 5000)], limit=1000) as ahead:
        assert read_all(ahead) == [0, 1]


def test_an_error_comes_after_the_messages_before_it():
    def source():
        yield message(0)
        raise BagError("cut off")

    with ReadAhead(source) as ahead:
        assert ahead.get(10).log_time == 0
        with pytest.raises(BagError, match="cut off"):
            ahead.get(10)
        assert not ahead.exhausted


def test_closing_early_ends_the_thread_and_closes_what_it_reads():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield message(0)
        finally:
            closed.set()

    with ReadAhead(source, limit=1000) as ahead:
        assert ahead.get(10) is not None
        assert len(readers()) == 1
    assert closed.wait(10)
    assert readers() == []


def test_nothing_within_the_time_is_none_but_not_the_end():
    go = threading.Event()

    def source():
        go.wait(10)
        yield message(0)

    with ReadAhead(source) as ahead:
        assert ahead.get(0.01) is None
        assert not ahead.exhausted
        go.set()
        assert read_all(ahead) == [0]
