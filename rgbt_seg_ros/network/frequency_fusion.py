"""Stages 1 and 2: frequency-based fusion (arXiv 2605.26273)."""

from __future__ import annotations

import torch
from torch import nn

from rgbt_seg_ros.network.blocks import channel_mean_max, conv_norm, squeeze_gate


def gaussian_kernel(size: int = 7, sigma: float = 2.0) -> torch.Tensor:
    """Return the (size, size) float32 Gaussian, normalised to sum 1."""
    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    profile = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = torch.outer(profile, profile)
    return kernel / kernel.sum()


class LowPass(nn.Module):
    """L = G ∗ T: depthwise Gaussian, 7×7, σ = 2, zero padding 3."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        """Keep the kernel once a channel, as official checkpoints store it."""
        super().__init__()
        self.register_buffer("kernel", gaussian_kernel().expand(channels, 1, 7, 7).clone())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Blur (N, C, H, W)."""
        return nn.functional.conv2d(features, self.kernel, padding=3, groups=features.shape[1])


class BandAttention(nn.Module):
    """m = σ(Conv_k([mean_c(X), max_c(X)])); returns m · X."""

    def __init__(self, kernel: int) -> None:
        """Use a k×k convolution without bias: 7 for the low band, 3 for the high band."""
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, band: torch.Tensor) -> torch.Tensor:
        """Weight every pixel of (N, C, H, W)."""
        mean, maximum = channel_mean_max(band)
        return band * torch.sigmoid(self.conv(torch.cat((mean, maximum), dim=1)))


class FrequencyFusion(nn.Module):
    """Fuse an RGB feature R with the low and high band of a thermal feature T, C channels each.

    1. T ← GELU(BN(Conv1×1(T)))
    2. L = G ∗ T, H = T − L
    3. L' = m_L · L, H' = m_H · H
    4. α = σ(Conv1×1(GAP(|[L', H']|))), T' = α · L' + (1 − α) · H'
    5. g = σ(Conv1×1(ReLU(Conv1×1(GAP(R))))) (a scalar an image), Δ = BN(Conv1×1(ReLU(BN(Conv3×3([g · R, T'])))));
       the result is R + Δ. The skip is never gated.
    """

    def __init__(self, channels: int) -> None:
        """Build the stage for C = ``channels``."""
        super().__init__()
        self.thermal_projection = conv_norm(channels, channels, 1, nn.GELU)
        self.low_pass = LowPass(channels)
        self.low_attention = BandAttention(7)
        self.high_attention = BandAttention(3)
        self.band_gate = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.rgb_gate = squeeze_gate(channels, channels // 2, 1)
        self.residual = nn.Sequential(
            *conv_norm(2 * channels, channels, 3, nn.ReLU), *conv_norm(channels, channels, 1, None)
        )

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Fuse (N, C, H, W) and (N, C, H, W) to (N, C, H, W)."""
        thermal = self.thermal_projection(thermal)
        low = self.low_pass(thermal)
        high = self.high_attention(thermal - low)
        low = self.low_attention(low)
        pooled = torch.cat((low, high), dim=1).abs().mean(dim=(2, 3), keepdim=True)
        alpha = torch.sigmoid(self.band_gate(pooled))
        bands = alpha * low + (1 - alpha) * high
        delta: torch.Tensor = self.residual(torch.cat((self.rgb_gate(rgb) * rgb, bands), dim=1))
        return rgb + delta
