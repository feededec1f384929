"""zstd of the standard library (Python 3.14), or its backport; never more bytes than are asked for."""

from __future__ import annotations

import sys

from rgbt_seg_ros.data.bags.storage import MOST_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["unpack_zstd", "zstd"]


def unpack_zstd(content: bytes, most: int = MOST_BYTES) -> bytes:
    """Return what zstd unpacks, at most one byte more than ``most``.

    Raises:
        ValueError: It cannot be unpacked.
    """
    try:
        return bytes(zstd.ZstdDecompressor().decompress(content, max_length=most + 1))
    except (zstd.ZstdError, EOFError) as error:
        raise ValueError(f"zstd: {error}") from error
