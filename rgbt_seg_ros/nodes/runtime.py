"""How the node's process runs: allocator and garbage collector. docs/performance.md has the measurements behind each."""

from __future__ import annotations

import ctypes
import gc

# mallopt(3). An image's buffer above the threshold is mapped again for every message, and every page of it faults. Each thread
# that allocates may get an arena of its own, and what one holds back no other can use: a model is loaded in a new thread.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD, _M_ARENA_MAX = -3, -1, -2, -8
_MALLOPT = {_M_MMAP_THRESHOLD: 1 << 25, _M_TRIM_THRESHOLD: 1 << 28, _M_TOP_PAD: 1 << 26, _M_ARENA_MAX: 2}


def tune_allocator() -> bool:
    """Keep freed image buffers in the heap instead of giving them back to the kernel; glibc only.

    Returns:
        Whether the C library took every setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(option, value) == 1 for option, value in _MALLOPT.items()])


def settle_garbage() -> None:
    """Take what is there out of the collector's sight: a full collection then looks at young objects only.

    Modules and a model are some hundred thousand objects that live as long as the process.
    """
    gc.collect()
    gc.freeze()


def collect_all() -> None:
    """Collect what is garbage among what was taken out of sight, too, such as a model that was given back."""
    settled = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if settled:
        gc.freeze()
