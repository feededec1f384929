"""The machine that a measurement ran on, in words."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

_OF_INTEREST = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
"""Instruction sets that decide how fast a precision is; as the flags of /proc/cpuinfo on x86 and ARM name them."""

_OF_THREADS = ("OMP_", "GOMP_", "KMP_", "MKL_", "TBB_")


@dataclass(frozen=True)
class Hardware:
    """The machine and the versions.

    Attributes:
        cpu: Its model.
        instructions: The sets of ``_OF_INTEREST`` that it has.
        cores: Number of cores that this process may use.
        machine_cores: Number of cores of the machine.
        gpu: Its name; empty: torch finds no GPU, or was not needed.
        system: Operating system and architecture, such as ``Linux x86_64``.
        versions: Versions by name: Python, the libraries that did the work, and on a GPU CUDA and cuDNN.
        threads: Variables of the environment that tell thread pools what to do, by name.
        date: ISO, local.
        load: Processes that wanted a core, on average over the last minute, before the measurement began.
    """

    cpu: str
    instructions: tuple[str, ...]
    cores: int
    machine_cores: int
    gpu: str
    system: str
    versions: dict[str, str]
    threads: dict[str, str]
    date: str
    load: float


def _cpuinfo(text: str) -> tuple[str, tuple[str, ...]]:
    """Return model and instruction sets of the first processor of /proc/cpuinfo; empty where it says nothing."""
    fields: dict[str, str] = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    return fields.get("model name", ""), tuple(name for name in _OF_INTEREST if name in flags)


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(module: str) -> str:
    """Return the version of a module that is loaded; empty: it is not, so it took no part."""
    return str(getattr(sys.modules.get(module), "__version__", ""))


def load() -> float:
    """Return how many processes wanted a core, on average over the last minute."""
    return os.getloadavg()[0]


def describe(load_before: float, device: str = "auto") -> Hardware:
    """Look at this machine, after a run, when all that took part in it is loaded.

    Args:
        load_before: What ``load`` gave before it.
        device: What the run was on, as torch names it; with several GPUs, this one is described.
    """
    try:
        model, instructions = _cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        model, instructions = "", ()
    gpu = ""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gpu = str(torch.cuda.get_device_name(device if device.startswith("cuda") else None))
    gpu_versions = (
        {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())} if torch and gpu else {}
    )
    modules = ("numpy", "cv2", "torch", "openvino", "onnxruntime", "tensorrt")
    versions = {"python": platform.python_version(), **{name: _version(name) for name in modules}, **gpu_versions}
    return Hardware(
        cpu=model or platform.processor() or platform.machine(),
        instructions=instructions,
        cores=cores(),
        machine_cores=os.cpu_count() or cores(),
        gpu=gpu,
        system=f"{platform.system()} {platform.machine()}",
        versions={name: version for name, version in versions.items() if version},
        threads={key: value for key, value in sorted(os.environ.items()) if key.startswith(_OF_THREADS)},
        date=datetime.date.today().isoformat(),
        load=load_before,
    )


def busy(load_before: float) -> str:
    """Return in a sentence why ratios may be too good on a machine that does other work; empty: they are not.

    The threads of torch's pool wait for each other by spinning. Where another process holds the core of one of them, the rest
    burn theirs until it is back, while engines whose threads sleep lose little: measured on two cores at a load of five, a
    forward of plain eager took 1.5 s with two threads, 0.6 s where they sleep, and 0.4 to 1 s with one thread.
    """
    alone = cores() == 1 or os.environ.get("OMP_NUM_THREADS") == "1"
    if load_before < 0.5 or alone or os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE":
        return ""
    return (
        f"The machine did other work (load {load_before:.1f}): torch's threads spin while they wait for each other, so that "
        "plain eager is slower and other engines seem faster than on an idle machine. --threads 1, or OMP_WAIT_POLICY=PASSIVE in "
        "the environment, compares fairly."
    )
