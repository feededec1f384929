"""Pieces that several stages share."""

from __future__ import annotations

import torch
from torch import nn


def conv_norm(
    in_channels: int, out_channels: int, kernel: int, activation: type[nn.Module] | None, stride: int = 1
) -> nn.Sequential:
    """Convolution without bias, batch norm, and an activation where one is named; keeps the size at stride 1."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def separable(channels: int, kernel: int) -> nn.Sequential:
    """Depthwise k×k → BN → GELU → Conv 1×1 → BN, no bias."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.GELU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


def squeeze_gate(in_channels: int, hidden: int, out_channels: int, bias: bool = False) -> nn.Sequential:
    """σ(Conv 1×1(ReLU(Conv 1×1(GlobalAvgPool(x))))): (N, in, H, W) → (N, out, 1, 1), values 0..1."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(in_channels, hidden, 1, bias=bias),
        nn.ReLU(),
        nn.Conv2d(hidden, out_channels, 1, bias=bias),
        nn.Sigmoid(),
    )


def channel_mean_max(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum over the channels of (N, C, H, W), each (N, 1, H, W)."""
    return features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)
