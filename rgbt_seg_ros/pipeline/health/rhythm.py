"""Where a recorded stream falls silent: nothing came for longer than its rhythm allows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.stream import FaultInterval

SILENT_INTERVALS = 2.5
"""Intervals without a frame from which a stream is silent: two frames were lost, not one."""

_FEWEST = 3
"""Intervals from which a rhythm is known."""


def patience(stamps: Sequence[int]) -> float | None:
    """Return for how long (ns) nothing may come between two frames of a stream; None: its rhythm is not known.

    Args:
        stamps: ns, in order of time.
    """
    gaps = [after - before for before, after in pairwise(stamps) if after > before]
    return SILENT_INTERVALS * statistics.median(gaps) if len(gaps) >= _FEWEST else None


def silences(stamps: Sequence[int]) -> list[FaultInterval]:
    """Return where a recorded stream was silent: from the last frame before to the first one after.

    Args:
        stamps: ns, in order of time.
    """
    longest = patience(stamps)
    if longest is None:
        return []
    return [
        FaultInterval(StreamFault.SILENT, before, after)
        for before, after in pairwise(stamps)
        if after - before > longest
    ]
