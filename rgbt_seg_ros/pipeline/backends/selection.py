"""Which engine runs the network: by name, or the fastest that works, and torch where one fails."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.pipeline.backends.base import (
    BACKENDS,
    PRECISIONS,
    Backend,
    BackendError,
    Calibration,
    EngineRequest,
    Report,
)
from rgbt_seg_ros.pipeline.backends.devices import select_device
from rgbt_seg_ros.pipeline.backends.fallback import FallbackBackend, Opener

if TYPE_CHECKING:
    from rgbt_seg_ros.network import FusionNetwork, ModelSpec

_ENGINES = {
    "torch": ("eager_backend", "EagerBackend"),
    "compile": ("compile_backend", "CompileBackend"),
    "cuda": ("cuda_backend", "CudaBackend"),
    "openvino": ("openvino_backend", "OpenvinoBackend"),
    "onnxruntime": ("onnxruntime_backend", "OnnxruntimeBackend"),
    "tensorrt": ("tensorrt_backend", "TensorrtBackend"),
}

_SLOW = ("compile", "tensorrt")
"""Engines that build for minutes, and can be used where they cannot be built."""


def _lacks(module: str, extra: str) -> str:
    found = importlib.util.find_spec(module) is not None
    return "" if found else f"the Python package {module} is not installed; pip install 'rgbt_seg_ros[{extra}]'"


def lacks_onnx(extra: str = "onnxruntime") -> str:
    """Return why no ONNX file can be written here; empty: it can."""
    return _lacks("onnx", extra) or _lacks("onnxscript", extra)


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
        "onnxruntime": _lacks("onnxruntime", "onnxruntime") or lacks_onnx(),
        "tensorrt": _no_cuda() or _lacks("tensorrt", "tensorrt") or lacks_onnx("tensorrt"),
    }


def _open(name: str, request: EngineRequest) -> Any:
    module, kind = _ENGINES[name]
    return getattr(importlib.import_module(f"rgbt_seg_ros.pipeline.backends.{module}"), kind)(request)


def _automatic(device: str, precision: str) -> tuple[list[str], str]:
    """Return the engines to try on a device, the fastest first, and why in that order."""
    if device.startswith("gpu"):
        return ["openvino"], "what runs on an Intel GPU"
    if precision == "int8":
        return ["openvino"], "what calculates in int8"
    if select_device(device).type == "cuda":
        return ["tensorrt", "cuda"], "tensorrt where it was built before, else CUDA graphs"
    return ["compile", "openvino"], "compile where it was built before, else openvino where it is installed, else torch"


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
    warn: Report | None = None,
    calibration: Calibration | None = None,
) -> Backend:
    """Open an engine around a network; one that cannot be opened, built or run gives way to torch with one warning.

    Args:
        network: In eval mode, float32, on the CPU; left as it is, and kept for sizes to come.
        spec: Normalisations and temperature of the model.
        backend: One of ``BACKENDS``. ``auto``: the fastest that works on the device without building for minutes; it reports
            which and why.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; for openvino also ``gpu`` or ``gpu:N``, Intel's.
        precision: One of ``PRECISIONS``; ``auto`` is fp16 on a GPU, fp32 on the CPU.
        temperature: Overrides the model's own; None keeps it.
        cache: Folder of built engines; None: ``cache.cache_folder()``.
        report: Told a sentence of what is chosen and what is being built; None: the latter goes to ``logging``.
        warn: Told a sentence of what fails; None: as ``report``.
        calibration: For int8: gives pairs like those to come, of an input size; None: int8 only where it is in the cache.

    Returns:
        An engine; most build themselves at the first pair of a size, so run one before the camera starts.

    Raises:
        BackendError: An unknown name, or torch itself has not the device or the precision.
    """
    if backend not in BACKENDS:
        raise BackendError(f"runtime.backend: '{backend}' is not one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise BackendError(f"runtime.precision: '{precision}' is not one of {', '.join(PRECISIONS)}")
    if not re.fullmatch(r"auto|cpu|(cuda|gpu)(:\d+)?", device):
        raise BackendError(f"runtime.device: '{device}' is not one of auto, cpu, cuda, cuda:N, gpu, gpu:N")
    tell = report or logging.getLogger(__name__).warning
    complain = warn or tell
    request = EngineRequest(network, spec, device, precision, temperature, cache, tell, complain, calibration)

    # What torch can take the place of an Intel GPU, and of int8.
    def eager() -> Backend:
        place = "cpu" if device.startswith("gpu") else device
        arithmetic = "auto" if precision == "int8" else precision
        engine: Backend = _open("torch", replace(request, device=place, precision=arithmetic))
        return engine

    missing = available()
    if backend == "torch":
        torch_engine: Backend = _open("torch", request)
        return torch_engine
    if backend != "auto":
        first: list[Opener] = [partial(_open, backend, request)]
        if missing[backend]:
            # What it lacks may be a compiler, and the engine one that was built elsewhere.
            first = _built(backend, request) or [_refusal(backend, missing[backend])]
        return FallbackBackend([*first, eager], complain)
    names, why = _automatic(device, precision)
    chain: list[Opener] = []
    for name in names:
        if name in _SLOW:
            chain += _built(name, request)
        elif not missing[name]:
            chain.append(partial(_open, name, request))
    if precision == "int8" and not chain:
        chain.append(_refusal("openvino", missing["openvino"]))
    chosen = FallbackBackend([*chain, eager], complain)
    if report:
        report(f"runtime.backend: auto chose {chosen.name} ({why})")
    return chosen


def _built(name: str, request: EngineRequest) -> list[Opener]:
    """Return what opens a slow engine if the cache holds one of this model, and nothing if it does not."""
    if name not in _SLOW:
        return []
    try:
        engine = _open(name, replace(request, build=False))
        built: bool = engine.built
    except Exception:  # as of FallbackBackend; what cannot be opened was not built here either
        return []
    return [lambda: engine] if built else []


def _refusal(name: str, reason: str) -> Opener:
    def refuse() -> Backend:
        raise BackendError(f"runtime.backend: '{name}' cannot be used here: {reason}")

    return refuse
