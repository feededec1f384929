"""``rgbt-seg calibrate ACTION``: fit, prove and convert calibrations; an action a module, each with ``register(actions)``.

Modules whose names begin with an underscore are shared by the actions.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def register(subparsers: Any) -> None:
    """Add the command, and every action in this package, to the root parser."""
    parser = subparsers.add_parser("calibrate", help="fit, check and convert the calibration of a camera pair")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"{__name__}.{module}").register(actions)
