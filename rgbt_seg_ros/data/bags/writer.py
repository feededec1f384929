"""Write a rosbag2 recording that appears whole or not at all, or one of which all is kept that could be written."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rgbt_seg_ros.data.bags.reader import BagError, RawMessage, Topic
from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.locks import folder_lock

_FAILURES = (OSError, WriterError, sqlite3.Error)
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
    """A context manager: writes beside ``path`` and renames the folder at the end; an exception leaves nothing of it.

    What a writer that was killed has left beside ``path`` is removed by the next one, and two at a time are refused. What comes
    once only, such as what cameras see, is kept instead (``keep``): the bag grows in its place, and what has been written and
    flushed can be read from its file, whatever ends the writer.
    """

    def __init__(self, path: str | Path, storage: str = "mcap", keep: bool = False) -> None:
        """Begin a bag.

        Args:
            path: The new folder.
            storage: ``mcap`` or ``sqlite3``.
            keep: Whether messages that were written stay where the bag cannot be completed.

        Raises:
            BagError: Something is there already, or nothing can be made there.
        """
        self.path = Path(path)
        check_new_bag(self.path)
        self._keep = keep
        self._place = Path(os.path.realpath(self.path))
        # The file in a bag is named after its folder, which is renamed: so the folder to be lies in one of its own. It is not
        # named as other parts are: those are the litter of a process that writes into the folder above.
        digest = hashlib.sha256(os.fsencode(self._place.name)).hexdigest()
        self._beside = self._place.with_name(f".bag-{digest[:16]}.part")
        self._part = self._place if keep else self._beside / self._place.name
        self._storage = storage
        self._connections: dict[str, Connection] = {}
        self._types = typestore()
        self._opened = ExitStack()
        self._written = 0
        self._failed = False

    @property
    def file(self) -> Path:
        """The file that a bag which is kept lies in."""
        return self.path / f"{self._place.name}{'.mcap' if self._storage == 'mcap' else '.db3'}"

    def __enter__(self) -> BagWriter:
        with ExitStack() as opened:
            if not self._keep:
                opened.callback(self._clear)
                opened.enter_context(folder_lock(self._beside, lambda sentence: BagError(f"{self.path}: {sentence}")))
                opened.callback(shutil.rmtree, self._part, ignore_errors=True)
                shutil.rmtree(self._part, ignore_errors=True)
            with self._refusals():
                self._writer = Writer(self._part, version=9, storage_plugin=STORAGES[self._storage])
                self._writer.open()
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opened:
            try:
                # What is kept is completed whatever came between, unless the disk has refused a part of it.
                if error is None or (self._keep and self._written and not self._failed):
                    with self._refusals():
                        self._complete()
            finally:
                with suppress(Exception):
                    self._writer.abort()
                if self._keep and not self._written:
                    shutil.rmtree(self._part, ignore_errors=True)

    def _complete(self) -> None:
        self._writer.close()
        for part in self._part.iterdir():
            with open(part, "rb") as written:
                os.fsync(written.fileno())
        if not self._keep:
            # Onto a folder that has appeared meanwhile this fails, unless that is empty.
            os.rename(self._part, self._place)

    def _clear(self) -> None:
        """Remove the folder that a dead writer had made, unless another writer holds it already."""
        with suppress(OSError):
            self._beside.rmdir()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say in a sentence what the disk refuses in this block."""
        try:
            yield
        except _FAILURES as error:
            self._failed = True
            kept = f"; what was recorded before is in {self.file}" if self._keep and self._written else ""
            reason = getattr(error, "strerror", None) or error
            raise BagError(f"{self.path}: cannot be written ({reason}){kept}") from error

    def flush(self) -> None:
        """Hand over what was written, so that no end of this process takes it away.

        Raises:
            BagError: The disk refuses it.
        """
        storage = self._writer.storage
        with self._refusals():
            if isinstance(storage, McapWriter):
                if storage.chunk.bio.tell():
                    storage.close_chunk()
                storage.bio.flush()
            elif isinstance(storage, Sqlite3Writer):
                storage.conn.commit()

    def add_topic(self, name: str, type_: str, profiles: Sequence[Qos] = ()) -> None:
        """Add a topic of a type that ``types.typestore`` knows."""
        with self._refusals():
            self._connections[name] = self._writer.add_connection(
                name, type_, typestore=self._types, offered_qos_profiles=profiles
            )

    def copy_topic(self, topic: Topic) -> None:
        """Add a topic of another bag, with the definition and the hash of its type, and the serialisation that it has there.

        SQLite bags up to Humble carry no definitions. A type that is unknown besides is written as an empty one: its messages are
        copied and played all the same, by programs that know it.
        """
        definition, digest = topic.definition, topic.digest
        if not (definition and digest) and topic.type not in self._types.fielddefs:
            definition, digest = "", _hash_of_nothing(topic.type)
        known = bool(digest)
        with self._refusals():
            self._connections[topic.name] = self._writer.add_connection(
                topic.name,
                topic.type,
                typestore=None if known else self._types,
                msgdef=definition if known else None,
                rihs01=digest if known else None,
                serialization_format=topic.serialization,
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
        with self._refusals():
            self._writer.write(self._connections[message.topic], message.log_time, message.data)
        self._written += 1
