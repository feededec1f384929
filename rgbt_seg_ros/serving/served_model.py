"""What a node has once, however many camera pairs: the model that runs, and the load of another one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from rgbt_seg_ros.parameters.table import RuntimeSettings
from rgbt_seg_ros.serving.model_loader import ModelLoader
from rgbt_seg_ros.serving.shared_model import SharedModel
from rgbt_seg_ros.serving.warming import Loaded


class Abandoned(Protocol):
    """Something that was told to end and may not have ended."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""


class ServedModel:
    """The model, how it is used, what loads another one, and a session that the engine has not returned to."""

    def __init__(
        self, model: SharedModel, runtime: RuntimeSettings, log: logging.Logger, swap: Callable[[Loaded], None]
    ) -> None:
        """Take a model that is warmed up.

        Args:
            model: The model that runs.
            runtime: How the engine is used.
            log: Takes how each load of another model ended.
            swap: Puts a model that is ready in its place.
        """
        self.model, self.runtime = model, runtime
        self.loader = ModelLoader(model, log, swap, runtime.worker_cores)
        self.abandoned: Abandoned | None = None
        """A session that ended while a pair was still being worked on."""

    @property
    def wedged(self) -> bool:
        """Whether the engine has still not returned to a session that has ended."""
        return self.abandoned is not None and self.abandoned.alive

    @property
    def wedged_because(self) -> str:
        """Why no session can begin, and what to do about it; empty: nothing prevents it."""
        if not self.wedged:
            return ""
        if self.model.building is not None:
            return "the engine is still being built: activate when that is done"
        what = "the engine does not answer" if self.model.busy_since is not None else "the last pair has not ended"
        return f"{what}: cleanup and configure give the node a new one"

    def close(self) -> None:
        """Discard what is being loaded, and give the model back unless its engine still runs."""
        self.loader.close()
        if not self.wedged:
            self.model.close()
