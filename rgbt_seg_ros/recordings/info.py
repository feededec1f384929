"""What is in a recording: how it is stored, and of each topic type, count, rates, quality of service and images."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosReliability

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Bag, BagError, RawMessage, Topic, header_stamp
from rgbt_seg_ros.data.bags.topics import COMPRESSED, IMAGE
from rgbt_seg_ros.recordings.statistics import mean_rate_hz, rate_hz

Progress = Callable[[Iterable[RawMessage]], Iterable[RawMessage]]


@dataclass(frozen=True)
class TopicInfo:
    """One topic.

    Attributes:
        name: As recorded.
        type: Message type.
        count: Messages read.
        log_rate_hz: One over the median interval of log times; nan below two.
        stamp_rate_hz: The same of header stamps; nan also where the type begins with no header.
        mean_rate_hz: Messages over the time from the first to the last, by log time.
        image: Of the first readable message of an image topic: encoding and size, or the format of a compressed one; else empty.
        qos: What its publishers offered, in words.
        unreadable: Messages that are none of the type, among those looked at: images up to the first that is one, and stamps.
        first_unreadable: Why the first of them is none; else empty.
    """

    name: str
    type: str
    count: int
    log_rate_hz: float
    stamp_rate_hz: float
    mean_rate_hz: float
    image: str
    qos: tuple[str, ...]
    unreadable: int
    first_unreadable: str


@dataclass(frozen=True)
class BagInfo:
    """A recording.

    Attributes:
        path: As it was named.
        storage: ``mcap`` or ``sqlite3``.
        compression: Of rosbag2, such as ``zstd (file)``; ``none`` also where the storage compresses by itself.
        distro: ROS distribution that recorded it; empty: not written down.
        start: Log time of the first message (ns).
        duration: From the first to the last message (s).
        messages: Of all topics.
        topics: By name.
    """

    path: str
    storage: str
    compression: str
    distro: str
    start: int
    duration: float
    messages: int
    topics: tuple[TopicInfo, ...]


def describe_qos(profile: Qos) -> str:
    """Return a QoS profile in words."""
    reliability = "best effort" if profile.reliability == QosReliability.BEST_EFFORT else "reliable"
    durability = "transient local" if profile.durability == QosDurability.TRANSIENT_LOCAL else "volatile"
    history = "keep all" if profile.history == QosHistory.KEEP_ALL else f"depth {profile.depth}"
    return f"{reliability}, {durability}, {history}"


def _untouched(messages: Iterable[RawMessage]) -> Iterator[RawMessage]:
    yield from messages


class _TopicReader:
    def __init__(self, bag: Bag, topic: Topic) -> None:
        self._bag, self._topic = bag, topic
        self._stamped = bag.has_header(topic.name)
        self._log_times, self._stamps = array("q"), array("q")
        self._image = ""
        self._unreadable = 0
        self._why = ""

    def take(self, raw: RawMessage) -> None:
        self._log_times.append(raw.log_time)
        try:
            self._look(raw)
        except BagError as error:
            self._why = self._why or str(error)
            self._unreadable += 1

    def _look(self, raw: RawMessage) -> None:
        if self._stamped:
            self._stamps.append(header_stamp(raw, self._bag.path))
        if not self._image and self._topic.type in (IMAGE, COMPRESSED):
            message = self._bag.decode(raw)
            size = (
                f"{message.encoding} {message.height}x{message.width}" if self._topic.type == IMAGE else message.format
            )
            self._image = str(size)

    def result(self) -> TopicInfo:
        log_times = np.array(self._log_times, np.int64)
        return TopicInfo(
            name=self._topic.name,
            type=self._topic.type,
            count=len(log_times),
            log_rate_hz=rate_hz(log_times),
            stamp_rate_hz=rate_hz(np.array(self._stamps, np.int64)),
            mean_rate_hz=mean_rate_hz(log_times),
            image=self._image,
            qos=tuple(dict.fromkeys(describe_qos(profile) for profile in self._topic.qos)),
            unreadable=self._unreadable,
            first_unreadable=self._why,
        )


def read_info(bag: Bag, progress: Progress = _untouched) -> BagInfo:
    """Describe a bag in one pass, in which only the first image of a topic is decoded; messages that are none are counted.

    Raises:
        BagError: The bag cannot be read to its end.
    """
    readers = {name: _TopicReader(bag, topic) for name, topic in sorted(bag.topics.items())}
    for raw in progress(bag.messages()):
        readers[raw.topic].take(raw)
    return BagInfo(
        path=str(bag.path),
        storage=bag.recording.storage,
        compression=bag.recording.compression,
        distro=bag.recording.distro,
        start=bag.start,
        duration=(bag.end - bag.start) / NANOSECONDS,
        messages=bag.message_count,
        topics=tuple(reader.result() for reader in readers.values()),
    )
