"""A data set as a recording of two cameras: images, calibration, true label masks, class table and static transforms."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rosbags.interfaces import Qos

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.data.bags.messages import header, image, label_info
from rgbt_seg_ros.data.bags.reader import NANOSECONDS, BagError
from rgbt_seg_ros.data.bags.rig import THERMAL_ENCODINGS, Rig, camera_info, encode_thermal
from rgbt_seg_ros.data.bags.timing import Capture, Timing, captures
from rgbt_seg_ros.data.bags.topics import IMAGE
from rgbt_seg_ros.data.bags.writer import BagWriter, check_new_bag, qos
from rgbt_seg_ros.data.parallel_reading import read_in_order
from rgbt_seg_ros.data.samples import DataError, Dataset, Sample
from rgbt_seg_ros.scenes.faults import LATE, Fault, FaultyCamera

TRANSFER = 5_000_000
"""Nanoseconds from every stamp to the recording of its message: what lies in the order of recording has ordered stamps."""

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
MASK = "ground_truth/mask"
LABEL_INFO = "ground_truth/label_info"
TF_STATIC = "/tf_static"

Progress = Callable[[Iterable[Sample]], Iterable[Sample]]


@dataclass(frozen=True)
class BagSettings:
    """What the recording is like.

    Attributes:
        timing: When the cameras take and stamp their frames.
        rig: What topics and frames are called.
        focal: Focal length in pixels of the RGB image; None: the image's width, a field of view 53 degrees wide.
        thermal_encoding: ``mono8``, ``mono16``, or None: as the data has it; see ``rig.encode_thermal``.
        storage: ``mcap`` or ``sqlite3``.
        faults: What goes wrong with the cameras, and when; the true label masks stay as they are.

    Raises:
        BagError: A value is out of its range.
    """

    timing: Timing = field(default_factory=Timing)
    rig: Rig = field(default_factory=Rig)
    focal: float | None = None
    thermal_encoding: str | None = None
    storage: str = "mcap"
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no camera has."""
        if self.focal is not None and not 0 < self.focal <= 1e6:
            raise BagError(f"focal length of {self.focal:g} pixels; expected more than 0, at most 1e6")
        if self.thermal_encoding not in (None, *THERMAL_ENCODINGS):
            raise BagError(f"thermal encoding '{self.thermal_encoding}'; expected {' or '.join(THERMAL_ENCODINGS)}")


@dataclass(frozen=True)
class MadeBag:
    """A bag that was written.

    Attributes:
        path: Its folder.
        counts: Messages of each topic.
        seconds: From the first to the last image, by their stamps (s).
        labelled: Whether the data has label masks.
    """

    path: Path
    counts: Mapping[str, int]
    seconds: float
    labelled: bool


