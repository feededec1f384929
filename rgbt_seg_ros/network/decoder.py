"""The PANet-style decoder with deep supervision (arXiv 2605.26273; Liu et al. 2018 for PANet)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rgbt_seg_ros.network.blocks import conv_norm, squeeze_gate


def resize(features: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resample (N, C, h, w) bilinearly to (N, C, *size), align_corners false; the same tensor if equal."""
    if features.shape[2:] == torch.Size(size):
        return features
    return nn.functional.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class TrainingOutput:
    """What the network returns in training mode; every tensor (N, K, H, W), logits.

    Attributes:
        logits: The main head.
        auxiliary: The auxiliary head on N₃; None without deep supervision.
        deep: The deep heads on N₁..N₄, shallow to deep; empty without deep supervision.
    """

    logits: torch.Tensor
    auxiliary: torch.Tensor | None
    deep: tuple[torch.Tensor, ...]


def merge_levels(parts: Any, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return N₁..N₄ of four fused features (N, C_i, h_i, w_i): steps 1 to 3 of ``PanetDecoder``.

    ``parts`` holds the layers: the decoder, or the same folded for inference.
    """
    lateral = [layer(feature) for layer, feature in zip(parts.lateral, features, strict=True)]
    pyramid = [lateral[-1]]
    for layer, feature in zip(reversed(parts.top_down), reversed(lateral[:-1]), strict=True):
        pyramid.insert(0, layer(feature + resize(pyramid[0], feature.shape[2:])))
    levels = [pyramid[0]]
    for down, merge, feature in zip(parts.bottom_up, parts.merge, pyramid[1:], strict=True):
        levels.append(merge(torch.cat((feature, resize(down(levels[-1]), feature.shape[2:])), dim=1)))
    return levels


def aggregate_levels(parts: Any, levels: Sequence[torch.Tensor], deepest: torch.Tensor) -> torch.Tensor:
    """Return the aggregated features (N, D, h_1, w_1) of N₁..N₄ and F₄: steps 4 and 5 of ``PanetDecoder``."""
    weight = 0.5 + 0.5 * parts.context(deepest)
    size = levels[0].shape[2:]
    aggregated: torch.Tensor = parts.aggregate(torch.cat([resize(level * weight, size) for level in levels], dim=1))
    return aggregated


class PanetDecoder(nn.Module):
    """Turn four fused features F₁..F₄ into logits; D = C₁ channels everywhere.

    1. lateral_i = ReLU(BN(Conv1×1(F_i)))
    2. P₄ = lateral₄, P_i = ReLU(BN(Conv3×3(lateral_i + up(P_{i+1}))))
    3. N₁ = P₁, N_i = ReLU(BN(Conv3×3([P_i, ReLU(BN(Conv3×3↓2(N_{i−1})))])))
    4. c = σ(Conv1×1(ReLU(Conv1×1(GAP(F₄))))), N'_i = N_i · (0.5 + 0.5 · c)
    5. all N' at stride 4, concatenated, Conv3×3 4D → 2D, Conv3×3 2D → D, each with BN and ReLU
    6. main head: Conv3×3, BN, ReLU, Dropout2d 0.1, Conv1×1 → K
    7. in training mode only: the auxiliary head on N₃ and a Conv1×1 on each N_i, all before the context
    """

    def __init__(self, channels: Sequence[int], num_classes: int, deep_supervision: bool = True) -> None:
        """Build the decoder.

        Args:
            channels: C₁..C₄ of the fused features.
            num_classes: K.
            deep_supervision: Whether the heads that only training uses exist.
        """
        super().__init__()
        width = channels[0]
        levels = len(channels)
        self.lateral = nn.ModuleList(conv_norm(c, width, 1, nn.ReLU) for c in channels)
        self.top_down = nn.ModuleList(conv_norm(width, width, 3, nn.ReLU) for _ in range(levels - 1))
        self.bottom_up = nn.ModuleList(conv_norm(width, width, 3, nn.ReLU, stride=2) for _ in range(levels - 1))
        self.merge = nn.ModuleList(conv_norm(2 * width, width, 3, nn.ReLU) for _ in range(levels - 1))
        self.context = squeeze_gate(channels[-1], width, width, bias=True)
        self.aggregate = nn.Sequential(
            *conv_norm(levels * width, 2 * width, 3, nn.ReLU), *conv_norm(2 * width, width, 3, nn.ReLU)
        )
        self.head = nn.Sequential(
            *conv_norm(width, width, 3, nn.ReLU), nn.Dropout2d(0.1), nn.Conv2d(width, num_classes, 1)
        )
        self.auxiliary_head: nn.Module | None = None
        self.deep_heads: nn.ModuleList | None = None
        if deep_supervision:
            self.auxiliary_head = nn.Sequential(
                *conv_norm(width, width // 2, 3, nn.ReLU), nn.Conv2d(width // 2, num_classes, 1)
            )
            self.deep_heads = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for _ in channels)

    def forward(self, features: Sequence[torch.Tensor], output_size: Sequence[int]) -> torch.Tensor | TrainingOutput:
        """Decode four (N, C_i, h_i, w_i) to logits (N, K, *output_size); ``TrainingOutput`` in training mode."""
        levels = merge_levels(self, features)
        aggregated = aggregate_levels(self, levels, features[-1])
        # Planes of one class each: what follows goes over the classes, and is twice as fast as on channels-last pixels.
        logits = resize(self.head(aggregated).contiguous(), output_size)
        if not self.training:
            return logits
        if self.auxiliary_head is None or self.deep_heads is None:
            return TrainingOutput(logits, None, ())
        return TrainingOutput(
            logits,
            resize(self.auxiliary_head(levels[2]), output_size),
            tuple(resize(head(level), output_size) for head, level in zip(self.deep_heads, levels, strict=True)),
        )
