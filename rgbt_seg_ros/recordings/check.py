"""Everything that a recording tells about its two cameras before a model sees it: streams, images, pairing, delay."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Bag, RawMessage, Topic, header_stamp
from rgbt_seg_ros.data.bags.topics import Cameras
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.images import check_rgb, check_thermal, is_compressed, to_rgb, to_thermal
from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.pipeline.stream_content import StreamJudge, judge_shapes
from rgbt_seg_ros.recordings.delay import LARGEST, Delay, estimate_delay
from rgbt_seg_ros.recordings.faults import CameraFaults, RecordedFault
from rgbt_seg_ros.recordings.motion import Motion, MotionMeter, grey
from rgbt_seg_ros.recordings.pairing_preview import (
    FrameLog,
    PairingPreview,
    clock_difference,
    different_clocks,
    preview_pairing,
    why_no_pairs,
)
from rgbt_seg_ros.recordings.statistics import LISTED, StreamStatistics, stream_statistics

LARGEST_OFFSET = 10.0
"""What ``sync.thermal_offset`` takes (s)."""

Progress = Callable[[Iterable[RawMessage]], Iterable[RawMessage]]


@dataclass(frozen=True)
class CheckOptions:
    """What to look at.

    Attributes:
        pairing: How the node would pair.
        image_seconds: Seconds of images that the delay is sought in, from where both cameras run; 0: stamps alone.
        largest_delay: Delays from minus to plus this are tried (s).
    """

    pairing: PairingSettings
    image_seconds: float = 60.0
    largest_delay: float = LARGEST


@dataclass(frozen=True)
class ImageNotes:
    """What the images of a topic are.

    Attributes:
        first: Encoding and size of the first, such as ``rgb8 640x480``; the format of a compressed one; empty: none.
        changes: How often they become others.
        first_changes: The first of them: seconds after the bag's start, and what came then.
        unreadable: Messages that cannot be read as images; they are not part of the stream.
        invalid: Images that the node could not use, and messages that are none.
        first_invalid: Of the first of them, why.
        invalid_at: Of the first of them, seconds after the bag's start.
        content: What is odd about what the images show, a sentence for each kind.
    """

    first: str
    changes: int
    first_changes: tuple[tuple[float, str], ...]
    unreadable: int
    invalid: int
    first_invalid: str
    invalid_at: float | None
    content: tuple[str, ...] = ()


@dataclass(frozen=True)
class CameraCheck:
    """One camera: its topic, how regular its stream is, what its images are, and when it had which fault."""

    topic: Topic
    stream: StreamStatistics
    images: ImageNotes
    faults: tuple[RecordedFault, ...] = ()


@dataclass(frozen=True)
class BagCheck:
    """The whole answer.

    Attributes:
        rgb: The RGB camera.
        thermal: The thermal camera.
        pairing: What the settings give.
        no_pairs: Why they give none; empty where they do.
        clocks: Thermal less RGB clock (s), where both cameras' stamps are of different clocks; else 0.
        recorded_later: By how much longer after its stamp thermal is recorded than RGB (s; below 0: RGB is), where that is more
            than transport takes and the clocks are one; else 0.
        delay: By how much thermal stamps are late.
        suggested: What the suggested values give; None: there are none.
    """

    rgb: CameraCheck
    thermal: CameraCheck
    pairing: PairingPreview
    no_pairs: str
    clocks: float
    recorded_later: float
    delay: Delay
    suggested: PairingPreview | None

    @property
    def usable(self) -> bool:
        """Whether there are pairs, with the settings given or with those suggested."""
        return bool(self.pairing.pairs or (self.suggested and self.suggested.pairs))


class _Camera:
    """Takes the messages of one camera."""

    def __init__(self, topic: Topic, thermal: bool, start: int, content: bool) -> None:
        self.topic, self._thermal, self._start = topic, thermal, start
        self._content = content
        self._stamps, self._log_times = array("q"), array("q")
        self._first, self._now = "", ""
        self._changes: list[tuple[float, str]] = []
        self._change_count = 0
        self._unreadable = 0
        self._invalid = 0
        self._invalid_at: float | None = None
        self._why = ""
        self.meter = MotionMeter()
        self.judge = StreamJudge(topic.name, thermal)
        self._faults = CameraFaults(thermal)

    def take(self, raw: RawMessage, stamp: int, message: Any, measure: bool) -> bool:
        """Take an image; return whether the node could use it."""
        self._stamps.append(stamp)
        self._log_times.append(raw.log_time)
        at = (raw.log_time - self._start) / NANOSECONDS
        self._describe(message, at)
        try:
            if self._thermal:
                check_thermal(message, raw.topic)
            else:
                check_rgb(message, raw.topic)
            self._faults.arrive(stamp, at)
            if self._content:
                self.judge.see(message, stamp, at)
            if measure or self._content:
                self._look(message, stamp, measure)
        except UserError as error:
            self._refuse(str(error), at)
            return False
        return True

    def _look(self, message: Any, stamp: int, measure: bool) -> None:
        wanted = self._faults.wants(stamp, is_compressed(message))
        if not measure and not wanted:
            return
        try:
            image = (to_thermal if self._thermal else to_rgb)(message, self.topic.name)
        except UserError:
            if measure:
                raise
            return
        if wanted:
            self._faults.see(stamp, image, np.frombuffer(message.data, np.uint8) if is_compressed(message) else None)
        if measure:
            self.meter.add(stamp, grey(image))

    def skip(self, why: str, at: float) -> None:
        """Count a message that cannot be read as an image."""
        self._unreadable += 1
        self._refuse(why, at)

    def _refuse(self, why: str, at: float) -> None:
        if not self._invalid:
            self._why, self._invalid_at = why, at
        self._invalid += 1

    def _describe(self, message: Any, at: float) -> None:
        now = message.format if is_compressed(message) else f"{message.encoding} {message.height}x{message.width}"
        self._first = self._first or now
        if self._now not in ("", now):
            self._change_count += 1
            if len(self._changes) < LISTED:
                self._changes.append((at, now))
        self._now = now

    @property
    def recorded(self) -> tuple[int, ...]:
        """Return the log times (ns) of its first and its last image; nothing without images."""
        return (min(self._log_times), max(self._log_times)) if self._log_times else ()

    def result(self, begin: int, end: int) -> CameraCheck:
        """Return what was found; ``begin`` and ``end`` are log times (ns) of both cameras' recording."""
        stamps, log_times = np.array(self._stamps, np.int64), np.array(self._log_times, np.int64)
        notes = ImageNotes(
            self._first,
            self._change_count,
            tuple(self._changes),
            self._unreadable,
            self._invalid,
            self._why,
            self._invalid_at,
            self.judge.sentences(),
        )
        faults = self._faults.result((begin - self._start) / NANOSECONDS, (end - self._start) / NANOSECONDS)
        return CameraCheck(self.topic, stream_statistics(stamps, log_times, self._start), notes, faults)


