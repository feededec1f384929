"""Read a rosbag2 SQLite file without changing it, a write-ahead log beside it included.

SQLite sees the write-ahead log (``-wal``) or the rollback journal (``-journal``) of a recorder that was killed only where it may
write beside the file. So where there is one, a copy of both is read; else the file itself, opened as immutable.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rgbt_seg_ros.data.bags.storage import Channel, StorageError, open_regular

_BESIDE = ("-wal", "-journal")
_MAGIC = b"SQLite format 3\0"


class SqliteFile:
    """An open SQLite file; see ``Storage``."""

    def __init__(self, path: Path) -> None:
        """Open the file, or a copy of it.

        Raises:
            StorageError: It is not a SQLite file, has no tables of rosbag2, or there is no room for a copy.
        """
        with open_regular(path) as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise StorageError("not a SQLite file")
        self.channels: dict[int, Channel] = {}
        self.loss = ""
        self._copy: TemporaryDirectory[str] | None = None
        try:
            self._database = sqlite3.connect(
                f"{self._to_read(path).absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
            self._database.text_factory = lambda text: text.decode("utf-8", "replace")
            self._read_topics()
            self.start, self.end = self._one("SELECT MIN(timestamp), MAX(timestamp) FROM messages")
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            self.close()
            # SQLite quotes the damaged part of its schema, line ends too.
            raise StorageError(f"a damaged SQLite file ({' '.join(str(error).split())})") from error

    def _to_read(self, path: Path) -> Path:
        """Return the file, or a copy with what lies beside it."""
        beside = [path.with_name(path.name + suffix) for suffix in _BESIDE]
        beside = [other for other in beside if other.is_file() and other.stat().st_size]
        if not beside:
            return path
        self._copy = TemporaryDirectory(prefix="rgbt_seg_bag-")
        for file in (path, *beside):
            shutil.copyfile(file, Path(self._copy.name) / file.name)
        copy = Path(self._copy.name) / path.name
        # A writer that closes the file moves the log into it, or rolls back what was not committed.
        writer = sqlite3.connect(copy)
        writer.execute("SELECT count(*) FROM sqlite_master")
        writer.close()
        return copy

    def _one(self, query: str) -> tuple[int | None, int | None]:
        first, second = self._database.execute(query).fetchone()
        return (None if first is None else int(first)), (None if second is None else int(second))

    def _read_topics(self) -> None:
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(topics)")}
        if not {"id", "name", "type"} <= columns:
            raise StorageError("a SQLite file without the tables of a rosbag2 recording")
        counts = dict(self._database.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id"))
        definitions: dict[str, tuple[str, str]] = {}
        if self._database.execute("PRAGMA table_info(message_definitions)").fetchall():
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions ORDER BY id DESC"
            definitions = {name: (encoding, text) for name, encoding, text in self._database.execute(query)}
        optional = ("serialization_format", "offered_qos_profiles", "type_description_hash")
        fields = ", ".join(name if name in columns else "''" for name in optional)
        for key, topic, kind, serialization, qos, digest in self._database.execute(
            f"SELECT id, name, type, {fields} FROM topics ORDER BY id"
        ):
            encoding, definition = definitions.get(kind, ("", ""))
            self.channels[key] = Channel(
                key,
                topic,
                kind,
                serialization or "cdr",
                encoding,
                definition,
                digest or "",
                qos or "",
                counts.get(key, 0),
            )

    def messages(
        self, ids: Collection[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield channel number, log time (ns) and bytes in the order of the log times; see ``Storage``."""
        chosen = sorted(set(ids))
        low, high = -(2**63) if start is None else start, 2**63 - 1 if stop is None else stop - 1
        query = (
            "SELECT topic_id, timestamp, data FROM messages "
            f"WHERE topic_id IN ({','.join('?' * len(chosen))}) AND timestamp BETWEEN ? AND ? ORDER BY timestamp, id"
        )
        try:
            for channel, log_time, data in self._database.execute(query, (*chosen, low, high)):
                yield channel, log_time, bytes(data)
        except (sqlite3.Error, TypeError, UnicodeDecodeError) as error:
            raise StorageError(f"a part of it cannot be read ({' '.join(str(error).split())})") from error

    def close(self) -> None:
        """Close the file, and remove a copy."""
        if hasattr(self, "_database"):
            self._database.close()
        if self._copy is not None:
            self._copy.cleanup()
