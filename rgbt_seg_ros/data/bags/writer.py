"""Write a rosbag2 recording (MCAP) that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rgbt_seg_ros.data.bags.reader import BagError, RawMessage, Topic
from rgbt_seg_ros.data.bags.types import typestore

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_FOREVER = QosTime(9223372036, 854775807)


def qos(reliable: bool = True, latched: bool = False, depth: int = 10) -> Qos:
    """Return an offered QoS profile: volatile, or transient local where ``latched``."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )


def check_new_bag(path: Path) -> None:
    """Refuse a place that a bag could not be written to, before work is spent on it; changes nothing.

    Raises:
        BagError: Something is there already, or nothing can be made there.
    """
    if os.path.lexists(path):
        raise BagError(f"{path}: exists already; expected a new folder for the bag")
    above = Path(os.path.realpath(path)).parent
    while not above.exists():
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise BagError(f"{path}: cannot be written, since {above} is not a folder that can be written to")


def _hash_of_nothing(type_: str) -> str:
    """Return the hash of a type without fields: a reader compares it with the definition."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("", type_))
    return store.hash_rihs01(type_)


class BagWriter:
    """A context manager: writes beside ``path`` and renames the folder at the end; an exception leaves nothing of it."""

    def __init__(self, path: str | Path, storage: str = "mcap") -> None:
        """Begin a bag.

        Args:
            path: The new folder.
            storage: ``mcap`` or ``sqlite3``.

        Raises:
            BagError: Something is there already, or nothing can be made there.
        """
        self.path = Path(path)
        check_new_bag(self.path)
        real = Path(os.path.realpath(self.path))
        # The file in a bag is named after its folder, which is renamed: so the folder to be lies in one of its own.
        self._beside = real.with_name(f".{secrets.token_hex(8)}.part")
        self._part = self._beside / real.name
        self._writer = Writer(self._part, version=9, storage_plugin=STORAGES[storage])
        self._connections: dict[str, Connection] = {}
        self._types = typestore()

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            self._discard()
            raise self._failure(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._writer.close()
                for part in self._part.iterdir():
                    with open(part, "rb") as written:
                        os.fsync(written.fileno())
                # Onto a folder that has appeared meanwhile this fails, unless that is empty.
                os.rename(self._part, os.path.realpath(self.path))
        except (OSError, WriterError) as failure:
            raise self._failure(failure) from failure
        finally:
            self._discard()

    def _discard(self) -> None:
        with suppress(Exception):
            self._writer.abort()
        shutil.rmtree(self._beside, ignore_errors=True)

    def _failure(self, error: Exception) -> BagError:
        return BagError(f"{self.path}: cannot be written ({getattr(error, 'strerror', None) or error})")

    def add_topic(self, name: str, type_: str, profiles: Sequence[Qos] = ()) -> None:
        """Add a topic of a type that ``types.typestore`` knows."""
        self._connections[name] = self._writer.add_connection(
            name, type_, typestore=self._types, offered_qos_profiles=profiles
        )

    def copy_topic(self, topic: Topic) -> None:
        """Add a topic of another bag, with the definition and the hash of its type there.

        SQLite bags up to Humble carry no definitions. A type that is unknown besides is written as an empty one: its messages are
        copied and played all the same, by programs that know it.
        """
        definition, digest = topic.definition, topic.digest
        if not (definition and digest) and topic.type not in self._types.fielddefs:
            definition, digest = "", _hash_of_nothing(topic.type)
        known = bool(digest)
        self._connections[topic.name] = self._writer.add_connection(
            topic.name,
            topic.type,
            typestore=None if known else self._types,
            msgdef=definition if known else None,
            rihs01=digest if known else None,
            offered_qos_profiles=topic.qos,
        )

    def write(self, topic: str, log_time: int, message: Any) -> None:
        """Write a message of ``types.typestore`` at a log time (ns).

        Raises:
            BagError: The disk refuses it.
        """
        connection = self._connections[topic]
        data = bytes(self._types.serialize_cdr(message, connection.msgtype))
        self.write_raw(RawMessage(topic, connection.msgtype, log_time, data))

    def write_raw(self, message: RawMessage) -> None:
        """Write a message as it is.

        Raises:
            BagError: The disk refuses it.
        """
        try:
            self._writer.write(self._connections[message.topic], message.log_time, message.data)
        except OSError as error:
            raise self._failure(error) from error
