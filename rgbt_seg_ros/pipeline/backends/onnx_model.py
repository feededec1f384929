"""``ImagesToMasks`` as an ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks

OPSET = 18
"""Has LayerNormalization (17) and ReduceMean with axes as an input; runtimes of 2023 and later know it."""


def export_onnx(module: ImagesToMasks, batch: int, input_size: tuple[int, int], path: Path) -> None:
    """Write an ONNX file of uint8 images ``rgb``, ``thermal`` to uint8 masks ``label``, ``confidence``, of fixed sizes.

    Args:
        module: On any device, in any dtype; its normalisation, temperature and masks are part of the file.
        batch: Number of pairs.
        input_size: (h, w).
        path: The file to write.
    """
    device = module.rgb_offset.device
    rgb = torch.zeros((batch, *input_size, 3), dtype=torch.uint8, device=device)
    thermal = torch.zeros((batch, *input_size), dtype=torch.uint8, device=device)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (rgb, thermal),
            str(path),
            input_names=["rgb", "thermal"],
            output_names=["label", "confidence"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
