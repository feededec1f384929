"""One thing that is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One thing that is timed.

    Attributes:
        stage: Of the pipeline, such as ``thermal``.
        name: What of it, such as ``mono16, clahe``.
        run: Does it once.
        setup_ms: What had to be built before the first frame, such as a table, took; None: nothing had to.
    """

    stage: str
    name: str
    run: Callable[[], Any]
    setup_ms: float | None = None
