"""How many cores a measurement may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rgbt_seg_ros.benchmark.hardware import cores
from rgbt_seg_ros.errors import SettingError


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Bind this process, and those it starts, to a number of cores; None: change nothing.

    Engines bring thread pools of their own, which read different variables or none; all of them respect where the process may
    run. Enter it before torch is imported, which sizes its pool by OMP_NUM_THREADS at that time.

    Raises:
        SettingError: Of ``threads``: this process may use fewer, or the system cannot bind.
    """
    if threads is None:
        yield
        return
    if threads > cores():
        raise SettingError("threads", f"{threads} is more than the {cores()} cores that this process may use")
    if not hasattr(os, "sched_setaffinity"):
        raise SettingError("threads", "this system cannot bind a process to cores")
    allowed, variable = os.sched_getaffinity(0), os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.sched_setaffinity(0, sorted(allowed)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        del os.environ["OMP_NUM_THREADS"]
        if variable is not None:
            os.environ["OMP_NUM_THREADS"] = variable
