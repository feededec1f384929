"""Engines that run the network: one small interface, one file an engine."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.backends.base import Backend, BackendError, Inference
from rgbt_seg_ros.pipeline.backends.torch_backend import PRECISIONS, TorchBackend

__all__ = ["PRECISIONS", "Backend", "BackendError", "Inference", "TorchBackend"]
