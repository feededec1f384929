"""The device and the precision that a name stands for on this machine."""

from __future__ import annotations

import torch

from rgbt_seg_ros.pipeline.backends.base import PRECISIONS, BackendError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def select_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that is there.

    Raises:
        BackendError: The name means nothing, or names a device this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise BackendError(f"runtime.device: '{name}' is not one of auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise BackendError(
                f"runtime.device: '{name}' needs a CUDA device, and torch {torch.__version__} finds none; use cpu or auto"
            )
        if index and int(index) >= torch.cuda.device_count():
            raise BackendError(
                f"runtime.device: '{name}' does not exist; this machine has cuda:0 to cuda:{torch.cuda.device_count() - 1}"
            )
    return torch.device(name)


def select_cuda(name: str, backend: str) -> torch.device:
    """Turn ``auto``, ``cuda`` or ``cuda:N`` into a CUDA device, for a backend that runs nowhere else.

    Raises:
        BackendError: There is none, or another is named.
    """
    device = select_device("cuda" if name == "auto" else name)
    if device.type != "cuda":
        raise BackendError(f"runtime.backend: '{backend}' runs on cuda or cuda:N, not on '{name}'")
    return device


def select_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into fp16 on CUDA and fp32 on the CPU, and refuse what the device cannot do.

    Raises:
        BackendError: Not one of ``PRECISIONS``, int8, or fp16 on a CPU.
    """
    if name not in PRECISIONS:
        raise BackendError(f"runtime.precision: '{name}' is not one of {', '.join(PRECISIONS)}")
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name == "int8":
        raise BackendError("runtime.precision: 'int8' needs the backend openvino; torch does fp32, fp16 and bf16")
    if name == "fp16" and device.type == "cpu":
        raise BackendError("runtime.precision: 'fp16' needs a CUDA device; on the CPU use fp32 or bf16")
    return name
