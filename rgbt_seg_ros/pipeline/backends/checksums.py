"""A checksum of every file of an engine in the cache: what has changed on the disk is found before it gives other masks."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from rgbt_seg_ros.files import read_bounded, replacing
from rgbt_seg_ros.pipeline.backends.base import EngineError

MANIFEST = "SHA256SUMS"
"""Its name in an engine's folder; ``sha256sum -c SHA256SUMS`` reads it too. When it was changed is when the engine was
used last."""

_CHUNK = 1 << 20
_LARGEST = 1 << 20
"""Bytes of a manifest, thousands of files."""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    paths.pop(MANIFEST, None)
    return paths


def seal(folder: Path) -> None:
    """Write the checksums of all files of a folder into it.

    Raises:
        OSError: A file cannot be read.
        UserError: The folder cannot be written.
    """
    lines = [f"{_digest(path)}  {name}\n" for name, path in _files(folder).items()]
    with replacing(folder / MANIFEST, failure=EngineError, parents=False) as (part,):
        part.write_text("".join(lines), encoding="utf-8")


def verify(folder: Path) -> None:
    """Refuse a folder whose files are not those that it was sealed with, and mark it as used now.

    Raises:
        UserError: The first file that differs, in one sentence, or the checksums cannot be read.
        OSError: A file cannot be read.
    """
    text = read_bounded(folder / MANIFEST, "list of checksums", _LARGEST, EngineError).decode("utf-8", "replace")
    wanted = {}
    for line in text.splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if found is None:
            raise EngineError(f"{MANIFEST} is damaged")
        wanted[found[2]] = found[1]
    there = _files(folder)
    for name in sorted(wanted.keys() ^ there.keys()):
        raise EngineError(f"{name} {'is missing' if name in wanted else 'was not part of it when it was built'}")
    for name, path in there.items():
        if _digest(path) != wanted[name]:
            raise EngineError(f"{name} has changed since it was built: its SHA-256 differs")
    # Where it cannot be written, nothing is removed either.
    with suppress(OSError):
        os.utime(folder / MANIFEST)
