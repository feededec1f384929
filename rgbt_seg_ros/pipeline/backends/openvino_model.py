"""``ImagesToMasks`` as an OpenVINO model, in floats or calibrated to 8 bits."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network.folded_norms import spell_out
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.masks import Upsample, decide_planes
from rgbt_seg_ros.pipeline.backends.memory import forget_traces
from rgbt_seg_ros.pipeline.backends.quiet_openvino import import_openvino

IN_FLOATS = (
    "Add",
    "Concat",
    "Divide",
    "GroupConvolution",
    "Interpolate",
    "MVN",
    "Multiply",
    "Power",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Sqrt",
    "Subtract",
)
"""Operations that stay in floats in int8: all but convolutions over all channels. They take little time; in 8 bits, sums of
squares, skips and gates cost the demo model 0.04 of mIoU on synthetic scenes, without them it is 0.005. Depthwise convolutions
are faster in bf16: OpenVINO's 8-bit ones take twice as long."""

REVISION = 2
"""Counts changes to how models are converted and calibrated: with a new number it is done again."""


_TRACING = threading.Lock()
"""What TorchScript keeps is forgotten while nobody traces."""


class _Logits(nn.Module):
    """The part that may be calculated in 8 bits."""

    def __init__(self, module: ImagesToMasks) -> None:
        super().__init__()
        self.module = module

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        return self.module.logits(rgb, thermal)


class _Masks(nn.Module):
    """The part that may not: a step of 8-bit logits would show in the confidence."""

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        self.upsample = upsample

    def forward(self, logits: torch.Tensor, scale: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        if scale is not None:
            logits = logits * scale.view(-1, 1, 1, 1)
        return decide_planes(self.upsample(logits))


def _convert(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> Any:
    openvino = import_openvino()

    with _TRACING, warnings.catch_warnings(), torch.no_grad():
        # Tracing warns of every shape it takes for a constant; the shapes are.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(module, example_input=examples, input=[list(e.shape) for e in examples])
        forget_traces()
        return model


def _images(batch: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros((batch, *size, 3), dtype=torch.uint8), torch.zeros((batch, *size), dtype=torch.uint8)


def _named(model: Any) -> Any:
    """Name inputs and outputs, for other programs that run the file."""
    for port, name in zip(model.inputs, ("rgb", "thermal", "scale"), strict=False):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, ("label", "confidence"), strict=True):
        port.get_tensor().set_names({name})
    return model


def convert(module: ImagesToMasks, batch: int, input_size: tuple[int, int], scaled: bool = False) -> Any:
    """Return an ``openvino.Model`` of uint8 images ``rgb``, ``thermal`` to uint8 masks ``label``, ``confidence``.

    The module's norms are spelled out by it (``folded_norms``). With ``scaled`` there is a third input ``scale``, (N,) float32,
    as of ``ImagesToMasks``.
    """
    spell_out(module)
    scale = (torch.ones(batch),) if scaled else ()
    return _named(_convert(module, (*_images(batch, input_size), *scale)))


def quantise(module: ImagesToMasks, batch: int, input_size: tuple[int, int], batches: Iterable[list[ByteArray]]) -> Any:
    """Return the part before the masks with convolutions in 8 bits, after training (NNCF), for ``attach_masks``.

    Args:
        module: In fp32; its norms are spelled out by it (``folded_norms``).
        batch: Number of pairs.
        input_size: (h, w).
        batches: [(N, h, w, 3), (N, h, w)] uint8 each, like those to come; some dozens.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    spell_out(module)
    network = _convert(_Logits(module), _images(batch, input_size))
    samples = list(batches)
    return nncf.quantize(
        network,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(types=list(IN_FLOATS), validate=False),
    )


def attach_masks(network: Any, output_size: tuple[int, int], scaled: bool = False) -> Any:
    """Return a model of images to masks, as ``convert`` does, of one of images to logits; masks are decided in floats.

    Args:
        network: An ``openvino.Model`` as of ``quantise``; it becomes part of the result.
        output_size: (H, W) of the masks.
        scaled: As of ``convert``.
    """
    openvino = import_openvino()

    batch, classes, height, width = network.outputs[0].shape
    logits = torch.zeros((batch, classes, height, width))
    examples = (logits, torch.ones(batch)) if scaled else (logits,)
    masks = _convert(_Masks(Upsample((height, width), output_size)), examples)
    source = network.get_results()[0].input_value(0)
    replaced, *scale = masks.get_parameters()
    for target in replaced.output(0).get_target_inputs():
        target.replace_source_output(source)
    return _named(openvino.Model(masks.get_results(), [*network.get_parameters(), *scale], "rgbt_seg_ros"))
