"""Which engine runs the network: by name, or the fastest that works, and torch where one fails."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.backends.base import BACKENDS, PRECISIONS, Backend, BackendError, Inference
from rgbt_seg_ros.pipeline.backends.torch_backend import TorchBackend, select_device, select_precision

if TYPE_CHECKING:
    from rgbt_seg_ros.network import FusionNetwork, ModelSpec

Report = Callable[[str], None]
"""Takes one sentence for people: what was chosen, what is being built, what failed."""


def _lacks(module: str, extra: str) -> str:
    found = importlib.util.find_spec(module) is not None
    return "" if found else f"the Python package {module} is not installed; pip install 'rgbt_seg_ros[{extra}]'"


def _no_cuda() -> str:
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds no CUDA device"


def available() -> dict[str, str]:
    """Return, for every engine but ``auto``, an empty string where it can be used here, else why it cannot."""
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    return {
        "torch": "",
        "compile": "" if compiler else "torch.compile needs a C++ compiler, such as g++",
        "cuda": _no_cuda(),
        "openvino": _lacks("openvino", "openvino"),
        "onnxruntime": _lacks("onnxruntime", "onnxruntime") or _lacks("onnx", "onnxruntime"),
        "tensorrt": _no_cuda() or _lacks("tensorrt", "tensorrt") or _lacks("onnx", "tensorrt"),
    }


def open_backend(
    network: FusionNetwork,
    spec: ModelSpec,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    temperature: float | None = None,
    cache: Path | None = None,
    report: Report | None = None,
) -> Backend:
    """Open an engine around a network."""
    if backend not in BACKENDS:
        raise BackendError(f"runtime.backend: '{backend}' is not one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise BackendError(f"runtime.precision: '{precision}' is not one of {', '.join(PRECISIONS)}")
    return TorchBackend(network, spec, device, precision, temperature)
