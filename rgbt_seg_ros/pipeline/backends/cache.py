"""Where built engines are kept between runs, and under which names."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.pipeline.backends.base import EngineError
from rgbt_seg_ros.pipeline.backends.checksums import seal
from rgbt_seg_ros.pipeline.backends.processor import describe_processor

FORMAT = 3
"""Counts changes to what engines are built of (folding, inputs, masks) or kept (checksums), which are then built again."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Codes of an OSError that mean a full or read-only disk."""


_PART = ".part-"
"""Start of the name of a folder that is being filled."""

_OLD = "-old"
"""End of the name of the folder that it replaces."""


class CacheError(EngineError):
    """The cache of engines cannot be used."""


def cache_folder() -> Path:
    """Return ``$RGBT_SEG_CACHE``, else ``rgbt_seg_ros`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; it need not exist.

    Raises:
        CacheError: No variable is set, and the user has no home.
    """
    named = os.environ.get("RGBT_SEG_CACHE")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rgbt_seg_ros"
    except RuntimeError as error:
        raise CacheError("this user has no home for a cache of engines; expected HOME or RGBT_SEG_CACHE") from error


def model_hash(network: FusionNetwork, spec: ModelSpec, temperature: float) -> str:
    """Return 16 hexadecimal digits that change with the weights, the normalisation or the temperature (SHA-256)."""
    digest = hashlib.sha256(f"{FORMAT} {network.variant} {spec.rgb} {spec.thermal} {temperature!r}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def cpu_hash() -> str:
    """Return 8 hexadecimal digits that change with the CPU's instructions: code built for one may not run on another."""
    return hashlib.sha256(describe_processor().encode()).hexdigest()[:8]


def entry_name(*parts: object) -> str:
    """Join parts to a folder's name; what a file system may not take becomes a dash."""
    return re.sub(r"[^\w.+-]+", "-", "_".join(map(str, parts)))


def cached(folder: Path, build: Callable[[Path], None], rebuild: bool = False) -> tuple[Path, bool]:
    """Return a folder of the cache, built if it is not there.

    Args:
        folder: Where it belongs. A build that stops leaves it as it was; of two concurrent builds, one is kept.
        build: Fills an empty folder.
        rebuild: Build it in any case, and replace what is there.

    Returns:
        The folder, and whether it had to be built.

    Raises:
        CacheError: The place cannot be written, or its disk has no room for what is built.
    """
    if folder.is_dir() and not rebuild:
        return folder, False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        part, lock = _make_part(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error) from error
    old = part.with_name(f"{part.name}{_OLD}")
    try:
        build(part)
        seal(part)
        _flush(part)
        part.chmod(0o755)
        if rebuild:
            with suppress(FileNotFoundError):
                os.replace(folder, old)
        try:
            os.replace(part, folder)
        except OSError:
            if not folder.is_dir():
                raise
    except Exception as error:
        cause = error if isinstance(error, OSError) else _try_to_write(part)
        if cause is not None and cause.errno in _NO_ROOM:
            raise _unwritable(folder, cause) from error
        raise
    finally:
        if not folder.is_dir():
            # What was there goes back; mostly nothing was.
            with suppress(OSError):
                os.replace(old, folder)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        os.close(lock)
    return folder, True


def _make_part(parent: Path) -> tuple[Path, int]:
    """Make a folder to build in; return it, and a handle by which it is locked until that is closed or the process ends."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=parent))
        with suppress(FileNotFoundError):
            handle = os.open(part, os.O_RDONLY)
            # Not every file system has locks.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if part.is_dir():
                return part, handle
            os.close(handle)
        # Another process took it, before it was locked, for one that a killed build has left.


def _sweep(parent: Path) -> None:
    """Remove folders of builds that were killed: nobody holds their lock."""
    for left in parent.glob(f"{_PART}*"):
        part = left.with_name(left.name.removesuffix(_OLD))
        with suppress(OSError):
            if part.is_dir():
                handle = os.open(part, os.O_RDONLY)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
                finally:
                    os.close(handle)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> CacheError:
    return CacheError(f"{folder.parent}: the cache of engines cannot be written ({error.strerror})")


def _try_to_write(folder: Path) -> OSError | None:
    """Return why nothing more can be written into a folder; libraries report a full disk each in their own way."""
    try:
        with open(folder / ".room", "wb") as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _flush(folder: Path) -> None:
    """Write files to the disk, else a power cut soon after the rename can leave empty ones under the final name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