def make_bag(
    dataset: Dataset,
    path: str | Path,
    settings: BagSettings | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> MadeBag:
    """Write the samples of a data set, in their order, as a bag; the same arguments give the same messages.

    Messages lie in the order of their log times. Memory grows with the thermal delay, not with the number of samples.

    Args:
        dataset: What the cameras see.
        path: The new folder.
        settings: What the recording is like; None: the defaults.
        limit: Take the first so many samples; None: all.
        workers: Processes to read samples with.
        progress: Wraps the samples as they are read, to show how far it is.

    Raises:
        BagError: ``path`` is there already or cannot be written, or stamps or thermal images do not fit.
        DataError: A sample cannot be read, or has images of another size than the first.
    """
    settings = settings or BagSettings()
    check_new_bag(Path(path))
    count = min(limit or len(dataset), len(dataset))
    if not count:
        raise DataError(f"{dataset.spec}: no samples")
    plan = captures(settings.timing, count)
    samples = read_in_order(dataset, range(count), workers)
    with closing(samples), BagWriter(path, settings.storage) as writer:
        recorder = _Recorder(writer, dataset, settings)
        for sample in progress(samples) if progress else samples:
            recorder.take(sample, next(plan))
        return recorder.finish()


class _Recorder:
    """Turns samples into messages and writes these in the order in which they would arrive."""

    def __init__(self, writer: BagWriter, dataset: Dataset, settings: BagSettings) -> None:
        self._writer = writer
        self._dataset = dataset
        self._settings = settings
        self._topic = settings.rig.topic
        self._first: Sample | None = None
        self._counts: dict[str, int] = {}
        self._span: tuple[int, int] | None = None
        # Of each frame (due, number, stamp, topics and messages): a later sample may still have one to go before.
        self._waiting: list[tuple[int, int, int, dict[str, Any]]] = []
        self._cameras = {name: FaultyCamera(name, settings.faults, settings.timing.seed) for name in ("rgb", "thermal")}
        self._due = {"rgb": 0, "thermal": 0}
        self._number = 0

    def take(self, sample: Sample, capture: Capture) -> None:
        """Record what both cameras have of a sample.

        Raises:
            BagError: Its thermal image does not fit the encoding, or the disk refuses a message.
            DataError: Its images have another size than those of the first.
        """
        if self._first is None:
            self._first = sample
            self._open_topics(sample)
        self._check_size(sample, self._first)
        self._write_before(self._settings.timing.earliest(capture.index))
        rgb_size = (sample.rgb.shape[0], sample.rgb.shape[1])
        if capture.rgb is not None:
            messages = self._frame("rgb", capture.rgb, self._deliver("rgb", sample.rgb, capture), rgb_size)
            self._push("rgb", capture, messages)
            if sample.label is not None and self._first.label is not None:
                head = header(capture.rgb, self._settings.rig.frame("rgb"))
                self._wait(capture.rgb, capture.rgb, {self._topic(MASK): image(head, sample.label)})
        if capture.thermal is not None:
            where = f"{self._dataset.spec}: {sample.name}"
            delivered = self._deliver("thermal", sample.thermal, capture)
            if delivered is not None:
                delivered = encode_thermal(delivered, self._settings.thermal_encoding, where)
            self._push("thermal", capture, self._frame("thermal", capture.thermal, delivered, rgb_size))

    def _seconds(self, capture: Capture) -> float:
        timing = self._settings.timing
        return (timing.instant(capture.index) - timing.start) / NANOSECONDS

    def _deliver(self, camera: str, picture: AnyArray, capture: Capture) -> AnyArray | None:
        return self._cameras[camera].take(picture, self._seconds(capture), capture.index)

    def finish(self) -> MadeBag:
        """Write what still waits, and return what was written."""
        self._write_before(None)
        first, last = self._span or (0, 0)
        labelled = self._topic(MASK) in self._counts
        return MadeBag(self._writer.path, MappingProxyType(self._counts), (last - first) / NANOSECONDS, labelled)

    def _open_topics(self, sample: Sample) -> None:
        sensor, latched, labels = qos(reliable=False, depth=5), qos(latched=True, depth=1), qos(depth=5)
        for camera in ("rgb", "thermal"):
            self._add(self._topic(f"{camera}/image_raw"), IMAGE, sensor)
            self._add(self._topic(f"{camera}/camera_info"), CAMERA_INFO, sensor)
        timing, rig = self._settings.timing, self._settings.rig
        once = {TF_STATIC: rig.static_transforms(timing.start)}
        self._add(TF_STATIC, "tf2_msgs/msg/TFMessage", latched)
        if sample.label is not None:
            self._add(self._topic(MASK), IMAGE, labels)
            self._add(self._topic(LABEL_INFO), "vision_msgs/msg/LabelInfo", latched)
            head = header(timing.start, rig.frame("rgb"))
            once[self._topic(LABEL_INFO)] = label_info(head, self._dataset.convention.classes)
        # No stamp lies before this, and every message is recorded later than its stamp.
        self._write(timing.earliest(0), once)

    def _add(self, topic: str, type_: str, profile: Qos) -> None:
        self._writer.add_topic(topic, type_, [profile])
        self._counts[topic] = 0

    def _check_size(self, sample: Sample, first: Sample) -> None:
        sizes = [(entry.rgb.shape[:2], entry.thermal.shape[:2]) for entry in (sample, first)]
        if sizes[0] != sizes[1]:
            words = [f"{rgb[0]}x{rgb[1]} (RGB) and {thermal[0]}x{thermal[1]} (thermal)" for rgb, thermal in sizes]
            raise DataError(
                f"{self._dataset.spec}: {sample.name} has {words[0]} pixels; expected the {words[1]} of {first.name}, "
                "since a camera has one size"
            )

    def _frame(self, camera: str, stamp: int, pixels: AnyArray | None, rgb_size: tuple[int, int]) -> dict[str, Any]:
        if pixels is None:
            return {}
        head = header(stamp, self._settings.rig.frame(camera))
        focal = self._settings.focal or float(rgb_size[1])
        return {
            self._topic(f"{camera}/image_raw"): image(head, pixels),
            self._topic(f"{camera}/camera_info"): camera_info(
                head, (pixels.shape[0], pixels.shape[1]), rgb_size, focal
            ),
        }

    def _push(self, camera: str, capture: Capture, messages: dict[str, Any]) -> None:
        """Let the frame of a camera wait for its turn: a late one waits longer, and a later one does not overtake it."""
        stamp = capture.rgb if camera == "rgb" else capture.thermal
        if not messages or stamp is None:
            return
        late = self._cameras[camera].at(self._seconds(capture)) == "late"
        due = max(stamp + round(LATE * NANOSECONDS) * late, self._due[camera])
        self._due[camera] = due
        self._wait(due, stamp, messages)

    def _wait(self, due: int, stamp: int, messages: dict[str, Any]) -> None:
        self._number += 1
        heapq.heappush(self._waiting, (due, self._number, stamp, messages))

    def _write_before(self, bound: int | None) -> None:
        """Write the frames that are due before a bound (ns); None: all."""
        while self._waiting and (bound is None or self._waiting[0][0] < bound):
            due, _, stamp, messages = heapq.heappop(self._waiting)
            first, last = self._span or (stamp, stamp)
            self._span = (min(first, stamp), max(last, stamp))
            self._write(due + TRANSFER, messages)

    def _write(self, log_time: int, messages: Mapping[str, Any]) -> None:
        for topic, message in messages.items():
            self._writer.write(topic, log_time, message)
            self._counts[topic] += 1
