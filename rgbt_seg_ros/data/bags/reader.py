"""Read a rosbag2 recording message by message, in the order of recording; what is wrong with a bag is one sentence."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, Qos
from rosbags.typesys import TypesysError

from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.words import counted

NANOSECONDS = 1_000_000_000
METADATA = "metadata.yaml"
STORAGES = (".mcap", ".db3")
_CDR_STAMP = {1: struct.Struct("<iI"), 0: struct.Struct(">iI")}


class BagError(UserError):
    """A bag, or something in one, that cannot be used; the sentence names the bag."""


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: As recorded.
        type: Message type, such as ``sensor_msgs/msg/Image``.
        count: Messages, as the bag's index says.
        qos: What its publishers offered; may be empty.
        definition: Text of the type as the bag carries it; empty: it does not.
        digest: Hash of the type (REP 2011); empty where the bag carries no definition.
    """

    name: str
    type: str
    count: int
    qos: tuple[Qos, ...] = ()
    definition: str = ""
    digest: str = ""


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
    """An open bag; a context manager. Memory does not grow with its length."""

    def __init__(self, path: str | Path) -> None:
        """Open a folder with ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file.

        Raises:
            BagError: The bag does not exist or is truncated, or its metadata cannot be read.
        """
        self.path = Path(path)
        _check_path(self.path)
        with _translated(self.path):
            self._reader = AnyReader([self.path], default_typestore=typestore())
            self._reader.open()
        self.topics: dict[str, Topic] = {}
        for name, connections in _by_topic(self._reader.connections).items():
            first = connections[0]
            qos = first.ext.offered_qos_profiles if isinstance(first.ext, ConnectionExtRosbag2) else ()
            count = sum(entry.msgcount for entry in connections)
            self.topics[name] = Topic(name, first.msgtype, count, tuple(qos), first.msgdef.data, self._digest(first))

    def _digest(self, connection: Connection) -> str:
        """Return the hash of a topic's type; of its definition where the bag, of Humble or a single file, carries no hash."""
        if connection.digest or not connection.msgdef.data:
            return connection.digest
        try:
            return self._reader.typestore.hash_rihs01(connection.msgtype)
        except (KeyError, TypesysError):  # a definition without one of its parts
            return ""

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._reader.close()

    @property
    def start(self) -> int:
        """Log time (ns) of the first message; 0 in an empty bag."""
        return self._reader.start_time if self.message_count else 0

    @property
    def end(self) -> int:
        """Log time (ns) of the last message; 0 in an empty bag."""
        return self._reader.end_time - 1 if self.message_count else 0

    @property
    def message_count(self) -> int:
        """Messages of all topics, as the bag's index says."""
        return self._reader.message_count

    def messages(
        self, topics: Collection[str] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of their log times.

        Args:
            topics: Only these; none: all. Unknown names are refused.
            start: First log time (ns).
            stop: Log time (ns) to stop before.

        Raises:
            BagError: A topic that the bag has not, or a part of the bag that cannot be read: the sentence says how far it got.
        """
        for name in topics:
            self.require(name)
        chosen = [entry for entry in self._reader.connections if not topics or entry.topic in topics]
        read = 0
        with _translated(self.path, lambda: f" after {counted(read, 'message')}"):
            for connection, log_time, data in self._reader.messages(chosen, start, stop):
                read += 1
                yield RawMessage(connection.topic, connection.msgtype, log_time, data)
        expected = sum(entry.msgcount for entry in chosen)
        if start is None and stop is None and read < expected:
            raise BagError(
                f"{self.path}: ends after {read} of {counted(expected, 'message')}; it may be truncated, or was not closed"
            )

    def decode(self, message: RawMessage) -> Any:
        """Return the message with its fields as attributes; images' data is a (N,) uint8 array.

        Raises:
            BagError: The bytes are not such a message.
        """
        try:
            return self._reader.deserialize(message.data, message.type)
        except Exception as error:  # rosbags raises many kinds of exception for bytes that are not a message
            raise BagError(
                f"{self.path}: {message.topic}: a message cannot be read as {message.type} ({error})"
            ) from error

    def has_header(self, topic: str) -> bool:
        """Return whether the messages of a topic begin with a std_msgs/Header, by the definition of their type."""
        found = self._reader.typestore.fielddefs.get(self.require(topic).type)
        if found is None or not found[1]:
            return False
        kind, detail = found[1][0][1]
        return bool(kind.name == "NAME" and detail == "std_msgs/msg/Header")

    def require(self, topic: str, types: Collection[str] = ()) -> Topic:
        """Return a topic of the bag.

        Raises:
            BagError: There is none of that name, or its type is not one of ``types``; the sentence lists what there is.
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


def _by_topic(connections: list[Connection]) -> dict[str, list[Connection]]:
    result: dict[str, list[Connection]] = {}
    for connection in sorted(connections, key=lambda entry: entry.topic):
        result.setdefault(connection.topic, []).append(connection)
    return result


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


@contextmanager
def _translated(path: Path, where: Any = lambda: "") -> Iterator[None]:
    """Turn whatever the library raises about a file into one sentence."""
    try:
        yield
    except (UserError, GeneratorExit, KeyboardInterrupt, MemoryError):
        raise
    except FileNotFoundError as error:
        raise BagError(f"{path}: no such bag ({error})") from error
    except Exception as error:  # AnyReaderError, ReaderError, OSError, struct.error, apsw's: a file cut at any byte
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BagError(f"{path}: cannot be read{where()} ({reason}); it may be truncated, or was not closed") from error
