"""What the processor calculates by itself, and which precisions it can only emulate."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_NATIVE = {
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"}),
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}),
}
"""Flags of /proc/cpuinfo, of x86 and of Arm, any of which means that dot products of a precision are one instruction."""

_SLOWER = {
    "bf16": "emulated: about a third of the speed of fp32",
    "int8": "calculated without its dot product: slower than where the processor has it, and hardly faster than fp32",
}
"""Measured; docs/backends.md."""


def parse_flags(cpuinfo: str) -> frozenset[str]:
    """Return the flags (x86) or Features (Arm) of the first processor in the text of /proc/cpuinfo; empty: it names none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


@cache
def read_flags() -> frozenset[str]:
    """Return this machine's; empty where it does not say."""
    try:
        return parse_flags(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()


def emulated(precision: str, flags: frozenset[str]) -> str:
    """Return what the lack of instructions for a precision costs, in words; empty: the processor has them, or does not say.

    >>> emulated("bf16", frozenset({"avx512f", "avx512_vnni"}))
    'emulated: about a third of the speed of fp32'
    >>> emulated("bf16", frozenset({"avx512f", "avx512_bf16"}))
    ''
    """
    native = _NATIVE.get(precision)
    return "" if not flags or native is None or native & flags else _SLOWER[precision]


def describe_processor() -> str:
    """Return what code that was built for one processor and may not run on another depends on."""
    return f"{platform.machine()} {' '.join(sorted(read_flags())) or platform.processor()}"
