"""One writer at a time in an output folder; what a killed one left half-written is removed by the next."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import Failure

LOCK = ".rgbt_seg.lock"

_PART = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names that ``files.replacing`` and writers of folders give to what is not complete."""

_held: set[int] = set()


@contextmanager
def folder_lock(folder: Path, failure: Failure = UserError) -> Iterator[None]:
    """Hold the lock of an output folder in this block; make the folder, and remove the litter of dead writers in it.

    The lock is the kernel's (``flock``) and ends with this process, however that ends; processes that are forked from
    it do not hold it. The file says who holds it. Where the block leaves a new folder empty, the folder goes again.

    Args:
        folder: Made if it is missing, with those above it.
        failure: Makes the error.

    Raises:
        UserError: As ``failure`` makes it: another process holds the lock, or the folder cannot be written to.
    """
    path = folder / LOCK
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        handle = _acquire(path, failure)
    except OSError as error:
        raise failure(f"{folder}: cannot be written ({error.strerror or error})") from error
    _held.add(handle)
    try:
        remove_litter(folder)
        yield
    finally:
        _held.discard(handle)
        # While the lock is held: a process that opened the file before sees that it is gone, and makes its own.
        with suppress(OSError):
            path.unlink()
        os.close(handle)
        with suppress(OSError):
            for place in missing:
                place.rmdir()


def _acquire(path: Path, failure: Failure) -> int:
    """Return a handle of the lock file, locked; raises OSError where there is no such place."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except FileNotFoundError:
            continue  # the last writer has just removed the folder that it left empty
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path):
                os.ftruncate(handle, 0)
                words = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}: {words}\n".encode(errors="replace"))
                return handle
        except BlockingIOError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            os.close(handle)
            raise failure(
                f"{path.parent}: another process is writing there ({holder or 'it does not say which'}); "
                "wait for it, or choose another folder"
            ) from error
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Return whether the file that was opened is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_litter(folder: Path) -> None:
    """Remove what killed processes left half-written directly in a folder whose lock this process holds."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _PART.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)


def _close_in_child() -> None:
    """Let go of the handles in a forked process, which would otherwise keep the locks of a parent that is gone."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
