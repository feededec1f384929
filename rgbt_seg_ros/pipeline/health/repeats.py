"""New stamps, same picture: how long a stream repeats its picture, and whether that is its habit."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

SECOND = 1_000_000_000

UNCHANGED_FROM_THE_START = 2 * SECOND
"""ns for which a stream may show its first picture: a test pattern or a simulator that stands still has shown no habit yet."""

LONGEST_HABIT = SECOND // 2
"""ns; a picture that stays longer is not repeated to fill a rate, it is frozen."""

_REMEMBERED = 24
_FEWEST_RUNS = 3
_LOGGED = 1024
"""Frames that are known by their stamps: more than may wait for a partner and for the network (``sync.queue_size``)."""

_MARGIN = 1.5
"""How much longer than the longest habitual run one may last: frames are left out where the machine is busy."""


@dataclass(frozen=True)
class Run:
    """The run of equal pictures that the newest frame belongs to.

    Attributes:
        frames: How many so far; 1: the picture is new.
        first: Stamp of its first frame, ns.
        repeated: Stamp of the first repetition, ns; that of the first frame while there is no repetition.
        seconds: From the first frame to the newest, s.
        frozen: Whether it lasts longer than this stream's habit allows.
        digest: Of the picture.
    """

    frames: int
    first: int
    repeated: int
    seconds: float
    frozen: bool
    digest: int


class RepeatWatch:
    """Follows one stream by the digests of its pictures.

    A 9 Hz camera whose driver publishes at 30 Hz shows each picture two to four times: such a habit is learned from the runs
    that have ended, by their duration, and is no fault. A stream without that habit is frozen from its first repetition on.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as before another recording."""
        self._ended: deque[int] = deque(maxlen=_REMEMBERED)
        self._stamp = self._digest = -1
        self._run: Run | None = None

    def see(self, stamp: int, digest: int) -> Run:
        """Take the next frame; the same stamp again is the same frame, and an earlier one begins the stream again."""
        if self._run is not None and stamp == self._stamp:
            return self._run
        if stamp < self._stamp:
            self.reset()
        run = self._run
        if run is None or digest != self._digest:
            if run is not None:
                self._ended.append(self._stamp - run.first)
            run = Run(1, stamp, stamp, 0.0, False, digest)
        else:
            repeated = stamp if run.frames == 1 else run.repeated
            lasts = stamp - run.first
            run = Run(run.frames + 1, run.first, repeated, lasts / SECOND, lasts > self._allowed(), digest)
        self._run, self._stamp, self._digest = run, stamp, digest
        return run

    def _allowed(self) -> float:
        """Return for how long (ns) a picture may stay."""
        if not self._ended:
            return UNCHANGED_FROM_THE_START
        if len(self._ended) < _FEWEST_RUNS:
            return LONGEST_HABIT
        habit = [lasted for lasted in self._ended if 0 < lasted <= LONGEST_HABIT]
        if len(habit) >= _FEWEST_RUNS or 2 * len(habit) >= len(self._ended):
            return _MARGIN * max(habit)
        return 0


class RunLog:
    """The runs of one stream's newest frames, by stamp.

    Frames are taken as they come. One of which no mask is made, because a newer one took its place, counts as well: without it a
    picture that is repeated would be taken for a new one. One thread may take frames while others ask.
    """

    def __init__(self) -> None:
        self._watch = RepeatWatch()
        self._newest = -1
        self._runs: OrderedDict[int, Run] = OrderedDict()

    def take(self, stamp: int, digest: int) -> None:
        """Take the next frame that came; one that was overtaken by another is a run of its own."""
        if 0 < self._newest - stamp < SECOND:
            self._runs.setdefault(stamp, Run(1, stamp, stamp, 0.0, False, digest))
        else:
            self._newest = stamp
            self._runs[stamp] = self._watch.see(stamp, digest)
            self._runs.move_to_end(stamp)
        while len(self._runs) > _LOGGED:
            self._runs.popitem(last=False)

    def at(self, stamp: int) -> Run | None:
        """Return the run of the frame of a stamp (ns); None: it did not come, or too long ago."""
        return self._runs.get(stamp)
