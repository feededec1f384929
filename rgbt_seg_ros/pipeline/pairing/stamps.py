"""Which stamps of a stream can be used: tells repeated, swapped and restarted stamps apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from rgbt_seg_ros.pipeline.drops import DropReason

Stream = Literal["rgb", "thermal"]
STREAMS: tuple[Stream, Stream] = ("rgb", "thermal")
REMEMBERED_INTERVALS = 8


def other_stream(stream: Stream) -> Stream:
    """Return the partner of ``stream``."""
    return "thermal" if stream == "rgb" else "rgb"


class StreamClock:
    """The newest stamp of one stream, and the earliest stamp that its next frame can have."""

    def __init__(self, assume_periodic: bool) -> None:
        """Expect half the shortest recent interval between frames if ``assume_periodic``, else 1 ns."""
        self.newest: int | None = None
        self._intervals: deque[int] | None = deque(maxlen=REMEMBERED_INTERVALS) if assume_periodic else None
        self._least_step = 1

    def observe(self, time: int) -> None:
        """Take the time (ns) of a frame, greater than the newest."""
        if self._intervals is not None and self.newest is not None:
            self._intervals.append(time - self.newest)
            self._least_step = (min(self._intervals) + 1) // 2
        self.newest = time

    def earliest_next(self) -> float:
        """Return the earliest time (ns) of the next frame; minus infinity before the first frame."""
        return float("-inf") if self.newest is None else self.newest + self._least_step


@dataclass(frozen=True)
class Verdict:
    """What to do with a frame.

    Attributes:
        drop: The reason to drop it, None to keep it.
        restart: Whether everything that waits, of both streams, belongs to a time that is over.
    """

    drop: DropReason | None = None
    restart: bool = False


class StampGuard:
    """Judges every stamp of two streams; knows duplicates, swapped frames, and clocks that jump back.

    When a bag starts again, one stream jumps first: it leads. The other lags: until it jumps too, its frames
    are those of the lap that is over, told by being ahead of the leader by more than the slop. A stream that
    only returns from a wrong stamp leads as well; the wait for the other then ends once it is seen near the
    leader, or once the leader has come up to where the other was.
    """

    def __init__(self, slop_ns: int) -> None:
        """Take ``slop_ns``: how far (ns) a stamp may lie behind the newest and still be a swapped frame."""
        self._slop = slop_ns
        self._last: dict[Stream, int | None] = {"rgb": None, "thermal": None}
        self._swapped: dict[Stream, bool] = {"rgb": False, "thermal": False}
        self._lagging: Stream | None = None
        self._lag_began_at = 0

    def judge(self, stream: Stream, time: int) -> Verdict:
        """Return what to do with the frame of ``stream`` at ``time`` (ns, offset included)."""
        last = self._last[stream]
        if last is not None and time == last:
            return Verdict(drop=DropReason.DUPLICATE)
        if stream == self._lagging and last is not None:
            return self._judge_lagging(stream, time, last)
        if last is None or time > last:
            self._accept(stream, time)
            return Verdict()
        if last - time <= self._slop and not self._swapped[stream]:
            self._swapped[stream] = True
            return Verdict(drop=DropReason.OUT_OF_ORDER)
        return self._restart(stream, time)

    def _accept(self, stream: Stream, time: int) -> None:
        self._last[stream] = time
        self._swapped[stream] = False

    def _restart(self, stream: Stream, time: int) -> Verdict:
        self._accept(stream, time)
        partner = other_stream(stream)
        partner_last = self._last[partner]
        if partner_last is not None:
            self._lagging = partner
            self._lag_began_at = partner_last
        return Verdict(restart=True)

    def _judge_lagging(self, stream: Stream, time: int, last: int) -> Verdict:
        leader = self._last[other_stream(stream)]
        assert leader is not None  # a stream lags only behind one that was seen
        jumped = time < last - self._slop
        near_leader = time <= leader + self._slop
        leader_came_up = leader >= self._lag_began_at - self._slop
        if jumped or near_leader or leader_came_up:
            self._lagging = None
            self._accept(stream, time)
            return Verdict()
        self._last[stream] = max(last, time)
        return Verdict(drop=DropReason.RESET)
