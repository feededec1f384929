"""``rgbt-seg bag ACTION``: recordings; an action a module of this package, each with ``register(actions)``."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def register(subparsers: Any) -> None:
    """Add the command, and every action in this package, to the root parser."""
    parser = subparsers.add_parser("bag", help="inspect, score, play and make ROS 2 bags")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}").register(actions)
