"""Engines that run the network, one module for each value of ``runtime.backend``; ``select_engine`` opens the one asked for."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.backends.base import (
    BACKENDS,
    PRECISIONS,
    Build,
    Engine,
    EngineError,
    EngineRequest,
    Images,
    Inference,
)
from rgbt_seg_ros.pipeline.backends.selection import available, select_engine
from rgbt_seg_ros.pipeline.backends.torch_backend import TorchEngine

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Build",
    "Engine",
    "EngineError",
    "EngineRequest",
    "Images",
    "Inference",
    "TorchEngine",
    "available",
    "select_engine",
]
