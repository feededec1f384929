"""The two ConvNeXt V2 encoders (paper, section on the architecture; Woo et al. 2023 for ConvNeXt V2)."""

from __future__ import annotations

from torch import nn

from rgbt_seg_ros.network.torchvision_shim import import_timm

VARIANTS: dict[str, tuple[int, int, int, int]] = {
    "atto": (40, 80, 160, 320),
    "femto": (48, 96, 192, 384),
    "pico": (64, 128, 256, 512),
    "nano": (80, 160, 320, 640),
    "tiny": (96, 192, 384, 768),
    "base": (128, 256, 512, 1024),
    "large": (192, 384, 768, 1536),
}
"""Channels of the feature maps at strides 4, 8, 16 and 32, per variant."""


def encoder(variant: str, in_channels: int) -> nn.Module:
    """Return an untrained ConvNeXt V2 encoder.

    Args:
        variant: A key of ``VARIANTS``.
        in_channels: 3 for RGB, 1 for thermal.

    Returns:
        A module that turns (N, in_channels, H, W) into four maps (N, C_i, H/2^(i+1), W/2^(i+1)), i = 1..4.
    """
    module: nn.Module = import_timm().create_model(
        f"convnextv2_{variant}", features_only=True, pretrained=False, in_chans=in_channels
    )
    return module
