"""What the files of a recording have in common: channels, and messages in the order of their log times."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from rgbt_seg_ros.errors import UserError

MOST_BYTES = 1 << 30
"""Of a message or a chunk, uncompressed; more is refused before memory is taken for it."""


class StorageError(UserError):
    """A file of a recording that cannot be read; the sentence says why, and the reader of the bag puts the path before it."""


@dataclass(frozen=True)
class Channel:
    """A topic as one file of a recording has it.

    Attributes:
        id: Number within the file.
        topic: Name.
        type: Message type, such as ``sensor_msgs/msg/Image``; empty where the file does not say it.
        serialization: ``cdr`` for messages of ROS 2.
        encoding: Of the definition: ``ros2msg``, ``ros2idl`` or another; empty: the file has no definition.
        definition: Text of the type.
        digest: Hash of the type (REP 2011); may be empty.
        qos: Offered QoS profiles as rosbag2 writes them (YAML); may be empty.
        count: Messages that the file holds.
    """

    id: int
    topic: str
    type: str
    serialization: str
    encoding: str = ""
    definition: str = ""
    digest: str = ""
    qos: str = ""
    count: int = 0


class Storage(Protocol):
    """One open file of a recording.

    Attributes:
        channels: By number.
        start: Log time (ns) of the first message; None: the file has no messages.
        end: Log time (ns) of the last message; None: likewise.
        loss: What of the file cannot be read, in words; empty: nothing is known to be missing.
    """

    channels: dict[int, Channel]
    start: int | None
    end: int | None
    loss: str

    def messages(
        self, ids: Collection[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield channel number, log time (ns) and bytes in the order of the log times.

        Args:
            ids: Channels to read.
            start: First log time (ns).
            stop: Log time (ns) to stop before.

        Raises:
            StorageError: A part of the file cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device is refused and never waited for.

    Raises:
        StorageError: It cannot be opened, or is not a regular file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise StorageError(error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StorageError("not a regular file")
    return file
