"""Which layers become one, and with which weights: calculated in float64 and rounded to float32 once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def convolution_like(like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """Return a convolution of the geometry of ``like`` with other weights; they are rounded to float32 once, here."""
    made = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        like.kernel_size,  # type: ignore[arg-type]
        like.stride,  # type: ignore[arg-type]
        like.padding,  # type: ignore[arg-type]
        groups=like.groups,
        device="meta",
    )
    made.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    made.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    return made


def bias_of(conv: nn.Conv2d) -> torch.Tensor:
    """Return the bias in float64, zeros where the convolution has no bias."""
    return torch.zeros(conv.out_channels, dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()


def fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return one convolution equal to ``norm(conv(x))`` in eval mode."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.detach().double() / torch.sqrt(variance.double() + norm.eps)
    weight = conv.weight.detach().double() * scale.view(-1, 1, 1, 1)
    return convolution_like(conv, weight, (bias_of(conv) - mean.double()) * scale + norm.bias.detach().double())


def fold_layer_norm(norm: Any, conv: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution without padding that takes normalised pixels before the affine part of ``norm``."""
    weight = conv.weight.detach().double()
    shift = (weight * norm.bias.detach().double().view(1, -1, 1, 1)).sum((1, 2, 3))
    return convolution_like(conv, weight * norm.weight.detach().double().view(1, -1, 1, 1), bias_of(conv) + shift)


def fold_sequence(layers: nn.Sequential) -> nn.Sequential:
    """Fold every convolution followed by a batch norm; dropout goes away."""
    kept: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            previous = kept.pop()
            assert isinstance(previous, nn.Conv2d)
            kept.append(fold_batch_norm(previous, layer))
        elif not isinstance(layer, nn.Dropout2d):
            kept.append(copy.deepcopy(layer))
    return nn.Sequential(*kept)


def fold_stem(conv: nn.Conv2d, mean: Sequence[float], std: Sequence[float], offset: Sequence[int]) -> nn.Conv2d:
    """Fold an image's normalisation into the stem, which has no padding, so that no border differs.

    Args:
        conv: The stem, which takes (x/255 − mean)/std.
        mean: Per channel, of images scaled to 0..1.
        std: The same.
        offset: Whole grey levels 0..255 a channel: the result takes x − offset. Near 255·mean they keep what is multiplied
            small, so that 16-bit weights lose nothing to a large sum that cancels; a difference of levels is exact in them.
    """
    scale = 1.0 / (255.0 * torch.tensor(list(std), dtype=torch.float64))
    shift = (
        torch.tensor(list(offset), dtype=torch.float64) - 255.0 * torch.tensor(list(mean), dtype=torch.float64)
    ) * scale
    weight = conv.weight.detach().double()
    return convolution_like(
        conv, weight * scale.view(1, -1, 1, 1), bias_of(conv) + (weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    )
