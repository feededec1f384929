"""Lets timm be imported where torchvision's compiled operators cannot be loaded.

timm imports torchvision for feature extraction and image transforms, none of which this package uses.
torchvision's common wheel is linked against CUDA; beside a CPU build of torch its compiled library cannot be loaded and
``import torchvision`` ends with ``RuntimeError: operator torchvision::nms does not exist``, because it registers shape
functions for two operators whose schemas the library would have declared. Declaring those two schemas
here, without any implementation, lets the import go through: calling one of them still fails, as it should.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

# Exactly what torchvision's compiled library declares (torchvision/csrc/ops/nms.cpp and quantized/).
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

# A torch.library.Library withdraws its declarations when it is collected, so this reference keeps them alive.
_declared: torch.library.Library | None = None


def prepare_torchvision() -> None:
    """Import torchvision, declaring the schemas of its missing operators only if that is what stops it.

    Call it before the first ``import timm``. Does nothing more than ``import torchvision`` where
    torchvision loads, and nothing where it is not installed (timm then says so itself).

    Raises
    ------
    RuntimeError
        torchvision fails for any other reason; its own error is passed on.
    """
    global _declared
    try:
        importlib.import_module("torchvision")
        return
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if _declared is not None or "operator torchvision::" not in str(error):
            raise
    # The failed import leaves some submodules loaded. Repeating it over them works too (seen with Python 3.11 and
    # torchvision 0.28), but a whole import depends on no order in which a version loads its parts.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _declared.define(schema)  # type: ignore[no-untyped-call]
    importlib.import_module("torchvision")


def import_timm() -> Any:
    """Return timm; it is imported where a network is built, because it takes longer than all else that a command imports."""
    prepare_torchvision()
    return importlib.import_module("timm")
