"""Python processes started by this one: they import nothing from the working directory, and end when this one is killed.

The second is Linux's doing (prctl PR_SET_PDEATHSIG): the kernel sends them SIGTERM when the thread that started them ends.
"""

from __future__ import annotations

import os
import sys

# `python -P` and PYTHONSAFEPATH do the same from Python 3.11 on.
_SAFE = "import sys; sys.path[:] = filter(None, sys.path); "
_PR_SET_PDEATHSIG = 1
_BOUND = (
    "import os, signal; sys.platform == 'linux' "
    f"and __import__('ctypes').CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGTERM); "
    # The parent may have been killed before the line above.
    "os.getppid() == {parent} or os.kill(os.getpid(), signal.SIGTERM); "
)
_MODULE = "from runpy import run_module; run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


def python_code(code: str) -> list[str]:
    """Return the command that runs Python code as a child of this process."""
    return [sys.executable, "-c", _SAFE + _BOUND.format(parent=os.getpid()) + code]


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command of ``python -m MODULE ARGUMENTS``, less the working directory at the start of the module path."""
    return [*python_code(_MODULE), module, *arguments]


def protect_children() -> None:
    """Keep the working directory off the module path of every Python that this process starts, workers of pools too."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")
