"""How large the cache of engines may become: beyond that, those that were used the longest ago are removed."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from rgbt_seg_ros.pipeline.backends.base import BACKENDS
from rgbt_seg_ros.pipeline.backends.checksums import MANIFEST

VARIABLE = "RGBT_SEG_CACHE_MB"
"""Environment variable: MiB that the cache may take."""

LIMIT_MB = 4096
"""MiB, where it is not set: some hundred engines of the demo model, a dozen of the largest."""

_OF_AN_ENGINE = re.compile(r"[0-9a-f]{16}_.+")
"""Names of folders that held engines before they had checksums; nothing reads them any more."""


def limit_bytes(log: logging.Logger) -> int:
    """Return how many bytes the cache may take; a variable that is not a number is warned of, and the default counts."""
    text = os.environ.get(VARIABLE, "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text) << 20
    if text:
        log.warning(f"{VARIABLE}: '{text[:40]}' is not a whole number of MiB; {LIMIT_MB} is used")
    return LIMIT_MB << 20


def _entries(root: Path) -> list[Path]:
    """Return folders that may be removed: nothing that this package did not make, and nothing behind a link."""
    folders = [
        entry
        for backend in BACKENDS
        if (root / backend).is_dir() and not (root / backend).is_symlink()
        for entry in (root / backend).iterdir()
        if entry.is_dir() and not entry.is_symlink()
    ]
    return [entry for entry in folders if (entry / MANIFEST).is_file() or _OF_AN_ENGINE.fullmatch(entry.name)]


def _size_and_use(entry: Path) -> tuple[int, float]:
    """Return the bytes of an entry, and when it was used last."""
    with suppress(OSError):
        size = sum(path.lstat().st_size for path in entry.rglob("*"))
        used = entry / MANIFEST
        return size, (used if used.is_file() else entry).stat().st_mtime
    return 0, 0.0  # another process has removed it


def shrink(root: Path, keep: Path, limit: int, log: logging.Logger) -> None:
    """Remove engines that were used the longest ago until the others take no more than a number of bytes.

    Args:
        root: Folder of the cache, with a folder for each backend.
        keep: An entry that stays, however large it is: it is about to be used.
        limit: Bytes.
        log: Takes what was removed as info, and what could not be removed as a warning.
    """
    try:
        found = {entry: _size_and_use(entry) for entry in _entries(root)}
        total, removed, freed = sum(size for size, _ in found.values()), 0, 0
        for entry in sorted(found, key=lambda entry: found[entry][1]):
            if total <= limit:
                break
            if entry == keep:
                continue
            # Out of the way first: what is half removed must not be found under its name. A later build sweeps it up.
            away = entry.with_name(f".part-{secrets.token_hex(8)}-old")
            with suppress(FileNotFoundError):  # another process was faster
                os.replace(entry, away)
            shutil.rmtree(away, ignore_errors=True)
            total, removed, freed = total - found[entry][0], removed + 1, freed + found[entry][0]
    except OSError as error:
        log.warning(f"{root}: the cache of engines cannot be kept below {limit >> 20} MiB ({error.strerror})")
        return
    if removed:
        log.info(
            f"{root}: {removed} of {len(found)} engines, {freed / 2**20:.0f} MiB, used the longest ago, were removed to stay "
            f"below {limit >> 20} MiB ({VARIABLE})"
        )