class _Scan:
    """Reads both cameras once, in the order of recording."""

    def __init__(self, bag: Bag, cameras: Cameras, options: CheckOptions) -> None:
        self._bag, self._options = bag, options
        self.cameras = (
            _Camera(cameras.rgb, False, bag.start, options.image_seconds > 0),
            _Camera(cameras.thermal, True, bag.start, options.image_seconds > 0),
        )
        self._frames = (array("b"), array("q"), array("q"))
        self._seen = [False, False]
        self._both_since: int | None = None

    def run(self, progress: Progress) -> FrameLog:
        names = [camera.topic.name for camera in self.cameras]
        for raw in progress(self._bag.messages(names)):
            self._take(raw, int(raw.topic == names[1]))
        cameras, stamps, log_times = self._frames
        return FrameLog(np.array(cameras, np.int8), np.array(stamps, np.int64), np.array(log_times, np.int64))

    def _take(self, raw: RawMessage, camera: int) -> None:
        self._seen[camera] = True
        if self._both_since is None and all(self._seen):
            self._both_since = raw.log_time
        try:
            stamp, message = header_stamp(raw, self._bag.path), self._bag.decode(raw)
        except UserError as error:
            self.cameras[camera].skip(str(error), (raw.log_time - self._bag.start) / NANOSECONDS)
            return
        if self.cameras[camera].take(raw, stamp, message, self._measures(raw.log_time)):
            for values, value in zip(self._frames, (camera, stamp, raw.log_time), strict=True):
                values.append(value)

    def _measures(self, log_time: int) -> bool:
        since = log_time if self._both_since is None else self._both_since
        return log_time - since < self._options.image_seconds * NANOSECONDS

    def motions(self) -> tuple[Motion, Motion] | None:
        if not self._options.image_seconds:
            return None
        return self.cameras[0].meter.motion(), self.cameras[1].meter.motion()


def _untouched(messages: Iterable[RawMessage]) -> Iterator[RawMessage]:
    yield from messages


def check_bag(
    bag: Bag,
    cameras: Cameras,
    options: CheckOptions,
    progress: Progress = _untouched,
) -> BagCheck:
    """Check a bag in one pass; memory holds the stamps and one small image of each camera.

    Args:
        bag: The bag.
        cameras: Its two image topics.
        options: What to look at.
        progress: Wraps the messages, to show how far it is.

    Raises:
        BagError: The bag cannot be read to its end.
    """
    scan = _Scan(bag, cameras, options)
    frames = scan.run(progress)
    recorded = [at for camera in scan.cameras for at in camera.recorded] or [bag.start]
    rgb, thermal = (camera.result(min(recorded), max(recorded)) for camera in scan.cameras)
    shapes = judge_shapes(scan.cameras[0].judge, scan.cameras[1].judge, cameras.thermal.name)
    thermal = replace(thermal, images=replace(thermal.images, content=(*thermal.images.content, *shapes)))
    pairing = preview_pairing(frames, options.pairing)
    difference = clock_difference(frames)
    # Transport of two cameras differs by less; what is more is another clock, or a camera that was recorded late.
    difference = difference if abs(difference) > max(0.5, options.largest_delay) else 0.0
    clocks = difference if different_clocks(frames) else 0.0
    delay = estimate_delay(frames.of(0)[0], frames.of(1)[0], scan.motions(), options.largest_delay, clocks)
    return BagCheck(
        rgb,
        thermal,
        pairing,
        "" if pairing.pairs else why_no_pairs(frames, options.pairing),
        clocks,
        clocks - difference,
        delay,
        _suggested(frames, options.pairing, delay),
    )


def _suggested(frames: FrameLog, settings: PairingSettings, delay: Delay) -> PairingPreview | None:
    offset = delay.thermal_offset
    if offset is None or delay.slop is None or abs(offset) > LARGEST_OFFSET:
        return None
    return preview_pairing(frames, replace(settings, slop=delay.slop, thermal_offset=round(offset, 4)))
