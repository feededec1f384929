"""Which engine runs the network: by name, or the fastest that works, and torch where one fails."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from dataclasses import replace
from functools import partial
from typing import Any

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.backends.base import Engine, EngineRequest
from rgbt_seg_ros.pipeline.backends.devices import select_device
from rgbt_seg_ros.pipeline.backends.fallback import FallbackEngine, Opener
from rgbt_seg_ros.pipeline.backends.processor import emulated, read_flags

_ENGINES = {
    "torch": ("eager_backend", "EagerEngine"),
    "compile": ("compile_backend", "CompileEngine"),
    "cuda": ("cuda_backend", "CudaEngine"),
    "openvino": ("openvino_backend", "OpenvinoEngine"),
    "onnxruntime": ("onnxruntime_backend", "OnnxruntimeEngine"),
    "tensorrt": ("tensorrt_backend", "TensorrtEngine"),
}

_SLOW = ("compile", "tensorrt")
"""Engines that take minutes to build, and can be used where they cannot be built."""


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


def _open(name: str, request: EngineRequest) -> Engine:
    module, kind = _ENGINES[name]
    engine: Engine = getattr(importlib.import_module(f"rgbt_seg_ros.pipeline.backends.{module}"), kind)(request)
    return engine


def _automatic(device: str, precision: str) -> tuple[list[str], str]:
    """Return the engines to try on a device, the fastest first, and why in that order."""
    if device.startswith("gpu"):
        return ["openvino"], "what runs on an Intel GPU"
    if precision == "int8":
        return ["openvino"], "what calculates in int8"
    if select_device(device).type == "cuda":
        return ["tensorrt", "cuda"], "tensorrt where it was built before, else CUDA graphs"
    return ["compile", "openvino"], "compile where it was built before, else openvino where it is installed, else torch"


def select_engine(request: EngineRequest) -> Engine:
    """Open the engine of a request; one that cannot be opened, built or run gives way to torch with one warning.

    Args:
        request: With ``backend: auto``, the fastest engine runs that works on the device without building for minutes; which, and
            why, is logged. A precision that the processor only emulates is warned of. With ``exact``, an engine that is named
            does not give way: what it raises is passed on.

    Returns:
        An engine; most build themselves at the first pair of a size, so run one before the camera starts.

    Raises:
        SettingError: Of ``backend``, ``device`` or ``precision``: what cannot be used here, nor by torch in its place.
    """
    engine = _select(request)
    cost = emulated(engine.precision, read_flags()) if engine.device == "cpu" else ""
    if cost:
        request.log.warning(f"precision: this processor has no instructions for {engine.precision}, which is {cost}")
    return engine


def _select(request: EngineRequest) -> Engine:
    backend, missing = request.backend, available()
    if backend == "torch":
        return _open("torch", request)
    if backend != "auto":
        first: list[Opener] = [partial(_open, backend, request)]
        if missing[backend]:
            # What it lacks may be a compiler, and the engine one that was built elsewhere.
            first = _built(backend, request) or [_refusal(backend, missing[backend])]
        return first[0]() if request.exact else FallbackEngine([*first, partial(_eager, request)], request.log)
    names, why = _automatic(request.device, request.precision)
    chain: list[Opener] = []
    for name in names:
        if name in _SLOW:
            chain += _built(name, request)
        elif not missing[name]:
            chain.append(partial(_open, name, request))
    if request.precision == "int8" and not chain:
        chain.append(_refusal("openvino", missing["openvino"]))
    chosen = FallbackEngine([*chain, partial(_eager, request)], request.log)
    request.log.info(f"backend: auto chose {chosen.name} ({why})")
    return chosen


def _eager(request: EngineRequest) -> Engine:
    """Open what takes the place of any engine: torch, also where an Intel GPU or int8 was asked for."""
    device = "cpu" if request.device.startswith("gpu") else request.device
    precision = "auto" if request.precision == "int8" else request.precision
    return _open("torch", replace(request, device=device, precision=precision))


def _built(name: str, request: EngineRequest) -> list[Opener]:
    """Return what opens a slow engine if the cache holds one of this model, and nothing if it does not."""
    if name not in _SLOW:
        return []
    try:
        engine: Any = _open(name, replace(request, build=False))
        built: bool = engine.built
    except Exception:  # as of FallbackEngine; what cannot be opened was not built here either
        return []
    return [lambda: engine] if built else []


def _refusal(name: str, reason: str) -> Opener:
    def refuse() -> Engine:
        raise SettingError("backend", f"'{name}' cannot be used here: {reason}")

    return refuse
