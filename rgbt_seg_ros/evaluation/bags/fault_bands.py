"""When a camera of a bag was at fault: the bands of the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rgbt_seg_ros.pipeline.health.choice import Choice
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.pairing.nearest import Pair
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream


@dataclass(frozen=True)
class StreamBand:
    """A time in which images of one camera were missing or not fit.

    Attributes:
        stream: Whose.
        fault: What was wrong.
        begin: Stamp (ns, of the RGB camera's time) of the first pair without a usable image of it.
        end: Stamp of the last one.
        pairs: How many there were.
    """

    stream: Stream
    fault: StreamFault
    begin: int
    end: int
    pairs: int


class FaultBands:
    """Collects bands from the pairs of a bag, in order."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[StreamBand] = []
        self._open: dict[Stream, int] = {}

    def see(self, pair: Pair, choice: Choice, absent: Mapping[Stream, StreamFault | None]) -> None:
        """Take the next pair, what was decided about it, and why frames of a stream were not waited for, where that is known."""
        for stream, item in zip(STREAMS, (pair.rgb, pair.thermal), strict=True):
            judged = choice.judgements.get(stream)
            if item is None:
                self._extend(stream, absent[stream] or StreamFault.SILENT, pair.rgb_stamp)
            elif judged is not None and judged.kind is not None:
                self._extend(stream, judged.kind, pair.rgb_stamp)
            else:
                self._open.pop(stream, None)

    def _extend(self, stream: Stream, fault: StreamFault, stamp: int) -> None:
        at = self._open.get(stream)
        if at is not None and self._found[at].fault is fault:
            band = self._found[at]
            self._found[at] = replace(band, end=stamp, pairs=band.pairs + 1)
            return
        self._open[stream] = len(self._found)
        self._found.append(StreamBand(stream, fault, stamp, stamp, 1))

    def all(self) -> tuple[StreamBand, ...]:
        """Return the bands, in the order in which they begin; one frame that is lost or odd is no fault."""
        return tuple(band for band in self._found if band.pairs > 1)
