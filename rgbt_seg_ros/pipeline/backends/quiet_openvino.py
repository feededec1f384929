"""OpenVINO without its telemetry: a robot reports nothing to anybody, and forks no processes that try to."""

from __future__ import annotations

import sys
from typing import Any


def import_openvino() -> Any:
    """Return the module ``openvino``; its converter and nncf find no ``openvino_telemetry``, and do without.

    The package would send an event for each model that is converted, from a process forked for it.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    # None makes an import fail as if the package were not installed, which both are made for.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
