"""Two ways to match frames by time: each thermal frame once, or the nearest one for every RGB frame.

Both expect the times of each stream to increase strictly (``StampGuard`` ensures it), decide a frame as
soon as no later frame can change the decision, and take amortised constant time a frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream, StreamClock, other_stream


@dataclass(eq=False)
class Frame:
    """One frame on its way: ``stamp`` as published, ``time`` with the offset (ns); ``used`` once paired."""

    stream: Stream
    stamp: int
    time: int
    item: Any
    used: bool = False


@dataclass
class Outcome:
    """What became certain: (rgb, thermal) matches in time order, dropped frames with the reason.

    ``first_uses`` counts the thermal frames among the matches that had not been in one before.
    """

    matches: list[tuple[Frame, Frame]] = field(default_factory=list)
    first_uses: int = 0
    dropped: list[tuple[Frame, DropReason]] = field(default_factory=list)


class Matcher(Protocol):
    """Takes frames, gives decisions."""

    def add(self, frame: Frame) -> Outcome:
        """Take one frame, and return what became certain."""

    def give_up(self, missing: Stream, until: int) -> Outcome:
        """Decide the frames up to a time (ns) as if no frame of ``missing`` that could be their partner followed."""

    def finish(self) -> Outcome:
        """Decide everything that waits, as if no frame could follow."""

    def clear(self) -> list[Frame]:
        """Forget every frame and both clocks; return the frames that were still waiting."""

    def waiting(self, stream: Stream) -> int:
        """Return how many frames of ``stream`` are undecided."""


class OneToOneMatcher:
    """Stable, order-preserving matching of two streams within a slop.

    In the merged order of both streams only neighbours of different streams can pair: with another frame
    between them, that frame has a closer partner, or the pairs would cross. Cut the order where two
    neighbours are of one stream or further apart than the slop; each piece is a chain x1 < x2 < ... that
    alternates, with gaps g1, g2, ... Follow its strictly decreasing run g1 > ... > gm. The gap gm is smaller
    than both of its neighbours (the earlier of two equal gaps wins), so x_m and x_m+1 pair; without them
    x_m-2 and x_m-1 do, and so on: x1 has a partner only if m is odd. The next chain starts at x_m+2.
    """

    def __init__(self, slop_ns: int, queue_size: int, assume_periodic: bool) -> None:
        """Take the largest gap of a pair (ns), the frames a stream may keep, and what intervals to expect."""
        self._slop = slop_ns
        self._queue_size = queue_size
        self._assume_periodic = assume_periodic
        self._start()

    def _start(self) -> None:
        self._run: list[Frame] = []  # x1 .. xk, gaps strictly decreasing
        self._queues: dict[Stream, deque[Frame]] = {stream: deque() for stream in STREAMS}  # not yet in the run
        self._clocks = {stream: StreamClock(self._assume_periodic) for stream in STREAMS}
        self._waiting: dict[Stream, int] = dict.fromkeys(STREAMS, 0)

    def waiting(self, stream: Stream) -> int:
        """Return how many frames of ``stream`` are undecided."""
        return self._waiting[stream]

    def clear(self) -> list[Frame]:
        """Forget every frame and both clocks; return the frames that were still waiting."""
        left = [*self._run, *self._queues["rgb"], *self._queues["thermal"]]
        self._start()
        return left

    def add(self, frame: Frame) -> Outcome:
        """Take one frame, and return what became certain."""
        outcome = Outcome()
        if self._run and frame.time < self._run[-1].time:
            # Earlier than its interval promised: it belongs before the last of the run, of the other stream.
            early = self._run.pop()
            self._queues[early.stream].appendleft(early)
        self._clocks[frame.stream].observe(frame.time)
        self._queues[frame.stream].append(frame)
        self._waiting[frame.stream] += 1
        self._advance(outcome, {stream: self._clocks[stream].earliest_next() for stream in STREAMS})
        while self._waiting[frame.stream] > self._queue_size:
            self._shed(frame.stream, outcome)
            self._advance(outcome, {stream: self._clocks[stream].earliest_next() for stream in STREAMS})
        return outcome

    def give_up(self, missing: Stream, until: int) -> Outcome:
        """Decide the frames up to a time (ns) as if no frame of ``missing`` that could be their partner followed."""
        outcome = Outcome()
        earliest = {stream: self._clocks[stream].earliest_next() for stream in STREAMS}
        earliest[missing] = max(earliest[missing], until + self._slop + 1)
        self._advance(outcome, earliest)
        return outcome

    def finish(self) -> Outcome:
        """Decide everything that waits, as if no frame could follow."""
        outcome = Outcome()
        self._advance(outcome, dict.fromkeys(STREAMS, float("inf")))
        return outcome

    def _advance(self, outcome: Outcome, earliest_next: dict[Stream, float]) -> None:
        settled = min(earliest_next.values())  # the merged order up to here can no longer change
        while (frame := self._first_queued()) is not None and frame.time < settled:
            self._queues[frame.stream].popleft()
            if self._run and not self._extends(frame):
                self._close(outcome)
            self._run.append(frame)
            if len(self._run) > 1 and self._run[-2].time == frame.time:
                self._close(outcome)
        if self._run and not self._may_extend(earliest_next):
            self._close(outcome)

    def _first_queued(self) -> Frame | None:
        heads = [queue[0] for queue in self._queues.values() if queue]
        return min(heads, key=lambda frame: frame.time, default=None)

    def _extends(self, frame: Frame) -> bool:
        return frame.stream != self._run[-1].stream and self._continues(frame.time - self._run[-1].time)

    def _continues(self, gap: float) -> bool:
        if len(self._run) < 2:
            return gap <= self._slop
        return gap < self._run[-1].time - self._run[-2].time

    def _may_extend(self, earliest_next: dict[Stream, float]) -> bool:
        """Return whether some future could extend the run."""
        own = self._run[-1].stream
        partner = other_stream(own)
        partners = self._queues[partner]
        candidate = partners[0].time if partners else earliest_next[partner]
        owns = self._queues[own]
        if owns and owns[0].time <= candidate:
            return False
        return self._continues(candidate - self._run[-1].time)

    def _close(self, outcome: Outcome) -> None:
        run, self._run = self._run, []
        for frame in run:
            self._waiting[frame.stream] -= 1
        if len(run) % 2:
            outcome.dropped.append((run.pop(0), DropReason.NO_PARTNER))
        for first, second in zip(run[::2], run[1::2], strict=True):
            outcome.matches.append((first, second) if first.stream == "rgb" else (second, first))
        outcome.first_uses += len(run) // 2

    def _shed(self, stream: Stream, outcome: Outcome) -> None:
        """Drop the oldest frame of ``stream``."""
        position = next((i for i, frame in enumerate(self._run[:2]) if frame.stream == stream), None)
        oldest = self._queues[stream].popleft() if position is None else self._run.pop(position)
        self._waiting[stream] -= 1
        outcome.dropped.append((oldest, DropReason.QUEUE_FULL))
        if position == 1 and len(self._run) > 1:  # x1 is now followed by x3, of its own stream
            lone = self._run.pop(0)
            self._waiting[lone.stream] -= 1
            outcome.dropped.append((lone, DropReason.NO_PARTNER))


class ReuseMatcher:
    """The nearest thermal frame within a slop for every RGB frame; of two equally near the earlier."""

    def __init__(self, slop_ns: int, queue_size: int, assume_periodic: bool) -> None:
        """Take the largest gap of a pair (ns), the frames a stream may keep, and what intervals to expect."""
        self._slop = slop_ns
        self._queue_size = queue_size
        self._assume_periodic = assume_periodic
        self._start()

    def _start(self) -> None:
        self._rgb: deque[Frame] = deque()
        self._thermal: deque[Frame] = deque()
        self._clocks = {stream: StreamClock(self._assume_periodic) for stream in STREAMS}
        self._unused = 0

    def waiting(self, stream: Stream) -> int:
        """Return how many frames of ``stream`` are undecided; a thermal frame used once waits no more."""
        return len(self._rgb) if stream == "rgb" else self._unused

    def clear(self) -> list[Frame]:
        """Forget every frame and both clocks; return the frames that were still waiting."""
        left = [*self._rgb, *(frame for frame in self._thermal if not frame.used)]
        self._start()
        return left

    def add(self, frame: Frame) -> Outcome:
        """Take one frame, and return what became certain."""
        outcome = Outcome()
        self._clocks[frame.stream].observe(frame.time)
        if frame.stream == "rgb":
            self._rgb.append(frame)
        else:
            self._thermal.append(frame)
            self._unused += 1
        self._advance(outcome, self._clocks["thermal"].earliest_next())
        if len(self._rgb) > self._queue_size:
            outcome.dropped.append((self._rgb.popleft(), DropReason.QUEUE_FULL))
        if len(self._thermal) > self._queue_size:
            self._discard_thermal(outcome, DropReason.QUEUE_FULL)
        return outcome

    def give_up(self, missing: Stream, until: int) -> Outcome:
        """Decide the frames up to a time (ns) as if no frame of ``missing`` that could be their partner followed."""
        outcome = Outcome()
        if missing == "thermal":
            self._advance(outcome, max(self._clocks["thermal"].earliest_next(), until + self._slop + 1))
        else:
            self._discard_before(until + self._slop + 1, outcome)
        return outcome

    def finish(self) -> Outcome:
        """Decide everything that waits, as if no frame could follow."""
        outcome = Outcome()
        self._advance(outcome, float("inf"))
        while self._thermal:
            self._discard_thermal(outcome, DropReason.NO_PARTNER)
        return outcome

    def _advance(self, outcome: Outcome, earliest_thermal: float) -> None:
        while self._rgb:
            rgb = self._rgb[0]
            self._discard_before(rgb.time, outcome)
            gap: float = abs(self._thermal[0].time - rgb.time) if self._thermal else float("inf")
            later_gap = max(0, earliest_thermal - rgb.time)
            if gap <= self._slop and later_gap >= gap:
                outcome.matches.append((rgb, self._thermal[0]))
                if not self._thermal[0].used:
                    self._thermal[0].used = True
                    self._unused -= 1
                    outcome.first_uses += 1
            elif gap > self._slop and later_gap > self._slop:
                outcome.dropped.append((rgb, DropReason.NO_PARTNER))
            else:
                return
            self._rgb.popleft()
        newest = self._clocks["rgb"].newest
        if newest is not None:
            self._discard_before(newest + 1, outcome)

    def _discard_before(self, time: int, outcome: Outcome) -> None:
        """Discard the thermal frames that are the nearest of no RGB frame at ``time`` or later."""
        thermal = self._thermal
        while thermal and (
            thermal[0].time < time - self._slop or (len(thermal) > 1 and thermal[0].time + thermal[1].time < 2 * time)
        ):
            self._discard_thermal(outcome, DropReason.NO_PARTNER)

    def _discard_thermal(self, outcome: Outcome, reason: DropReason) -> None:
        frame = self._thermal.popleft()
        if not frame.used:
            self._unused -= 1
            outcome.dropped.append((frame, reason))
