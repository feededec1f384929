"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rgbt_seg_ros.errors import UserError


class ReportError(UserError):
    """A report that cannot be written where it should be."""


def check_place(path: Path) -> None:
    """Refuse a file path that could not be written, before hours are spent on what goes there; changes nothing.

    Raises:
        ReportError: It is a folder, or something above it is a file or cannot be written to.
    """
    if path.is_dir():
        raise ReportError(f"{path}: is a folder; a file was expected")
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise ReportError(f"{path}: cannot be written, since {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ReportError(f"{path}: cannot be written, since {above} is read-only")


def write_texts(files: Mapping[Path, str]) -> None:
    """Write files beside their places, and rename them only when all are there: an interrupt leaves none half-written.

    Raises:
        ReportError: One cannot be written; nothing is left of it.
    """
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, text in files.items():
            check_place(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside[path].open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for path, part in beside.items():
            os.replace(part, path)
    except OSError as error:
        raise ReportError(f"{error.filename or ''}: cannot be written ({error.strerror})") from error
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)
