"""Engines that run the network: one small interface, one file an engine; ``open_backend`` opens one by its name."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.backends.base import (
    BACKENDS,
    PRECISIONS,
    Backend,
    BackendError,
    Build,
    EngineRequest,
    Inference,
)
from rgbt_seg_ros.pipeline.backends.selection import available, open_backend
from rgbt_seg_ros.pipeline.backends.torch_backend import TorchBackend

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Backend",
    "BackendError",
    "Build",
    "EngineRequest",
    "Inference",
    "TorchBackend",
    "available",
    "open_backend",
]
