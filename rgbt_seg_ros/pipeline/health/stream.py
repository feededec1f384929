"""One camera's pictures, judged in order: may this one be segmented, and is a fault to be announced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rgbt_seg_ros.pipeline.health.contrast import RgbContrast, Seen, ThermalContrast
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.picture import PictureFacts
from rgbt_seg_ros.pipeline.health.repeats import RepeatWatch, Run
from rgbt_seg_ros.pipeline.pairing.stamps import Stream

ONSET = 200_000_000
"""ns for which pictures must be unfit, and two at least, before a fault is announced: one bad frame is no fault."""


@dataclass(frozen=True)
class HealthSettings:
    """What is looked for.

    Attributes:
        frozen: The same picture under new stamps. Off for a simulator without noise, which stands still like a frozen camera.
        shutter: A thermal picture that loses its contrast at once.
        blind: A picture that shows nothing.
    """

    frozen: bool = True
    shutter: bool = True
    blind: bool = True


@dataclass(frozen=True)
class Judgement:
    """What is thought of one picture, and of its stream.

    Attributes:
        fault: The fault that is announced; None: none, or not for long enough yet.
        kind: What is wrong with this picture, announced or not; None: it is fit.
        confidence: 0..1 that it is a fault and not the scene; 0 where the picture is fit.
        since: Stamp (ns) of the first picture that has what is wrong; 0 where the picture is fit.
        detail: One phrase for logs, such as "the same picture for 1.2 s"; empty where the picture is fit.
    """

    fault: StreamFault | None
    kind: StreamFault | None
    confidence: float
    since: int
    detail: str

    @property
    def fit(self) -> bool:
        """Whether this picture may be used."""
        return self.kind is None


FIT = Judgement(None, None, 0.0, 0, "")


@dataclass(frozen=True)
class FaultInterval:
    """A fault of a stream in time, of stamps in ns: it begins with the first unfit frame and ends where one is fit again."""

    fault: StreamFault
    begin: int
    end: int


class PictureHealth:
    """Judges the pictures of one stream in the order of their stamps; not for several threads at once."""

    def __init__(self, stream: Stream, settings: HealthSettings | None = None) -> None:
        """Judge a camera's stream by the settings; None: look for everything."""
        self._stream, self._settings = stream, settings or HealthSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as after a jump of the clock or before another recording."""
        self._repeats = RepeatWatch()
        self._contrast = RgbContrast() if self._stream == "rgb" else ThermalContrast()
        self._stamp: int | None = None
        self._newest = FIT
        self._begin = self._frames = 0
        self._kind: StreamFault | None = None
        self._announced = False

    def see(self, stamp_ns: int, facts: PictureFacts, run: Run | None = None) -> Judgement:
        """Judge the next picture; the same stamp again is the same frame, an earlier one begins the stream again.

        Args:
            stamp_ns: Its stamp.
            facts: What it shows.
            run: The run it belongs to, where more frames have come than are judged; None: it follows from those that are.
        """
        if stamp_ns == self._stamp:
            return self._newest
        if self._stamp is not None and stamp_ns < self._stamp:
            self.reset()
        self._stamp = stamp_ns
        run = run or self._repeats.see(stamp_ns, facts.digest)
        seen = self._contrast.see(stamp_ns, facts)
        self._newest = self._judge(stamp_ns, self._wanted(seen) or self._frozen(run, facts), run)
        return self._newest

    def _wanted(self, seen: Seen | None) -> Seen | None:
        wanted = {StreamFault.SHUTTER: self._settings.shutter, StreamFault.BLIND: self._settings.blind}
        return seen if seen is not None and wanted[seen.fault] else None

    def _frozen(self, run: Run, facts: PictureFacts) -> Seen | None:
        """Return that the stream is frozen; what shows nothing stands still as well, which says no more."""
        if not (run.frozen and self._settings.frozen):
            return None
        # A picture without any noise may be a simulator's that stands still.
        confidence = 0.95 if facts.noise > 0 else 0.6
        return Seen(StreamFault.FROZEN, confidence, f"the same picture for {run.seconds:.1f} s")

    def _judge(self, stamp: int, seen: Seen | None, run: Run) -> Judgement:
        if seen is None:
            self._kind, self._announced = None, False
            return FIT
        if seen.fault is not self._kind:
            self._kind, self._frames = seen.fault, 0
            self._begin = run.repeated if seen.fault is StreamFault.FROZEN else stamp
        self._frames += 1
        self._announced = self._announced or (self._frames >= 2 and stamp - self._begin >= ONSET)
        announced = seen.fault if self._announced else None
        return Judgement(announced, seen.fault, seen.confidence, self._begin, seen.detail)


def intervals(stamps: Iterable[int], judgements: Iterable[Judgement]) -> list[FaultInterval]:
    """Return the announced faults of a stream in order of time; the last one ends with the last frame if it goes on."""
    found: list[FaultInterval] = []
    last: Judgement | None = None
    for stamp, judgement in zip(stamps, judgements, strict=True):
        if last is not None and last.fault is not None:
            # What goes on, and the first frame after it, both end it later.
            found[-1] = FaultInterval(last.fault, last.since, stamp)
        if judgement.fault is not None and (
            last is None or (last.fault, last.since) != (judgement.fault, judgement.since)
        ):
            found.append(FaultInterval(judgement.fault, judgement.since, stamp))
        last = judgement
    return found
