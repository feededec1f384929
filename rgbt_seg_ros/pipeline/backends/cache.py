"""Where built engines are kept between runs, and under which names."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.pipeline.backends.base import BackendError

FORMAT = 1
"""Counts changes to what engines are built of (folding, masks): a new number builds them anew."""


def cache_folder() -> Path:
    """Return ``$RGBT_SEG_CACHE``, else ``rgbt_seg_ros`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; it need not be there."""
    named = os.environ.get("RGBT_SEG_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rgbt_seg_ros"


def model_hash(network: FusionNetwork, spec: ModelSpec, temperature: float) -> str:
    """Return 16 hexadecimal digits that change with the weights, the normalisation or the temperature (SHA-256)."""
    digest = hashlib.sha256(f"{FORMAT} {network.variant} {spec.rgb} {spec.thermal} {temperature!r}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@cache
def cpu_hash() -> str:
    """Return 8 hexadecimal digits that change with the CPU's instructions: code built for one may not run on another."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
        instructions = found[1] if found else text
    except OSError:
        instructions = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {instructions}".encode()).hexdigest()[:8]


def entry_name(*parts: object) -> str:
    """Join parts to a folder's name; what a file system may not take becomes a dash."""
    return re.sub(r"[^\w.+-]+", "-", "_".join(map(str, parts)))


def cached(folder: Path, build: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return a folder of the cache, built if it is not there.

    Args:
        folder: Where it belongs. Whatever stops the build leaves nothing there; of two that build at once, one is kept.
        build: Fills an empty folder.

    Returns:
        The folder, and whether it had to be built.

    Raises:
        BackendError: The place cannot be written.
    """
    if folder.is_dir():
        return folder, False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    except OSError as error:
        raise BackendError(f"{folder.parent}: the cache of engines cannot be written ({error.strerror})") from error
    try:
        build(part)
        part.chmod(0o755)
        try:
            os.replace(part, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder, True
