"""Durations of things that are compared: measured round by round, and summarised. Pure apart from the clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgbt_seg_ros.errors import UserError

LEAST_ROUNDS = 3
"""Rounds that run even if the time given is over: a median of fewer means little."""


class BenchError(UserError):
    """A benchmark that cannot be run as asked for."""


@dataclass(frozen=True)
class Rounds:
    """How long to measure.

    Attributes:
        count: Rounds; 0: as many as fit into ``seconds``.
        seconds: Time in s for all rounds together, where ``count`` is 0. ``LEAST_ROUNDS`` are run whatever it says.
        pause: s of rest before each run. The threads of an engine's pool may spin for a while after their work, and would
            be counted to whatever runs next.
    """

    count: int = 100
    seconds: float = 0.0
    pause: float = 0.005

    def __post_init__(self) -> None:
        """Refuse what would never end or never begin."""
        if self.count < 0 or self.seconds < 0 or self.pause < 0:
            raise BenchError(
                f"rounds: {self.count}, {self.seconds:g} s and a pause of {self.pause:g} s are not all at least 0"
            )
        if self.count == 0 and self.seconds == 0:
            raise BenchError("rounds: neither a number of rounds nor a time in s is given")


@dataclass(frozen=True)
class Clock:
    """Where time comes from and how it is waited for; tests bring their own."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Summary:
    """Durations of one thing, in ms.

    Attributes:
        median_ms: The 50th percentile.
        p99_ms: The 99th, linear between neighbours; of less than 100 rounds close to the longest.
        mean_ms: The mean, which throughput follows from.
        rounds: How many there were.
    """

    median_ms: float
    p99_ms: float
    mean_ms: float
    rounds: int

    @property
    def per_second(self) -> float:
        """How many fit into a second, one after the other."""
        return 1e3 / self.mean_ms


@dataclass(frozen=True)
class Ratio:
    """How many times faster one thing is than a reference, round by round.

    Attributes:
        median: Median of the rounds' ratios, reference over candidate: above 1 is faster.
        low: 10th percentile of them.
        high: 90th.
    """

    median: float
    low: float
    high: float


def interleave(
    runs: Mapping[str, Callable[[], Any]],
    rounds: Rounds,
    clock: Clock | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, list[float]]:
    """Time everything once a round, in a new random order for each round, so that nothing always follows the same run.

    Args:
        runs: What to time, by name; warm. Each has to be done with its work when it returns.
        rounds: How long.
        clock: Of this machine, unless a test brings its own.
        progress: Takes the number of rounds that are done.

    Returns:
        Seconds of each round by name; all lists have one length, and entries of one index are of one round.

    Raises:
        BenchError: ``runs`` is empty.
    """
    if not runs:
        raise BenchError("no runs to time")
    clock = clock or Clock()
    order = list(runs)
    shuffle = random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in runs}
    start, done = clock.now(), 0
    while not _enough(done, clock.now() - start, rounds):
        shuffle(order)
        for name in order:
            if rounds.pause:
                clock.sleep(rounds.pause)
            begin = clock.now()
            runs[name]()
            times[name].append(clock.now() - begin)
        done += 1
        if progress:
            progress(done)
    return times


def _enough(done: int, passed: float, rounds: Rounds) -> bool:
    if rounds.count:
        return done >= rounds.count
    return done >= LEAST_ROUNDS and passed >= rounds.seconds


def summarise(durations: Sequence[float]) -> Summary:
    """Summarise durations (s, at least one)."""
    values = np.asarray(durations, np.float64) * 1e3
    median, late = np.percentile(values, (50, 99))
    return Summary(float(median), float(late), float(values.mean()), len(values))


def ratio(reference: Sequence[float], candidate: Sequence[float]) -> Ratio:
    """Compare durations (s) of the same rounds.

    A ratio within a round is free of what is slow for all of it (another process, a lower clock), as a ratio of two medians
    is not.
    """
    if len(reference) != len(candidate) or not len(reference):
        raise ValueError(f"{len(reference)} and {len(candidate)} durations are not of the same rounds")
    ratios = np.asarray(reference, np.float64) / np.asarray(candidate, np.float64)
    low, median, high = np.percentile(ratios, (10, 50, 90))
    return Ratio(float(median), float(low), float(high))
