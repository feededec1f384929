"""Files that appear whole or not at all, where a file belongs: never in the place of a device, a pipe or a folder."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rgbt_seg_ros.errors import UserError

Failure = Callable[[str], UserError]
"""Makes the error to raise of its sentence; a subclass of UserError does."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def _refuse_special(path: Path, failure: Failure) -> None:
    """Raise where the path, or what it links to, is there and no regular file."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:  # a name that is too long, a folder that must not be looked into, a loop of links
        raise failure(f"{path}: cannot be written ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        kind = next((words for matches, words in _KINDS if matches(mode)), "no regular file")
        raise failure(f"{path}: is {kind} and cannot be written; a file was expected")


def check_place(path: Path, failure: Failure = UserError, parents: bool = True) -> None:
    """Refuse a path that no file could be written to, before hours are spent on what goes there; changes nothing.

    Args:
        path: Of a file that need not be there.
        failure: Makes the error.
        parents: Whether folders above it that are missing will be made.

    Raises:
        UserError: As ``failure`` makes it: the path is a folder, a device or a pipe, or something above it is missing, a file
            or read-only.
    """
    _refuse_special(path, failure)
    above = Path(os.path.realpath(path)).parent
    while parents and not os.path.exists(above):
        above = above.parent
    if not os.path.isdir(above):
        raise failure(f"{path}: cannot be written, since {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise failure(f"{path}: cannot be written, since {above} is read-only")


def _create(path: Path) -> int:
    """Make an empty file and return the mode that files get here: some writers would give it one for the owner alone."""
    with open(path, "xb") as file:
        return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def read_bounded(path: str | Path, kind: str, limit: int, failure: Failure = UserError) -> bytes:
    """Return the bytes of a small regular file; a pipe or a device is refused and never waited for.

    Args:
        path: The file; links are followed.
        kind: What was expected, for errors, such as ``calibration file``.
        limit: The most bytes it may have.
        failure: Makes the error.

    Raises:
        UserError: As ``failure`` makes it: the file is not there, not regular, larger than the limit or not readable.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                what = next((words for matches, words in _KINDS if matches(mode)), "no regular file")
                raise failure(f"{path}: is {what}; expected a {kind}")
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise failure(f"{path}: not a readable {kind} ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > limit:
        raise failure(f"{path}: larger than {limit} bytes; expected a {kind}")
    return content


@contextmanager
def replacing(
    *paths: Path, failure: Failure = UserError, causes: tuple[type[Exception], ...] = (), parents: bool = True
) -> Iterator[tuple[Path, ...]]:
    """Give a path beside each of some files to write to; at the end flush all to the disk, and only then rename them.

    Whatever stops it, a kill too, leaves the old files or the new ones. Links are followed and stay.

    Args:
        paths: The files; those that are there are replaced.
        failure: Makes the error where one cannot be written.
        causes: What, beside OSError, means that.
        parents: Whether folders above that are missing are made.

    Yields:
        As many paths, of empty files to be written or replaced, without a suffix.

    Raises:
        UserError: As ``failure`` makes it: a path is a folder, a device or a pipe, or the disk or its rights forbid it.
    """
    for path in paths:
        _refuse_special(path, failure)
    places = [Path(os.path.realpath(path)) for path in paths]
    unwritable: tuple[type[Exception], ...] = (OSError, *causes)
    parts = tuple(place.with_name(f".{secrets.token_hex(8)}.part") for place in places)
    try:
        if parents:
            for place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
        modes = [_create(part) for part in parts]
        yield parts
        for part, mode in zip(parts, modes, strict=True):
            # Else a power cut soon after the rename can leave an empty file under the final name.
            with open(part, "rb") as written:
                os.fsync(written.fileno())
            part.chmod(mode)
        for part, place in zip(parts, places, strict=True):
            os.replace(part, place)
    except unwritable as error:
        known = {str(part): path for part, path in zip(parts, paths, strict=True)}
        where = known.get(str(getattr(error, "filename", None)), ", ".join(map(str, paths)))
        reason = getattr(error, "strerror", None) or error
        raise failure(f"{where}: cannot be written ({reason})") from error
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink()
