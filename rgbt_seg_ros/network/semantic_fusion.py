"""Stages 3 and 4: cross-modal semantic fusion (arXiv 2605.26273)."""

from __future__ import annotations

import torch
from torch import nn

from rgbt_seg_ros.network.blocks import channel_mean_max, conv_norm, separable, squeeze_gate

REDUCTION = 16


class SemanticFusion(nn.Module):
    """Fuse an RGB feature R and a thermal feature T, C channels each, by what they mean (r = 16).

    1. T ← GELU(BN(Conv1×1(T)))
    2. [g_R, g_T] = σ(Conv1×1(ReLU(Conv1×1(GAP([R, T]))))), 2C → C/r → 2C; F = g_R · R + g_T · T
    3. M = BN(Conv1×1([S₃(F), S₅(F)])), S_k a separable k×k branch
    4. M ← M · σ(Conv1×1(ReLU(Conv1×1(GAP(M))))), C → C/r → C
    5. M ← M · σ(Conv7×7([max_c(M), mean_c(M)]))
    6. F + s · Refine(M), Refine a separable 3×3 branch, s learnt, 0.1 at first
    """

    def __init__(self, channels: int) -> None:
        """Build the stage for C = ``channels``."""
        super().__init__()
        hidden = channels // REDUCTION
        self.thermal_projection = conv_norm(channels, channels, 1, nn.GELU)
        self.cross_gate = squeeze_gate(2 * channels, hidden, 2 * channels)
        self.branch_3x3 = separable(channels, 3)
        self.branch_5x5 = separable(channels, 5)
        self.merge = conv_norm(2 * channels, channels, 1, None)
        self.channel_attention = squeeze_gate(channels, hidden, channels)
        self.spatial_attention = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.refine = separable(channels, 3)
        self.residual_scale = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Fuse (N, C, H, W) and (N, C, H, W) to (N, C, H, W)."""
        thermal = self.thermal_projection(thermal)
        rgb_gate, thermal_gate = self.cross_gate(torch.cat((rgb, thermal), dim=1)).chunk(2, dim=1)
        fused = rgb_gate * rgb + thermal_gate * thermal
        context = self.merge(torch.cat((self.branch_3x3(fused), self.branch_5x5(fused)), dim=1))
        context = context * self.channel_attention(context)
        mean, maximum = channel_mean_max(context)
        context = context * torch.sigmoid(self.spatial_attention(torch.cat((maximum, mean), dim=1)))
        refined: torch.Tensor = self.refine(context)
        output: torch.Tensor = fused + self.residual_scale * refined
        return output
