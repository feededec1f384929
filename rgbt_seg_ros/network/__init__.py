"""The network of arXiv 2605.26273 and its model files, in torch and timm alone.

``load_model(path)`` returns a module in eval mode: ``model(rgb, thermal)`` turns (N, 3, H, W) and (N, 1, H, W) normalised
floats into logits (N, K, H, W). ``read_spec`` reads the metadata, ``read_model`` both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgbt_seg_ros.network.encoders import VARIANTS
    from rgbt_seg_ros.network.fusion_network import FusionNetwork
    from rgbt_seg_ros.network.model_file import ModelFileError, load_model, read_model, read_spec, write_model
    from rgbt_seg_ros.network.spec import MODALITIES, ClassInfo, Modality, ModalityWorth, ModelSpec, Normalisation

__all__ = [
    "MODALITIES",
    "VARIANTS",
    "ClassInfo",
    "FusionNetwork",
    "Modality",
    "ModalityWorth",
    "ModelFileError",
    "ModelSpec",
    "Normalisation",
    "load_model",
    "read_model",
    "read_spec",
    "write_model",
]

_PLACES = {
    "VARIANTS": "encoders",
    "FusionNetwork": "fusion_network",
    **dict.fromkeys(("ModelFileError", "load_model", "read_model", "read_spec", "write_model"), "model_file"),
    **dict.fromkeys(("MODALITIES", "ClassInfo", "Modality", "ModalityWorth", "ModelSpec", "Normalisation"), "spec"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562): class tables and data need neither torch nor timm, which take seconds to import."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
