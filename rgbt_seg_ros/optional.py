"""Packages that need not be installed."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from rgbt_seg_ros.errors import in_words


def optional_module(name: str) -> Any | None:
    """Return a module, such as ``vision_msgs.msg``; None where its package is not installed or cannot be imported.

    A package that is installed and cannot be imported is warned of.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        if not (isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package):
            logging.getLogger(__name__).warning("%s is installed but cannot be imported: %s", name, in_words(error))
        return None
