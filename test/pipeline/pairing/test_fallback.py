"""Frames alone while the other camera's do not come."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.pairing.fallback import FALLBACKS, FallbackPairer, streams_alone
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, PairingSettings

MS = 1_000_000
PERIOD = 33 * MS


def frames(count, thermal_delay=5 * MS, period=PERIOD, lost=(), thermal_period=None, jitter=0, seed=0):
    """Return (arrival, stream, stamp) of two cameras; ``lost(stream, stamp)`` leaves a frame out."""
    draw = random.Random(seed)
    made = [("rgb", i * period, 0) for i in range(count)]
    every = thermal_period or period
    made += [("thermal", i * every, thermal_delay) for i in range(count * period // every)]
    kept = [
        (t + delay + draw.randint(0, jitter), stream, t) for stream, t, delay in made if not (lost and lost(stream, t))
    ]
    return sorted(kept)


class Robot:
    """Feeds a pairer, with a timer as the node has one, and notes when each result came."""

    def __init__(self, alone="both", **settings):
        self.settings = PairingSettings(**settings)
        self.pairer = FallbackPairer(
            NearestPairer(self.settings),
            FALLBACKS[alone],
            0,
        )
        self.results = []

    def note(self, now, pairs):
        self.results += [(now, pair) for pair in pairs]

    def wake(self, until):
        while (moment := self.pairer.next_moment()) is not None and moment <= until:
            self.note(moment, self.pairer.advance(moment))

    def play(self, frames):
        for arrival, stream, stamp in frames:
            self.wake(arrival)
            self.note(arrival, self.pairer.advance(arrival))
            self.note(arrival, self.pairer.add(stream, stamp, (stream, stamp), arrival))
        return self

    def of(self, modality):
        return [(now, pair) for now, pair in self.results if pair.modality == modality]


def outage(stream, begin, end):
    return lambda name, stamp: name == stream and begin <= stamp < end


@pytest.mark.parametrize("delay", [-5 * MS, 5 * MS, 12 * MS])
@pytest.mark.parametrize("lost", ["thermal", "rgb"])
def test_every_frame_of_the_camera_that_is_left_goes_on_alone(lost, delay):
    begin, end = 30 * PERIOD, 60 * PERIOD
    robot = Robot().play(frames(90, delay, lost=outage(lost, begin, end)))
    left = "rgb" if lost == "thermal" else "thermal"
    # Where it is the first of the two to come, the frame at the very return does not wait either.
    ahead = (left == "rgb") == (delay > 0)
    assert [pair.rgb_stamp for _, pair in robot.of(left)] == [i * PERIOD for i in range(30, 60 + ahead)]
    assert not robot.of(lost)
    assert len(robot.of("rgbt")) >= 60 - ahead
    stamps = [pair.rgb_stamp for _, pair in robot.results]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("delay", [-5 * MS, 5 * MS])
def test_the_first_mask_alone_comes_within_two_intervals_and_pairs_come_back_within_two(delay):
    begin, end = 30 * PERIOD, 60 * PERIOD
    robot = Robot().play(frames(90, delay, lost=outage("thermal", begin, end)))
    last_seen = begin - PERIOD + delay
    assert robot.of("rgb")[0][0] - last_seen <= 2 * PERIOD
    back = next(now for now, pair in robot.of("rgbt") if pair.rgb_stamp >= end)
    assert back - end <= 2 * PERIOD


def test_while_the_stream_is_silent_frames_do_not_wait():
    robot = Robot().play(frames(90, lost=outage("thermal", 30 * PERIOD, 10**12)))
    waits = [now - pair.rgb_stamp for now, pair in robot.of("rgb")]
    assert max(waits[:3]) > 0
    assert set(waits[4:]) == {0}
    assert robot.pairer.fault("thermal", 89 * PERIOD) is StreamFault.SILENT
    assert robot.pairer.fault("rgb", 89 * PERIOD) is None


def test_one_lost_frame_is_no_silence():
    robot = Robot(fill_gaps=False)
    faults = []
    for frame in frames(60, lost=lambda stream, stamp: stream == "thermal" and stamp == 30 * PERIOD):
        robot.play([frame])
        faults.append(robot.pairer.fault("thermal", frame[0]))
    assert faults == [None] * len(faults)
    assert [pair.rgb_stamp for _, pair in robot.of("rgb")] == [30 * PERIOD]
    assert len(robot.of("rgbt")) == 59


@pytest.mark.parametrize("seed", range(5))
def test_jitter_and_a_slower_thermal_camera_are_no_fault(seed):
    for period, jitter in ((None, 12 * MS), (4 * PERIOD, 30 * MS), (PERIOD // 2, 5 * MS)):
        robot = Robot().play(frames(300, thermal_period=period, jitter=jitter, seed=seed))
        assert not robot.of("rgb")
        assert not robot.of("thermal")


@pytest.mark.parametrize("delay", [-5 * MS, 5 * MS, 12 * MS])
def test_a_camera_that_becomes_slower_is_paired_at_its_new_rhythm(delay):
    def slower(name, stamp):
        return name == "thermal" and stamp >= 30 * PERIOD and stamp // PERIOD % 4

    robot = Robot(fill_gaps=False).play(frames(150, delay, lost=slower))
    pairs = [pair.rgb_stamp for _, pair in robot.of("rgbt") if pair.rgb_stamp >= 60 * PERIOD]
    assert pairs == [i * PERIOD for i in range(60, 149, 4)]
    assert robot.pairer.fault("thermal", robot.results[-1][0]) is None


def test_frames_that_come_in_bursts_are_no_fault():
    made = [(stamp // (4 * PERIOD) * 4 * PERIOD + 4 * PERIOD, stream, stamp) for _, stream, stamp in frames(200)]
    robot = Robot().play(sorted(made))
    assert not robot.of("rgb")
    assert len(robot.of("rgbt")) > 195


@pytest.mark.parametrize("pause", [3, 10, 60])
@pytest.mark.parametrize("delay", [-5 * MS, 5 * MS])
def test_a_pause_of_both_streams_is_no_fault(pause, delay):
    made = [(a + (pause * PERIOD if t >= 40 * PERIOD else 0), s, t) for a, s, t in frames(80, delay)]
    robot = Robot().play(sorted(made))
    assert not robot.of("rgb")
    assert not robot.of("thermal")
    jumped = [(a, s, t + (pause * PERIOD if t >= 40 * PERIOD else 0)) for a, s, t in made]
    robot = Robot().play(sorted(jumped))
    assert not robot.of("rgb")
    assert not robot.of("thermal")


def test_a_bag_played_at_half_speed_is_no_fault():
    robot = Robot().play([(2 * arrival, stream, stamp) for arrival, stream, stamp in frames(100)])
    assert not robot.of("rgb")


def test_a_camera_that_never_came_is_given_up_after_two_seconds():
    robot = Robot(queue_size=100).play([frame for frame in frames(100) if frame[1] == "rgb"])
    assert robot.of("rgb")[0][0] == pytest.approx(2_000 * MS, abs=PERIOD)
    assert robot.pairer.counters().alone["rgb"] == 100


def test_no_frame_waits_longer_than_the_queue_is_long():
    robot = Robot(queue_size=10).play([frame for frame in frames(30) if frame[1] == "rgb"])
    assert robot.of("rgb")[0] == (9 * PERIOD, robot.results[0][1])
    assert [pair.rgb_stamp for _, pair in robot.results] == [i * PERIOD for i in range(30)]


def test_a_stream_that_is_very_late_is_said_to_be_late_and_paired_again_when_it_is_not():
    late = 40 * PERIOD
    made = frames(200)
    slow = [
        (arrival + late if s == "thermal" and 50 * PERIOD <= t < 120 * PERIOD else arrival, s, t)
        for arrival, s, t in made
    ]
    robot = Robot(queue_size=10)
    faults = set()
    for frame in sorted(slow):
        robot.play([frame])
        faults.add(robot.pairer.fault("thermal", frame[0]))
    assert StreamFault.LATE in faults
    assert {pair.rgb_stamp for _, pair in robot.results} >= {i * PERIOD for i in range(48, 118)}
    assert robot.pairer.fault("thermal", 200 * PERIOD) is None
    assert robot.results[-1][1].modality == "rgbt"


def test_what_the_driver_says_counts_at_once():
    robot = Robot().play(frames(30))
    now = 30 * PERIOD
    robot.note(now, robot.pairer.declare("thermal", False))
    assert robot.pairer.fault("thermal", now) is StreamFault.DECLARED
    robot.play([(now + 1, "rgb", now)])
    assert robot.results[-1] == (now + 1, robot.of("rgb")[-1][1])
    robot.pairer.declare("thermal", True)
    assert robot.pairer.fault("thermal", now + 2) is None


def test_only_the_streams_that_may_go_alone_do():
    lost = frames(90, lost=outage("thermal", 30 * PERIOD, 60 * PERIOD))
    for name in ("none", "thermal"):
        robot = Robot(name).play(lost)
        assert not robot.of("rgb")
        assert robot.pairer.next_moment() is None
    assert len(Robot("rgb").play(lost).of("rgb")) == 31


def test_every_frame_is_counted_once():
    robot = Robot().play(frames(300, jitter=8 * MS, lost=outage("thermal", 100 * PERIOD, 150 * PERIOD)))
    robot.note(10**12, robot.pairer.flush())
    counters = robot.pairer.counters()
    for stream, received, paired in (
        ("rgb", counters.received_rgb, counters.pairs),
        ("thermal", counters.received_thermal, counters.paired_thermal),
    ):
        dropped = sum(count for reason, count in counters.dropped.items() if reason.startswith(f"{stream}_"))
        assert received == paired + counters.alone[stream] + dropped


def test_a_frame_alone_says_its_time_in_the_time_of_the_rgb_camera():
    offset = 0.01
    robot = Robot(thermal_offset=offset).play(
        [
            (a, s, t - 10 * MS if s == "thermal" else t)
            for a, s, t in frames(60, lost=outage("rgb", 30 * PERIOD, 10**12))
        ]
    )
    _, pair = robot.of("thermal")[0]
    assert (pair.rgb, pair.rgb_stamp, pair.thermal_stamp, pair.offset) == (
        None,
        30 * PERIOD,
        30 * PERIOD - 10 * MS,
        0.0,
    )


def test_a_bag_that_starts_again_gives_pairs_again():
    lap = frames(40)
    again = [(arrival + 50 * PERIOD, stream, stamp) for arrival, stream, stamp in lap]
    robot = Robot().play(lap).play(again)
    assert len(robot.of("rgbt")) >= 78


def test_results_do_not_depend_on_when_the_timer_ticks():
    made = frames(120, jitter=6 * MS, lost=outage("thermal", 40 * PERIOD, 70 * PERIOD))
    exact = [pair for _, pair in Robot().play(made).results]
    robot = Robot()
    for before, frame in pairwise([(0, "", 0), *made]):
        for tick in range(before[0], frame[0], 3 * MS):
            robot.note(tick, robot.pairer.advance(tick))
        robot.note(frame[0], robot.pairer.advance(frame[0]))
        robot.note(frame[0], robot.pairer.add(frame[1], frame[2], (frame[1], frame[2]), frame[0]))
    assert [pair for _, pair in robot.results] == exact


def test_auto_takes_what_the_model_was_trained_for():
    assert streams_alone("auto", frozenset({"rgb"})) == {"rgb"}
    assert streams_alone("both", frozenset()) == {"rgb", "thermal"}
    with pytest.raises(SettingError, match="'rgbt' is not one of auto, none, rgb, thermal, both"):
        streams_alone("rgbt", frozenset())
