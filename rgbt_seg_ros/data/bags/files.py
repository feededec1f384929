"""The files of a recording, and what its ``metadata.yaml`` says of them. What the files hold is believed, not what it counts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from rosbags.interfaces import Qos

from rgbt_seg_ros.data.bags.definitions import qos_of
from rgbt_seg_ros.data.bags.mcap_file import McapFile
from rgbt_seg_ros.data.bags.sqlite_file import SqliteFile
from rgbt_seg_ros.data.bags.storage import Storage, StorageError, open_regular
from rgbt_seg_ros.data.bags.zstandard import unpack_zstd, zstd
from rgbt_seg_ros.files import Failure
from rgbt_seg_ros.yaml_text import read_yaml

METADATA = "metadata.yaml"
STORAGES: Mapping[str, Callable[[Path], Storage]] = {".mcap": McapFile, ".db3": SqliteFile}
_NAMES = {".mcap": "mcap", ".db3": "sqlite3"}
_STEP = 16 << 20


@dataclass(frozen=True)
class Promise:
    """What ``metadata.yaml`` says of a topic."""

    topic: str
    type: str
    serialization: str
    digest: str
    count: int
    qos: tuple[Qos, ...]


@dataclass(frozen=True)
class Recording:
    """How a bag is stored.

    Attributes:
        storage: ``mcap`` or ``sqlite3``.
        compression: Of rosbag2, such as ``zstd (file)``; ``none`` also where the storage compresses by itself.
        distro: ROS distribution that recorded it; empty: unknown.
        promises: What the metadata says of each topic.
        by_message: Whether each message is compressed by itself.
    """

    storage: str
    compression: str = "none"
    distro: str = ""
    promises: tuple[Promise, ...] = ()
    by_message: bool = False

    def unpack(self, data: bytes) -> bytes:
        """Return the bytes of a message.

        Raises:
            StorageError: They cannot be unpacked.
        """
        if not self.by_message:
            return data
        try:
            return unpack_zstd(data)
        except ValueError as error:
            raise StorageError(f"a message cannot be unpacked ({error})") from error


def open_files(path: Path, opened: ExitStack, failure: Failure) -> tuple[Recording, list[Storage]]:
    """Open the files of a bag.

    Args:
        path: A folder with ``metadata.yaml``, or a single file.
        opened: Closes them.
        failure: Makes the error.

    Raises:
        UserError: As ``failure`` makes it: metadata or a file cannot be read; the sentence names which.
    """
    if not path.is_dir():
        return Recording(_NAMES[path.suffix]), [_open(path, path, opened, failure)]
    content = read_yaml(path / METADATA, "rosbag2 metadata file", failure)
    try:
        information = content["rosbag2_bagfile_information"]
        names = [str(name) for name in information["relative_file_paths"]]
        mode = str(information.get("compression_mode") or "none").lower()
        packing = str(information.get("compression_format") or "")
        distro = str(information.get("ros_distro") or "")
        promises = tuple(_promise(entry) for entry in information.get("topics_with_message_count") or ())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise failure(
            f"{path / METADATA}: not metadata of rosbag2 ({type(error).__name__}: {str(error)[:80]}); "
            f"expected what `ros2 bag reindex {path}` writes"
        ) from error
    if mode != "none" and packing != "zstd":
        raise failure(f"{path / METADATA}: compressed with {packing[:40]!r}; expected zstd")
    # Older recorders wrote the path from the working directory. Only the folder itself is looked into.
    places = [path / PurePath(name).name for name in names]
    missing = [place.name for place in places if not place.exists()]
    if missing:
        raise failure(f"{path}: {', '.join(missing)} is missing; {METADATA} names it")
    folder = Path(opened.enter_context(TemporaryDirectory(prefix="rgbt_seg_bag-"))) if mode == "file" else path
    files = []
    for place in places:
        file = _unpacked(place, folder, failure) if mode == "file" else place
        files.append(_open(file, place, opened, failure))
        if mode == "file":
            opened.callback(file.unlink, missing_ok=True)
    suffixes = {(folder / place.name.removesuffix(".zstd")).suffix for place in places}
    storage = "sqlite3" if ".db3" in suffixes else "mcap"
    compression = "none" if mode == "none" else f"{packing} ({mode})"
    return (
        Recording(storage, compression, "" if distro == "unknown" else distro, promises, mode == "message"),
        files,
    )


def _promise(entry: Any) -> Promise:
    topic = entry["topic_metadata"]
    return Promise(
        str(topic["name"]),
        str(topic["type"]),
        str(topic.get("serialization_format") or "cdr"),
        str(topic.get("type_description_hash") or ""),
        int(entry.get("message_count") or 0),
        qos_of(topic.get("offered_qos_profiles") or ""),
    )


def _open(file: Path, named: Path, opened: ExitStack, failure: Failure) -> Storage:
    kind = STORAGES.get(file.suffix)
    if kind is None:
        raise failure(f"{named}: expected a file *{' or *'.join(STORAGES)}")
    try:
        storage = kind(file)
    except StorageError as error:
        raise failure(f"{named}: cannot be read: {error}") from error
    opened.callback(storage.close)
    return storage


def _unpacked(place: Path, folder: Path, failure: Failure) -> Path:
    """Unpack a compressed file into a folder, while the disk keeps a tenth of its room."""
    target = folder / place.name.removesuffix(".zstd")
    try:
        with open_regular(place) as packed, zstd.open(packed, "rb") as source, target.open("wb") as out:
            room = shutil.disk_usage(folder).free * 9 // 10
            while block := source.read(_STEP):
                room -= len(block)
                if room < 0:
                    raise OSError(f"no room in {os.fspath(folder)}")
                out.write(block)
    except (OSError, EOFError, StorageError, zstd.ZstdError) as error:
        raise failure(f"{place}: cannot be unpacked ({error})") from error
    return target
