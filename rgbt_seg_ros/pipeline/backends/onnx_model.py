"""``ImagesToMasks`` as an ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks

OPSET = 18
"""Has LayerNormalization (17) and ReduceMean with axes as an input; runtimes of 2023 and later know it."""


def export_onnx(
    module: ImagesToMasks, batch: int, input_size: tuple[int, int], path: Path, scaled: bool = False
) -> None:
    """Write an ONNX file of uint8 images ``rgb``, ``thermal`` to uint8 masks ``label``, ``confidence``, of fixed sizes.

    Args:
        module: On any device, in any dtype; its normalisation, temperature and masks are part of the file.
        batch: Number of pairs.
        input_size: (h, w).
        path: The file to write.
        scaled: Whether it has a third input ``scale``, (N,) float32, as of ``ImagesToMasks``.
    """
    device = module.rgb_offset.device
    rgb = torch.zeros((batch, *input_size, 3), dtype=torch.uint8, device=device)
    thermal = torch.zeros((batch, *input_size), dtype=torch.uint8, device=device)
    scale = torch.ones(batch, device=device)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (rgb, thermal, scale) if scaled else (rgb, thermal),
            str(path),
            input_names=["rgb", "thermal", "scale"] if scaled else ["rgb", "thermal"],
            output_names=["label", "confidence"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
