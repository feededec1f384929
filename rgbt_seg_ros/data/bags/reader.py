"""Read a rosbag2 recording message by message, in the order of recording; what is wrong with a bag is one sentence."""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos
from rosbags.typesys.store import Typestore

from rgbt_seg_ros.data.bags.definitions import digest_of, qos_of, types_of
from rgbt_seg_ros.data.bags.files import METADATA, STORAGES, open_files
from rgbt_seg_ros.data.bags.storage import Channel, StorageError
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.words import counted

NANOSECONDS = 1_000_000_000
_CDR_STAMP = {1: struct.Struct("<iI"), 0: struct.Struct(">iI")}


class BagError(UserError):
    """A bag, or something in one, that cannot be used; the sentence names the bag."""


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: As recorded.
        type: Message type, such as ``sensor_msgs/msg/Image``.
        count: Messages that the bag's files hold.
        qos: What its publishers offered; may be empty.
        definition: Text of the type (ros2msg) as the bag carries it; empty: the bag has none.
        digest: Hash of the type (REP 2011); empty where the bag carries neither hash nor definition.
        promised: Messages that ``metadata.yaml`` counts; ``count`` where it counts fewer.
        serialization: Of the messages; ``cdr`` for those of ROS 2.
        schema: Encoding of the definition, such as ``ros2msg`` or ``protobuf``; empty: the bag has none.
    """

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...] = ()
    definition: str = ""
    digest: str = ""
    promised: int = 0
    serialization: str = "cdr"
    schema: str = ""


@dataclass(frozen=True)
class RawMessage:
    """One message as it lies in the bag.

    Attributes:
        topic: Name.
        type: Message type.
        log_time: When it was recorded (ns).
        data: CDR, with its 4-byte header.
    """

    topic: str
    type: str
    log_time: int
    data: bytes


def header_stamp(message: RawMessage, bag: Path | None = None) -> int:
    """Return the stamp (ns) of a message whose first field is a std_msgs/Header, without reading the rest.

    Args:
        message: The message.
        bag: Where it is from, for the sentence.

    Raises:
        BagError: The message is shorter than a stamp.
    """
    if len(message.data) < 12:
        where = message.topic if bag is None else f"{bag}: {message.topic}"
        raise BagError(f"{where}: a message of {counted(len(message.data), 'byte')} has no header")
    seconds, nanoseconds = _CDR_STAMP[message.data[1] & 1].unpack_from(message.data, 4)
    return int(seconds) * NANOSECONDS + int(nanoseconds)


class Bag:
    """An open bag; a context manager. Memory does not grow with its length.

    A topic is judged by itself, and only when its messages are asked for: one that is not of ROS takes nothing from the others.

    Attributes:
        path: As it was named.
        topics: By name. Where one name has several types, the one with most messages.
        recording: How the bag is stored.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a folder with ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file.

        Raises:
            BagError: The bag does not exist, or a file of it cannot be read at all.
        """
        self.path = Path(path)
        _check_path(self.path)
        self._opened = ExitStack()
        with ExitStack() as undo:
            undo.enter_context(self._opened)
            self.recording, files = open_files(self.path, self._opened, BagError)
            undo.pop_all()
        self._files = sorted(files, key=lambda file: file.start if file.start is not None else 0)
        self._channels: dict[str, list[list[Channel]]] = {}
        """By topic, for each file its channels of the topic's name and type."""
        self._described: dict[str, Channel] = {}
        self._stores: dict[str, Typestore] = {}
        self.topics: dict[str, Topic] = {}
        self._gather()

    def _gather(self) -> None:
        channels = [channel for file in self._files for channel in file.channels.values()]
        counts = Counter[tuple[str, str]]()
        for channel in channels:
            counts[channel.topic, channel.type] += channel.count
        promises = {(entry.topic, entry.type): entry for entry in self.recording.promises}
        for key in promises:
            counts.setdefault(key, 0)
        for (name, kind), count in sorted(counts.items(), key=lambda entry: (entry[0][0], -entry[1])):
            if name in self.topics:
                continue
            mine = [
                [channel for channel in file.channels.values() if (channel.topic, channel.type) == (name, kind)]
                for file in self._files
            ]
            promise = promises.get((name, kind))
            best = max(
                (channel for each in mine for channel in each),
                key=lambda channel: (bool(channel.definition), bool(channel.digest)),
                default=Channel(0, name, kind, promise.serialization if promise else "cdr"),
            )
            if promise is not None:
                best = replace(best, digest=best.digest or promise.digest)
            profiles = [profile for each in mine for channel in each for profile in qos_of(channel.qos)]
            qos = tuple(dict.fromkeys(profiles or (promise.qos if promise else ())))
            self._channels[name], self._described[name] = mine, best
            definition = best.definition if best.encoding == "ros2msg" else ""
            promised = max(count, promise.count if promise else 0)
            self.topics[name] = Topic(
                name, kind, count, qos, definition, digest_of(best), promised, best.serialization, best.encoding
            )

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._opened.close()

    @property
    def start(self) -> int:
        """Log time (ns) of the first message; 0 in an empty bag."""
        return min((file.start for file in self._files if file.start is not None), default=0)

    @property
    def end(self) -> int:
        """Log time (ns) of the last message; 0 in an empty bag."""
        return max((file.end for file in self._files if file.end is not None), default=0)

    @property
    def message_count(self) -> int:
        """Messages of all topics that its files hold."""
        return sum(topic.count for topic in self.topics.values())

    def messages(
        self, topics: Collection[str] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of their log times, whatever files they lie in.

        Args:
            topics: Only these; none: all. Unknown names are refused.
            start: First log time (ns).
            stop: Log time (ns) to stop before.

        Raises:
            BagError: A topic is not in the bag; or, after the messages that could be read, some are missing: a part of a file
                cannot be read, a file was not closed, or ``metadata.yaml`` counts more. The sentence says how many were read.
        """
        names = tuple(topics) or tuple(self.topics)
        for name in names:
            self.require(name)
        read = 0
        losses: list[str] = []
        streams = [self._from(index, names, start, stop, losses) for index in range(len(self._files))]
        # Files of a split recording follow each other; overlapping ones are merged by time.
        for message in heapq.merge(*streams, key=lambda message: message.log_time):
            read += 1
            yield message
        losses = [*losses, *(loss for file in self._files if (loss := file.loss) and loss not in losses)]
        expected = sum(self.topics[name].promised for name in names)
        if losses:
            raise BagError(f"{self.path}: {counted(read, 'message')} read, then: {'; '.join(losses)}")
        if start is None and stop is None and read < expected:
            raise BagError(
                f"{self.path}: holds {read} of the {counted(expected, 'message')} that {METADATA} counts; the others are lost"
            )

    def _from(
        self, index: int, names: Collection[str], start: int | None, stop: int | None, losses: list[str]
    ) -> Iterator[RawMessage]:
        channels = {channel.id: channel for name in names for channel in self._channels[name][index]}
        if not channels:
            return
        try:
            for key, log_time, data in self._files[index].messages(tuple(channels), start, stop):
                channel = channels[key]
                content = self.recording.unpack(data)
                yield RawMessage(channel.topic, channel.type, log_time, content)
        except StorageError as error:
            losses.append(str(error))

    def decode(self, message: RawMessage) -> Any:
        """Return the message with its fields as attributes; images' data is a (N,) uint8 array.

        Raises:
            BagError: The bytes are not such a message, or the bag does not say how to read them.
        """
        store = self._store(message.topic)
        try:
            return store.deserialize_cdr(message.data, message.type)
        except Exception as error:  # rosbags raises many kinds of exception for bytes that are not a message
            raise BagError(
                f"{self.path}: {message.topic}: a message cannot be read as {message.type} ({error})"
            ) from error

    def _store(self, name: str) -> Typestore:
        if name not in self._stores:
            try:
                self._stores[name] = types_of(self._described[self.require(name).name])
            except StorageError as error:
                raise BagError(f"{self.path}: {name}: {error}") from error
        return self._stores[name]

    def problem(self, topic: str) -> str:
        """Return why the messages of a topic cannot be read, without the bag's path; empty: they can."""
        try:
            self._store(topic)
        except BagError as error:
            return str(error).removeprefix(f"{self.path}: ")
        return ""

    def has_header(self, topic: str) -> bool:
        """Return whether the messages of a topic begin with a std_msgs/Header, by the definition of their type."""
        if self.problem(topic):
            return False
        found = self._store(topic).fielddefs.get(self.topics[topic].type)
        if found is None or not found[1]:
            return False
        kind, detail = found[1][0][1]
        return bool(kind.name == "NAME" and detail == "std_msgs/msg/Header")

    def require(self, topic: str, types: Collection[str] = ()) -> Topic:
        """Return a topic of the bag.

        Raises:
            BagError: The bag has no topic of that name, or its type is not one of ``types``; the sentence lists the topics.
        """
        found = self.topics.get(topic)
        if found is None:
            raise BagError(f"{self.path}: no topic {topic}; it has {self.listing()}")
        if types and found.type not in types:
            raise BagError(f"{self.path}: {topic} is {found.type}; expected {' or '.join(types)}")
        return found

    def listing(self) -> str:
        """Return the topics in words."""
        return ", ".join(f"{topic.name} ({topic.type}, {topic.count})" for topic in self.topics.values()) or "no topics"


def is_bag(path: Path) -> bool:
    """Return whether a path looks like one bag: a folder with metadata.yaml, or a file of a known storage."""
    return (path / METADATA).is_file() if path.is_dir() else path.suffix in STORAGES and path.is_file()


def find_bags(path: Path) -> list[Path]:
    """Return the bag at ``path``, or else the bags in that folder, sorted by name.

    Raises:
        BagError: There is none.
    """
    if not path.is_dir() or is_bag(path):
        _check_path(path)
        return [path]
    found = sorted(entry for entry in path.iterdir() if entry.is_dir() and is_bag(entry))
    if not found:
        _check_path(path)
    return found


def _check_path(path: Path) -> None:
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    if path.is_dir() and not (path / METADATA).is_file():
        files = sorted(entry.name for entry in path.iterdir() if entry.suffix in STORAGES)
        if files:
            hint = f"name the file itself, {path / files[0]}, or write it again with `ros2 bag reindex {path}`"
            raise BagError(f"{path}: {METADATA} is missing; {hint}")
        raise BagError(f"{path}: not a bag; expected a folder with {METADATA}, or a file *.mcap or *.db3")
    if not path.is_dir() and path.suffix not in STORAGES:
        raise BagError(f"{path}: not a bag; expected a folder with {METADATA}, or a file *.mcap or *.db3")
