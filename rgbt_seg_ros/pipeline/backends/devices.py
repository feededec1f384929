"""The device and the precision that a name stands for on this machine."""

from __future__ import annotations

import re

import torch

from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def select_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device of this machine.

    Raises:
        SettingError: Of ``device``: the name means nothing to torch, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not re.fullmatch(r"[0-9]{1,4}", index)) or (kind == "cpu" and index):
        raise SettingError("device", f"{shown(name)} is not one of auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise SettingError(
                "device", f"'{name}' needs a CUDA device, and torch {torch.__version__} finds none", "cpu or auto"
            )
        if index and int(index) >= torch.cuda.device_count():
            raise SettingError(
                "device", f"'{name}' does not exist", f"one of cuda:0 to cuda:{torch.cuda.device_count() - 1}"
            )
    return torch.device(name)


def select_cuda(name: str, backend: str) -> torch.device:
    """Turn ``auto``, ``cuda`` or ``cuda:N`` into a CUDA device, for a backend that runs nowhere else.

    Raises:
        SettingError: Of ``device``: this machine has no such device, or it is not a CUDA device.
    """
    device = select_device("cuda" if name == "auto" else name)
    if device.type != "cuda":
        raise SettingError("device", f"the backend {backend} does not run on '{name}'", "cuda or cuda:N")
    return device


def select_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into fp16 on CUDA and fp32 on the CPU, and refuse what torch cannot do on the device.

    Raises:
        SettingError: Of ``precision``: an unknown name, int8, or fp16 on a CPU.
    """
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name == "int8":
        raise SettingError("precision", "'int8' needs the backend openvino; torch supports fp32, fp16 and bf16")
    if name not in DTYPES:
        raise SettingError("precision", f"'{name}' is not one of auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise SettingError("precision", "'fp16' needs a CUDA device; on the CPU use fp32 or bf16")
    return name
