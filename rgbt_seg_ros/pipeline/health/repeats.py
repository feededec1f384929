"""New stamps, same picture: how long a stream repeats its picture, and whether that is its habit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SECOND = 1_000_000_000

UNCHANGED_FROM_THE_START = 2 * SECOND
"""ns for which a stream may show its first picture: a test pattern or a simulator that stands still has shown no habit yet."""

LONGEST_HABIT = SECOND // 2
"""ns; a picture that stays longer is not repeated to fill a rate, it is frozen."""

_REMEMBERED = 24
_FEWEST_RUNS = 3
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
    """

    frames: int
    first: int
    repeated: int
    seconds: float
    frozen: bool


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
            run = Run(1, stamp, stamp, 0.0, False)
        else:
            repeated = stamp if run.frames == 1 else run.repeated
            lasts = stamp - run.first
            run = Run(run.frames + 1, run.first, repeated, lasts / SECOND, lasts > self._allowed())
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
