"""Read an MCAP file (mcap.dev/spec) whether or not it was closed, has an index, or holds topics of other tools beside ROS.

The records of the data section are walked once without unpacking chunks; so what is counted is what the file holds, and not what
its summary says. The summary serves for schemas and channels only. Readers that begin with the summary, such as that of
``rosbags``, refuse a file whose recorder was killed, and every topic of a file for one schema that is not of ROS.
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lz4.frame import LZ4FrameDecompressor

from rgbt_seg_ros.data.bags.storage import MOST_BYTES, Channel, StorageError, open_regular
from rgbt_seg_ros.data.bags.zstandard import unpack_zstd

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_FOOTER = struct.Struct("<BQQQI")
_CHUNK = struct.Struct("<QQQI")
_MESSAGE = struct.Struct("<HIQQ")
_FOOTER_CODE, _SCHEMA, _CHANNEL, _MESSAGE_CODE, _CHUNK_CODE, _INDEX, _STATISTICS = 2, 3, 4, 5, 6, 7, 11
_DATA_END = 15
_MOST_SCHEMA = 16 << 20
"""Bytes of a record that describes: a schema, a channel, an index entry. The largest definitions have some 100 KB."""
_FAILURES = (struct.error, UnicodeDecodeError, IndexError, ValueError, EOFError, OverflowError, RuntimeError, OSError)


@dataclass(frozen=True)
class _Chunk:
    """A chunk, or a message outside chunks (``loose``), by its place in the file."""

    start: int
    end: int
    offset: int
    length: int
    size: int
    crc: int
    compression: str
    loose: bool = False


class McapFile:
    """An open MCAP file; see ``Storage``."""

    def __init__(self, path: Path) -> None:
        """Walk the file.

        Raises:
            StorageError: It is not an MCAP file.
        """
        self._file = open_regular(path)
        self.channels: dict[int, Channel] = {}
        self.start: int | None = None
        self.end: int | None = None
        self.loss = ""
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._schema_of: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._units: list[_Chunk] = []
        self._indexed: dict[int, set[int]] = {}
        self._promised = 0
        try:
            if self._file.read(len(_MAGIC)) != _MAGIC:
                raise StorageError("not an MCAP file")
            closed = self._read_summary()
            self._walk(closed)
        except StorageError:
            self.close()
            raise
        except _FAILURES as error:
            self.close()
            raise StorageError(f"a damaged MCAP file ({_line(error)})") from error
        self._settle()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _settle(self) -> None:
        found = sum(self._counts.values())
        if found < self._promised and not self.loss:
            self.loss = f"its summary counts {self._promised} messages, and it holds {found}"
        for key, channel in self.channels.items():
            name, encoding, definition = self._schemas.get(self._schema_of[key], ("", "", ""))
            self.channels[key] = replace(
                channel, type=name, encoding=encoding, definition=definition, count=self._counts[key]
            )
        if found:
            # A chunk without messages has the times 0.
            units = [unit for unit in self._units if self._indexed[unit.offset]]
            self.start, self.end = min(unit.start for unit in units), max(unit.end for unit in units)

    def _read_summary(self) -> bool:
        """Read schemas and channels of the summary; return whether the file was closed with its footer."""
        length = _FOOTER.size + len(_MAGIC)
        size = self._file.seek(0, 2)
        if size < 2 * length:
            return False
        self._file.seek(size - length)
        tail = self._file.read(length)
        if not tail.endswith(_MAGIC) or tail[0] != _FOOTER_CODE:
            return False
        summary = _FOOTER.unpack_from(tail)[2]
        if not 0 < summary < size - length:
            return True
        self._file.seek(summary)
        try:
            while self._file.tell() < size - length:
                code, count = _RECORD.unpack(self._exactly(_RECORD.size))
                if code in (_SCHEMA, _CHANNEL, _STATISTICS):
                    self._describe(code, self._exactly(count, _MOST_SCHEMA))
                else:
                    self._file.seek(count, 1)
        except (*_FAILURES, StorageError):
            # The data section describes itself, too.
            return True
        return True

    def _walk(self, closed: bool) -> None:
        """Note chunks, messages and descriptions of the data section."""
        size = self._file.seek(0, 2)
        position, ended = len(_MAGIC), False
        while position + _RECORD.size <= size:
            self._file.seek(position)
            code, count = _RECORD.unpack(self._exactly(_RECORD.size))
            if position + _RECORD.size + count > size:
                break
            self._note(code, count, position + _RECORD.size)
            position += _RECORD.size + count
            if code in (_DATA_END, _FOOTER_CODE):
                ended = True
                break
        if self.loss:
            return
        if not ended and position < size:
            self.loss = f"it ends in the middle of a record, at byte {position} of {size}"
        elif not ended or not closed:
            self.loss = "it was not closed: its recorder was killed, or it was cut"

    def _note(self, code: int, count: int, position: int) -> None:
        if code in (_SCHEMA, _CHANNEL):
            self._describe(code, self._exactly(count, _MOST_SCHEMA))
        elif code == _MESSAGE_CODE:
            channel, _, log_time, _ = _MESSAGE.unpack(self._exactly(_MESSAGE.size))
            self._counts[channel] += 1
            self._units.append(_Chunk(log_time, log_time, position, count, 0, 0, "", loose=True))
            self._indexed[position] = {channel}
        elif code == _CHUNK_CODE:
            start, end, size, crc = _CHUNK.unpack(self._exactly(_CHUNK.size))
            (letters,) = struct.unpack("<I", self._exactly(4))
            compression = self._exactly(letters, 64).decode()
            (length,) = struct.unpack("<Q", self._exactly(8))
            chunk = _Chunk(start, end, self._file.tell(), length, size, crc, compression)
            self._units.append(chunk)
            self._learn(chunk, position + count)

    def _learn(self, chunk: _Chunk, behind: int) -> None:
        """Count a chunk's messages: by the message indexes behind it, or where there are none by unpacking it."""
        counts: Counter[int] = Counter()
        self._file.seek(behind)
        while len(head := self._file.read(_RECORD.size)) == _RECORD.size:
            code, count = _RECORD.unpack(head)
            if code != _INDEX:
                break
            channel, entries = struct.unpack("<HI", self._exactly(6))
            counts[channel] += entries // 16
            self._file.seek(count - 6, 1)
        if not counts or not set(counts) <= set(self.channels):
            counts = Counter()
            try:
                for code, record in self._records(chunk):
                    if code in (_SCHEMA, _CHANNEL):
                        self._describe(code, bytes(record))
                    elif code == _MESSAGE_CODE:
                        counts[_MESSAGE.unpack_from(record)[0]] += 1
            except (StorageError, *_FAILURES) as error:
                self.loss = self.loss or f"a chunk cannot be read ({_line(error)})"
        self._counts += counts
        self._indexed[chunk.offset] = set(counts)

    def _describe(self, code: int, record: bytes) -> None:
        cursor = _Cursor(record)
        if code == _STATISTICS:
            (self._promised,) = struct.unpack_from("<Q", record)
            return
        (key,) = cursor.take("<H")
        if code == _SCHEMA:
            name, encoding = cursor.text(), cursor.text()
            self._schemas[key] = (name, encoding, cursor.data().decode("utf-8", "replace"))
            return
        (schema,) = cursor.take("<H")
        topic, serialization = cursor.text(), cursor.text()
        metadata, pairs = cursor.data(), {}
        inner = _Cursor(metadata)
        while inner.left:
            name = inner.text()
            pairs[name] = inner.text()
        self._schema_of[key] = schema
        self.channels[key] = Channel(
            key,
            topic,
            "",
            serialization,
            digest=pairs.get("topic_type_hash", ""),
            qos=pairs.get("offered_qos_profiles", ""),
        )

    def _exactly(self, count: int, most: int = MOST_BYTES) -> bytes:
        if count > most:
            raise StorageError(f"a record of {count} bytes; at most {most} are read")
        content = self._file.read(count)
        if len(content) != count:
            raise StorageError(f"it ends in the middle of a record, at byte {self._file.tell()}")
        return content

    def _records(self, chunk: _Chunk) -> Iterator[tuple[int, memoryview]]:
        """Unpack a chunk and yield code and content of its records."""
        if max(chunk.size, chunk.length) > MOST_BYTES:
            raise StorageError(f"a chunk of {chunk.size} bytes; at most {MOST_BYTES} are read")
        self._file.seek(chunk.offset)
        content = _unpack(self._exactly(chunk.length), chunk)
        view, position = memoryview(content), 0
        while position < len(content):
            code, count = _RECORD.unpack_from(content, position)
            position += _RECORD.size
            if position + count > len(content):
                raise StorageError("a record of a chunk reaches beyond its end")
            yield code, view[position : position + count]
            position += count

    def _messages_of(self, unit: _Chunk) -> Iterator[tuple[int, int, memoryview]]:
        records: Iterable[tuple[int, memoryview]]
        if unit.loose:
            self._file.seek(unit.offset)
            records = [(_MESSAGE_CODE, memoryview(self._exactly(unit.length)))]
        else:
            records = self._records(unit)
        for code, record in records:
            if code == _MESSAGE_CODE:
                channel, _, log_time, _ = _MESSAGE.unpack_from(record)
                yield channel, log_time, record[_MESSAGE.size :]

    def messages(
        self, ids: Collection[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield channel number, log time (ns) and bytes in the order of the log times; see ``Storage``.

        Memory holds the chunks whose times overlap, as they lie in the file.
        """
        wanted = set(ids)
        units = deque(
            sorted(
                (
                    unit
                    for unit in self._units
                    if not wanted.isdisjoint(self._indexed[unit.offset])
                    and (start is None or unit.end >= start)
                    and (stop is None or unit.start < stop)
                ),
                key=lambda unit: unit.start,
            )
        )
        waiting: list[tuple[int, int, int, memoryview]] = []
        number = 0
        while units or waiting:
            while units and (not waiting or units[0].start <= waiting[0][0]):
                try:
                    for channel, log_time, data in self._messages_of(units.popleft()):
                        inside = (start is None or log_time >= start) and (stop is None or log_time < stop)
                        if channel in wanted and inside:
                            # The number keeps the order of the file among messages of one time.
                            heapq.heappush(waiting, (log_time, number, channel, data))
                            number += 1
                except _FAILURES as error:
                    raise StorageError(f"a chunk cannot be read ({_line(error)})") from error
            if waiting:
                log_time, _, channel, data = heapq.heappop(waiting)
                yield channel, log_time, bytes(data)


class _Cursor:
    """The fields of a record, one after another."""

    def __init__(self, record: bytes) -> None:
        self._record, self._position = record, 0

    @property
    def left(self) -> int:
        return len(self._record) - self._position

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._record, self._position)
        self._position += struct.calcsize(form)
        return values

    def data(self) -> bytes:
        (count,) = self.take("<I")
        if count > self.left:
            raise EOFError("a text reaches beyond its record")
        content = self._record[self._position : self._position + count]
        self._position += count
        return content

    def text(self) -> str:
        return self.data().decode("utf-8", "replace")


def _unpack(content: bytes, chunk: _Chunk) -> bytes:
    """Return the records of a chunk; never more bytes than it says."""
    if chunk.compression == "":
        unpacked = content
    elif chunk.compression == "zstd":
        unpacked = unpack_zstd(content, chunk.size)
    elif chunk.compression == "lz4":
        unpacked = LZ4FrameDecompressor().decompress(content, max_length=chunk.size + 1)
    else:
        raise StorageError(f"chunks are compressed with {chunk.compression!r}; expected zstd or lz4")
    if len(unpacked) != chunk.size:
        raise StorageError(f"a chunk has {len(unpacked)} bytes, and {chunk.size} by its header")
    if chunk.crc and zlib.crc32(unpacked) != chunk.crc:
        raise StorageError("a chunk does not match its checksum")
    return bytes(unpacked)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
