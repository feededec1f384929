"""When a recorded camera had a fault: silent, frozen, closed for recalibration, or blind."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.data.bags.reader import NANOSECONDS
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.picture import digest, look_at
from rgbt_seg_ros.pipeline.health.rhythm import patience, silences
from rgbt_seg_ros.pipeline.health.stream import FaultInterval, Judgement, PictureHealth, intervals

EDGE = 1.0
"""s; recorders find one topic after the other, so that less at the start or the end of a bag is no silence."""

LATE = 0.5
"""s by which an image was recorded later after its stamp than usual from which it is late: above what transport and a busy
recorder take."""

_FEWEST = 5
"""Images from which it is known how long after their stamps they are usually recorded."""

_DECODED_EVERY = {"rgb": 200_000_000, "thermal": 100_000_000}
"""ns between compressed images that are decoded for this: a shutter is closed for 0.5 s and more."""


@dataclass(frozen=True)
class RecordedFault:
    """A fault in a recording: kind, and its begin and end in s after the start of the bag."""

    fault: StreamFault
    begin: float
    end: float


class CameraFaults:
    """Follows one recorded camera in the order of its messages."""

    def __init__(self, thermal: bool) -> None:
        self._stream = "thermal" if thermal else "rgb"
        self._health = PictureHealth("thermal" if thermal else "rgb")
        self._stamps = array("q")
        self._places: dict[int, float] = {}
        # Of every image in the order of recording: when, and by how much its stamp lies behind that (s).
        self._arrived: list[tuple[float, float]] = []
        self._looked = array("q")
        self._judged: list[Judgement] = []

    def arrive(self, stamp: int, at: float) -> None:
        """Take the stamp (ns) of the next image, and when it was recorded (s after the start of the bag)."""
        self._stamps.append(stamp)
        # From the first stamp on, so that no digit of ns is lost.
        self._arrived.append((at, at - (stamp - self._stamps[0]) / NANOSECONDS))
        self._places.setdefault(stamp, at)

    def wants(self, stamp: int, compressed: bool) -> bool:
        """Whether the image of a stamp (ns) is to be looked at; not every compressed one is, since decoding takes long."""
        last = self._looked[-1] if self._looked else None
        return not compressed or last is None or not 0 <= stamp - last < _DECODED_EVERY[self._stream]

    def see(self, stamp: int, image: AnyArray, data: AnyArray | None) -> None:
        """Look at an image; ``data`` are the bytes of a compressed one, which are the same where the picture is."""
        facts = look_at(image)
        if data is not None:
            facts = replace(facts, digest=digest(data))
        self._looked.append(stamp)
        self._judged.append(self._health.see(stamp, facts))

    def result(self, begin: float, end: float) -> tuple[RecordedFault, ...]:
        """Return every fault in order of time; ``begin`` and ``end`` (s) are of both cameras' recording."""
        found = [
            *silences(self._in_order()),
            *intervals(self._looked, self._judged),
        ]
        faults = [*self._edges(begin, end), *self._late(), *map(self._place, found)]
        return tuple(sorted(faults, key=lambda each: (each.begin, each.end)))

    def _in_order(self) -> list[int]:
        stamps: list[int] = np.unique(np.array(self._stamps, np.int64)).tolist()
        return stamps

    def _late(self) -> Iterator[RecordedFault]:
        """Yield from when to when images were recorded too long after their stamps; one alone is no fault."""
        if len(self._arrived) < _FEWEST:
            return
        usual = statistics.median(lag for _, lag in self._arrived)
        for late, group in groupby(self._arrived, lambda arrived: arrived[1] > usual + LATE):
            times = [at for at, _ in group]
            if late and len(times) > 1:
                yield RecordedFault(StreamFault.LATE, times[0], times[-1])

    def _place(self, interval: FaultInterval) -> RecordedFault:
        return RecordedFault(interval.fault, self._places[interval.begin], self._places[interval.end])

    def _edges(self, begin: float, end: float) -> Iterator[RecordedFault]:
        """Yield the silence before the first image and that after the last one."""
        if not self._places:
            yield RecordedFault(StreamFault.SILENT, begin, end)
            return
        longest = max(EDGE, (patience(self._in_order()) or 0) / NANOSECONDS)
        first, last = min(self._places.values()), max(self._places.values())
        if first - begin > longest:
            yield RecordedFault(StreamFault.SILENT, begin, first)
        if end - last > longest:
            yield RecordedFault(StreamFault.SILENT, last, end)
