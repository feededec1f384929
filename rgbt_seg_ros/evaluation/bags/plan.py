"""Which pairs a bag gives: the node's pairing over the stamps of a whole bag, before any image is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Bag, BagError, RawMessage
from rgbt_seg_ros.data.bags.topics import Cameras, find_words
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.evaluation.bags.axis import Axis, axis_of
from rgbt_seg_ros.evaluation.bags.fault_bands import FaultBands, StreamBand
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.parameters.table import PARAMETER_OF
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.health.choice import PairHealth, look_at_thermal
from rgbt_seg_ros.pipeline.health.picture import PictureFacts, look_at
from rgbt_seg_ros.pipeline.health.repeats import Run, RunLog
from rgbt_seg_ros.pipeline.health.stream import HealthSettings
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS
from rgbt_seg_ros.pipeline.images import check_rgb, check_thermal, message_digest, stamp_ns, to_rgb, to_thermal
from rgbt_seg_ros.pipeline.pairing.fallback import FallbackPairer
from rgbt_seg_ros.pipeline.pairing.nearest import Pair, Pairer
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream
from rgbt_seg_ros.pipeline.stream_content import StreamJudge, judge_shapes


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """A pair that will be segmented.

    Attributes:
        index: 0, 1, 2, … in the order the node would get them.
        rgb: Index of the RGB frame among the messages of its topic; -1: the thermal frame is alone.
        thermal: Index of the thermal frame among those of its topic; -1: the RGB frame is alone.
        modality: Which of them the network is given.
        rgb_stamp: Stamp (ns); of a thermal frame alone its stamp + thermal_offset.
        thermal_stamp: Stamp as published (ns); 0 of an RGB frame alone.
        offset: thermal + thermal_offset - rgb (s); 0 of a frame alone.
        completed: Log time (ns) of the message that made the pair certain.
        rgb_log_time: Log time (ns) of the RGB frame; of a thermal frame alone its own.
        thermal_log_time: Log time (ns) of the thermal frame; of an RGB frame alone its own.
        image_size: (H, W) of the newest RGB image until then; None: not known.
        frame_id: Of the newest RGB frame until then.
        received: RGB and thermal frames until then.
        dropped: Frames dropped until then, in the order of ``Plan.reasons``.
    """

    index: int
    rgb: int
    thermal: int
    modality: Modality
    rgb_stamp: int
    thermal_stamp: int
    offset: float
    completed: int
    rgb_log_time: int
    thermal_log_time: int
    image_size: tuple[int, int] | None
    frame_id: str
    received: tuple[int, int]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Traffic:
    """What came in one stretch of the bag: frames of either camera, and frames dropped."""

    rgb: int = 0
    thermal: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Plan:
    """Every pair of a bag, and every frame received and dropped.

    Attributes:
        cameras: The topics.
        pairs: In the order the node would get them.
        received: RGB and thermal frames.
        reasons: Names of the reasons for drops, such as ``rgb_no_partner``.
        dropped: Frames by reason; only reasons with drops.
        axis: The time axis.
        traffic: Of each bin of the axis.
        notes: Sentences on frames that could not be used, and on what the others show, one of each kind.
        max_pixels: The most pixels that an image may have.
        faults: What was wrong with a camera, and when.
    """

    cameras: Cameras
    pairs: tuple[PlannedPair, ...]
    received: tuple[int, int]
    reasons: tuple[str, ...]
    dropped: Mapping[str, int]
    axis: Axis
    traffic: tuple[Traffic, ...]
    notes: tuple[str, ...]
    max_pixels: int = MAX_PIXELS
    faults: tuple[StreamBand, ...] = ()

    def of(self, modality: Modality) -> int:
        """Return how many pairs are segmented from these images."""
        return sum(pair.modality == modality for pair in self.pairs)


@dataclass(frozen=True)
class _Frame:
    ordinal: int
    log_time: int
    facts: PictureFacts | None
    run: Run | None
    image_size: tuple[int, int] | None
    frame_id: str


class _Planner:
    """Feeds the pairer in the order of recording and notes its pairs and drops."""

    def __init__(
        self,
        bag: Bag,
        cameras: Cameras,
        pairer: FallbackPairer,
        health: PairHealth,
        alone: frozenset[Stream],
        crop: tuple[int, int],
        aligned: bool,
        max_pixels: int,
    ) -> None:
        self._bag, self._cameras, self._pairer, self._aligned = bag, cameras, pairer, aligned
        self._health, self._alone, self._crop = health, alone, crop
        self._runs: dict[Stream, RunLog] = {stream: RunLog() for stream in STREAMS}
        self._bands = FaultBands()
        self._unfit = 0
        self._image_size: tuple[int, int] | None = None
        self._frame_id = ""
        self._max_pixels = max_pixels
        self._judges = (
            StreamJudge(cameras.rgb.name, False, max_pixels=max_pixels),
            StreamJudge(cameras.thermal.name, True, crop, max_pixels),
        )
        self._invalid: Counter[str] = Counter()
        self._declared: Counter[str] = Counter()
        self._words = find_words(bag, cameras)
        self._notes: dict[str, str] = {}
        self._received = [0, 0]
        self._reasons = (
            DropReason.INVALID.of("rgb"),
            DropReason.INVALID.of("thermal"),
            DropReason.PAIR_UNFIT,
            *(DropReason.DECLARED_INVALID.of(stream) for stream in self._words.values()),
            *sorted(pairer.counters().dropped),
        )
        # By whole seconds from the first message: how long the bag is is only known at its end.
        self._traffic: dict[int, list[int]] = {}
        self._start: int | None = None
        self._end = 0
        self._last_dropped: tuple[int, ...] = ()
        self._pairs: list[PlannedPair] = []

    def _dropped(self) -> tuple[int, ...]:
        counted = self._pairer.counters().dropped
        own = {**self._invalid, **self._declared, DropReason.PAIR_UNFIT: self._unfit}
        dropped = tuple(own.get(reason, 0) + counted.get(reason, 0) for reason in self._reasons)
        # One object for all pairs between two drops.
        return self._last_dropped if dropped == self._last_dropped else dropped

    def _at(self, log_time: int) -> list[int]:
        if self._start is None:
            self._start = log_time
        self._end = max(self._end, log_time)
        return self._traffic.setdefault((log_time - self._start) // NANOSECONDS, [0, 0, 0])

    def _take(self, raw: RawMessage) -> None:
        stream = int(raw.topic == self._cameras.thermal.name)
        ordinal = self._received[stream]
        self._received[stream] += 1
        self._at(raw.log_time)[stream] += 1
        pairs = self._pairer.advance(raw.log_time)
        try:
            message = self._bag.decode(raw)
            if stream:
                check_thermal(message, raw.topic, self._max_pixels)
            else:
                check_rgb(message, raw.topic, self._max_pixels)
        except UserError as error:
            kind = DropReason.INVALID.of("thermal" if stream else "rgb")
            self._invalid[kind] += 1
            self._notes.setdefault(kind, str(error))
        else:
            stamp = stamp_ns(message.header)
            if self._pairer.is_declared_invalid(STREAMS[stream]):
                self._declared[DropReason.DECLARED_INVALID.of(STREAMS[stream])] += 1
                self._settle(pairs, raw.log_time)
                return
            self._judges[stream].see(message, stamp, (raw.log_time - (self._start or 0)) / NANOSECONDS)
            pairs += self._pairer.add(STREAMS[stream], stamp, self._frame(message, stream, ordinal, raw), raw.log_time)
        self._settle(pairs, raw.log_time)

    def _declare(self, stream: Stream, raw: RawMessage) -> None:
        """Take what a driver said about its images."""
        pairs = self._pairer.advance(raw.log_time)
        try:
            pairs += self._pairer.declare(stream, bool(self._bag.decode(raw).data))
        except UserError as error:
            self._notes.setdefault(raw.topic, str(error))
        self._settle(pairs, raw.log_time)

    def _frame(self, message: Any, stream: int, ordinal: int, raw: RawMessage) -> _Frame:
        """Return what is kept of a message until it is decided about: what its image shows, but not the image."""
        facts = run = None
        if not stream:
            self._frame_id = str(message.header.frame_id)
        if self._alone:
            name, stamp = STREAMS[stream], stamp_ns(message.header)
            known = message_digest(message, raw.topic, name, self._crop, self._max_pixels)
            self._runs[name].take(stamp, known)
            run = self._runs[name].at(stamp)
            try:
                if stream:
                    facts = look_at_thermal(to_thermal(message, raw.topic, self._max_pixels), self._crop, known)
                else:
                    image = to_rgb(message, raw.topic, self._max_pixels)
                    self._image_size = (image.shape[0], image.shape[1])
                    facts = look_at(image, known)
            except UserError:
                # Damage that only decoding finds: its pair is counted where it is converted.
                facts = None
        return _Frame(ordinal, raw.log_time, facts, run, self._image_size, self._frame_id)

    def _settle(self, pairs: list[Pair], log_time: int) -> None:
        for pair in pairs:
            modality = self._choose(pair, log_time)
            if modality is None:
                self._unfit += 1
                continue
            rgb, thermal = pair.rgb or pair.thermal, pair.thermal or pair.rgb
            self._pairs.append(
                PlannedPair(
                    index=len(self._pairs),
                    rgb=pair.rgb.ordinal if pair.rgb else -1,
                    thermal=pair.thermal.ordinal if pair.thermal else -1,
                    modality=modality,
                    rgb_stamp=pair.rgb_stamp,
                    thermal_stamp=pair.thermal_stamp,
                    offset=pair.offset,
                    completed=log_time,
                    rgb_log_time=rgb.log_time,
                    thermal_log_time=thermal.log_time,
                    image_size=rgb.image_size,
                    frame_id=rgb.frame_id,
                    received=(self._received[0], self._received[1]),
                    dropped=self._dropped(),
                )
            )
        dropped = self._dropped()
        self._at(log_time)[2] += sum(dropped) - sum(self._last_dropped)
        self._last_dropped = dropped

    def _choose(self, pair: Pair, now: int) -> Modality | None:
        """Return what the network is given of a pair; None: nothing."""
        frames = {"rgb": (pair.rgb, pair.rgb_stamp), "thermal": (pair.thermal, pair.thermal_stamp)}
        seen = {
            stream: (frame.facts, stamp)
            for stream, (frame, stamp) in frames.items()
            if frame is not None and frame.facts is not None
        }
        if len(seen) < len(STREAMS) - (pair.modality != "rgbt"):
            return pair.modality
        runs = {stream: None if frame is None else frame.run for stream, (frame, _) in frames.items()}
        choice = self._health.choose(seen, runs, self._alone)  # type: ignore[arg-type]
        self._bands.see(pair, choice, {stream: self._pairer.fault(stream, now) for stream in STREAMS})
        return choice.modality

    def run(self) -> Plan:
        names = (self._cameras.rgb.name, self._cameras.thermal.name)
        for raw in self._bag.messages((*names, *self._words)):
            if raw.topic in self._words:
                self._declare(self._words[raw.topic], raw)
            else:
                self._take(raw)
        self._settle(self._pairer.flush(), self._end)
        dropped = dict(zip(self._reasons, self._dropped(), strict=True))
        axis = axis_of(self._start or 0, self._end)
        bins = [[0, 0, 0] for _ in range(axis.bins)]
        for second, counts in self._traffic.items():
            where = bins[min(second // axis.seconds_per_bin, axis.bins - 1)]
            where[:] = [before + count for before, count in zip(where, counts, strict=True)]
        return Plan(
            self._cameras,
            tuple(self._pairs),
            (self._received[0], self._received[1]),
            self._reasons,
            {reason: count for reason, count in dropped.items() if count},
            axis,
            tuple(Traffic(*entry) for entry in bins),
            (*self._notes.values(), *self._content()),
            self._max_pixels,
            self._bands.all(),
        )

    def _content(self) -> Iterator[str]:
        for judge in self._judges:
            yield from judge.sentences()
        if self._aligned:
            yield from judge_shapes(*self._judges, self._cameras.thermal.name)


def make_plan(
    bag: Bag,
    cameras: Cameras,
    make_pairer: Callable[[], Pairer],
    alone: frozenset[Stream] = frozenset(),
    health: HealthSettings | None = None,
    crop: tuple[int, int] = (0, 0),
    aligned: bool = True,
    max_pixels: int = MAX_PIXELS,
    whole: bool = True,
) -> Plan:
    """Pair a whole bag as the node would, with no frame lost on the way and nothing superseded.

    Frames come in the order of their log times. At the end waiting frames are decided, as if none could follow.

    Args:
        bag: The bag.
        cameras: Its two image topics.
        make_pairer: Makes the pairer of the parameters.
        alone: Streams whose frames are segmented alone while the other camera fails.
        health: What counts as a fault of a picture; None: the defaults.
        crop: ``thermal.crop_top`` and ``thermal.crop_bottom``.
        aligned: Whether the images are taken as aligned already (``alignment.mode: none``).
        max_pixels: The parameter ``input.max_pixels``.
        whole: Whether a bag is refused in which no two frames are a pair, although frames of one camera could be segmented alone.

    Raises:
        BagError: The bag cannot be read to its end, or gives no pair: the sentence says why.
    """
    with name_settings(PARAMETER_OF):
        pairer = FallbackPairer(make_pairer(), alone, bag.start)
    plan = _Planner(bag, cameras, pairer, PairHealth(health), alone, crop, aligned, max_pixels).run()
    if not (plan.of("rgbt") if whole else plan.pairs):
        raise BagError(_why_no_pair(bag, plan))
    return plan


def _why_no_pair(bag: Bag, plan: Plan) -> str:
    rgb, thermal = plan.received
    if not rgb or not thermal:
        missing = plan.cameras.rgb.name if not rgb else plan.cameras.thermal.name
        return f"{bag.path}: no pairs: {missing} has no messages"
    reasons = ", ".join(f"{reason} {count}" for reason, count in plan.dropped.items())
    note = "".join(f"; {note}" for note in plan.notes)
    return (
        f"{bag.path}: no pairs of {rgb} RGB and {thermal} thermal frames ({reasons}){note}; "
        f"`rgbt-seg bag check {bag.path}` compares their stamps, and says which slop and offset would give pairs"
    )
