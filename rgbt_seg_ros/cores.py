"""Threads bound to processor cores: which ones, in words that taskset and the kernel's cpusets know. Linux only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from rgbt_seg_ros.errors import UserError

# As imported, before anything is bound: a thread that is asked later tells what it was bound to.
PROCESS_CORES = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
"""Cores that this process may run on; an empty set where the system does not bind threads."""

_PART = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


class CoresError(UserError):
    """Cores that are none, or are not there."""


def parse_cores(text: str, parameter: str) -> frozenset[int]:
    """Return the cores that a text such as ``0`` or ``1-3,5`` names; none for an empty one.

    Args:
        text: Numbers and ranges, with commas between.
        parameter: Named in the error.

    Raises:
        CoresError: It is no such list, or names cores that this process may not run on.
    """
    if not text.strip():
        return frozenset()
    cores: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or (found[2] is not None and int(found[2]) < int(found[1])):
            raise CoresError(
                f"{parameter}: '{text}' is not a list of cores; expected numbers and ranges such as 0 or 1-3,5"
            )
        cores.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    if not hasattr(os, "sched_getaffinity"):
        raise CoresError(f"{parameter}: this system cannot bind threads to cores; leave it empty")
    missing = sorted(cores - PROCESS_CORES)
    if missing:
        allowed = ", ".join(map(str, sorted(PROCESS_CORES)))
        raise CoresError(f"{parameter}: core {missing[0]} is not among those of this process ({allowed})")
    return frozenset(cores)


def thread_count(threads: int, cores: frozenset[int], most: int) -> int:
    """Return how many threads a network on some cores gets: one more than there are cores waits for the others in every layer.

    Args:
        threads: As set; 0: as many as it may.
        cores: Those it is bound to; an empty set: any.
        most: What it gets where nothing says less.
    """
    return threads or min(most, len(cores) or most)


def bind_thread(cores: frozenset[int]) -> frozenset[int]:
    """Bind the calling thread, and threads that it starts from now on, to cores; an empty set leaves it alone.

    Returns:
        The cores that it had before, to be given back; an empty set where nothing was changed.
    """
    if not cores:
        return frozenset()
    before = frozenset(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores)
    return before


@contextmanager
def bound_to(cores: frozenset[int]) -> Iterator[None]:
    """Bind the calling thread, and threads that it starts meanwhile, to cores; an empty set leaves it alone.

    What engines start for themselves has the cores of the thread that loads and first runs them, for as long as it lives.
    """
    before = bind_thread(cores)
    try:
        yield
    finally:
        bind_thread(before)
