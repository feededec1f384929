"""Text files that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import replacing


class ReportError(UserError):
    """A report that cannot be written where it should be."""


def write_texts(files: Mapping[Path, str]) -> None:
    """Write files beside their places, and rename them only when all are there: an interrupt leaves none half-written.

    In UTF-8; bytes of a file name that are none are written as a backslash, ``udc`` and their hexadecimal digits.

    Raises:
        ReportError: One cannot be written; nothing is left of it.
    """
    with replacing(*files, failure=ReportError) as parts:
        for part, text in zip(parts, files.values(), strict=True):
            part.write_bytes(text.encode("utf-8", "backslashreplace"))
