"""Sizes of RGB images that were segmented before, kept in a file: what to warm up for before the first image arrives."""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import replacing

FILE = "image_sizes.json"
"""Its name beside the engines, in ``backends.cache.cache_folder()``."""

KEPT = 64
"""Camera pairs in the file; the one whose size changed the longest ago goes first."""

LARGEST = 1 << 15
"""px; no camera has a longer side, and nothing is built for one."""

QUIET = 5.0
"""s between two writes for one camera pair: two cameras on one topic would have the file written with every frame."""

Size = tuple[int, int]


class KnownSizes:
    """(H, W) of the RGB images by camera pair. The file only saves a first wait: no problem with it is an error.

    Several nodes may share the file: it is read again before it is written, and what two write at once costs one of them its
    entry until the size changes next.
    """

    def __init__(self, path: Path | None, log: logging.Logger) -> None:
        """Read the file, if it is there.

        Args:
            path: The file; its folder need not exist. None: sizes are not kept longer than this object.
            log: Takes a sentence where the file is broken or cannot be written, each once.
        """
        self._path, self._log = path, log
        self._told: set[str] = set()
        self._sizes = self._read()
        self._filed = dict(self._sizes)
        self._written_at: dict[str, float] = {}

    def get(self, pair: str) -> Size | None:
        """Return (H, W) of a pair's images, or None where none is known."""
        return self._sizes.get(pair)

    def put(self, pair: str, size: Size) -> None:
        """Keep the (H, W) of a pair's images; writes the file where it holds another, for a pair once in ``QUIET`` seconds.

        Call it with every frame: a size that is not written at once is written at a later frame.
        """
        if not _is_size(size):
            return
        self._sizes[pair] = size
        now = time.monotonic()
        if self._path is None or self._filed.get(pair) == size or now - self._written_at.get(pair, -math.inf) < QUIET:
            return
        # Also where it fails: a frame later it would fail again.
        self._filed[pair], self._written_at[pair] = size, now
        # What others have written meanwhile stays.
        sizes = self._read()
        sizes.pop(pair, None)
        sizes[pair] = size
        while len(sizes) > KEPT:
            del sizes[next(iter(sizes))]
        try:
            with replacing(self._path) as (part,):
                part.write_text(json.dumps({"image_sizes": sizes}, indent=1) + "\n", encoding="utf-8")
        except UserError as error:
            self._tell(f"the size of the RGB images is not remembered: {error}")

    def _read(self) -> dict[str, Size]:
        if self._path is None:
            return {}
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            entries = content["image_sizes"].items()
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            why = getattr(error, "strerror", None) or "JSON with image_sizes was expected"
            self._tell(f"{self._path}: is ignored ({why}); it is replaced when a size is known")
            return {}
        return {pair: (size[0], size[1]) for pair, size in entries if _is_size(size)}

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._log.info(sentence)


def pair_key(node: str, pair: str) -> str:
    """Return the key of a camera pair: the node's fully qualified name, and the pair's where it has one."""
    return f"{node} {pair}".rstrip()


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(type(side) is int and 0 < side <= LARGEST for side in value)
    )
