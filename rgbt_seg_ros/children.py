"""Python processes started by this one, which import nothing from the working directory."""

from __future__ import annotations

import os
import sys

# `python -P` and PYTHONSAFEPATH do the same from Python 3.11 on.
_SAFE = "import sys; sys.path[:] = filter(None, sys.path); "
_MODULE = "from runpy import run_module; run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


def python_code(code: str) -> list[str]:
    """Return the command that runs Python code."""
    return [sys.executable, "-c", _SAFE + code]


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command of ``python -m MODULE ARGUMENTS``, less the working directory at the start of the module path."""
    return [*python_code(_MODULE), module, *arguments]


def protect_children() -> None:
    """Keep the working directory off the module path of every Python that this process starts, workers of pools too."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")
