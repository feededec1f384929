"""The network as inference needs it: the same function with fewer passes over memory.

``fold`` rewrites, exactly up to the rounding of float32:

- batch norms into the convolution before them; the affine part of a layer norm into the convolution after it;
- global response normalisation (Woo et al. 2023) into one sum of squares and one scale per channel, its bias into the
  convolution after it (``folded_norms``);
- the Gaussian of the frequency fusion and both attentions into weights per pixel: L' = m_L·L and H' = m_H·(T − L) are never
  stored, and because m > 0, GAP(|L'|) = GAP(m_L·|L|);
- the skip s·Refine(M) by scaling the last convolution; the 0.5 + 0.5·c of the context stays;
- the heads that only training uses, and dropout, are removed.

The network that is given stays unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn

from rgbt_seg_ros.network.decoder import PanetDecoder, aggregate_levels, merge_levels
from rgbt_seg_ros.network.folded_norms import PixelNorm, ResponseNorm
from rgbt_seg_ros.network.folding_rules import bias_of, convolution_like, fold_layer_norm, fold_sequence, fold_stem
from rgbt_seg_ros.network.frequency_fusion import FrequencyFusion
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.semantic_fusion import SemanticFusion
from rgbt_seg_ros.network.spec import Normalisation


class FoldedBlock(nn.Module):
    """A ConvNeXt V2 block: x + W₂(s · GELU(W₁ LN(DW(x)))), s = 1 + γ·‖·‖/mean‖·‖ per channel."""

    def __init__(self, block: Any) -> None:
        """Fold a timm block."""
        super().__init__()
        mlp = block.mlp
        self.depthwise = copy.deepcopy(block.conv_dw)
        self.norm = PixelNorm(block.norm)
        self.expand = fold_layer_norm(block.norm, mlp.fc1)
        weight, bias = mlp.fc2.weight.detach().double(), bias_of(mlp.fc2)
        bias = bias + weight.flatten(1) @ mlp.grn.bias.detach().double()
        if block.gamma is not None:
            gamma = block.gamma.detach().double()
            weight, bias = weight * gamma.view(-1, 1, 1, 1), bias * gamma
        self.reduce = convolution_like(mlp.fc2, weight, bias)
        self.response = ResponseNorm(mlp.grn)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Run the block on (N, C, H, W)."""
        hidden = fn.gelu(self.expand(self.norm(self.depthwise(features))))
        reduced: torch.Tensor = self.reduce(self.response(hidden))
        return reduced + features


class FoldedEncoder(nn.Module):
    """A ConvNeXt V2 encoder whose first convolution takes pixels of 0..255 less an offset."""

    def __init__(self, encoder: Any, stem: nn.Conv2d) -> None:
        """Fold a timm encoder behind a stem that already holds its normalisation."""
        super().__init__()
        self.stem = stem
        # Its affine part stays: a skip and a depthwise convolution that pads with zeros take what it gives.
        self.stem_norm = PixelNorm(encoder.stem_1, affine=True)
        self.downsample = nn.ModuleList()
        self.stages = nn.ModuleList()
        for index in range(4):
            stage = getattr(encoder, f"stages_{index}")
            if index:
                norm, conv = stage.downsample
                self.downsample.append(nn.Sequential(PixelNorm(norm), fold_layer_norm(norm, conv)))
            self.stages.append(nn.Sequential(*(FoldedBlock(block) for block in stage.blocks)))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Turn (N, channels, H, W) into four maps at strides 4, 8, 16, 32."""
        features = self.stem_norm(self.stem(pixels))
        maps = []
        for index, stage in enumerate(self.stages):
            if index:
                features = self.downsample[index - 1](features)
            features = stage(features)
            maps.append(features)
        return maps


class FoldedFrequencyFusion(nn.Module):
    """``FrequencyFusion`` without storing its bands."""

    def __init__(self, stage: FrequencyFusion) -> None:
        """Fold a stage."""
        super().__init__()
        self.thermal_projection = fold_sequence(stage.thermal_projection)
        self.low_pass = copy.deepcopy(stage.low_pass)
        self.low_attention = copy.deepcopy(stage.low_attention.conv)
        self.high_attention = copy.deepcopy(stage.high_attention.conv)
        self.band_gate = copy.deepcopy(stage.band_gate)
        self.rgb_gate = copy.deepcopy(stage.rgb_gate)
        self.residual = fold_sequence(stage.residual)

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Fuse (N, C, H, W) and (N, C, H, W) to (N, C, H, W)."""
        thermal = self.thermal_projection(thermal)
        low = self.low_pass(thermal)
        high = thermal - low
        low_weight = _attention(self.low_attention, low)
        high_weight = _attention(self.high_attention, high)
        pooled = torch.cat(
            (
                (low.abs() * low_weight).mean((2, 3), keepdim=True),
                (high.abs() * high_weight).mean((2, 3), keepdim=True),
            ),
            1,
        )
        alpha = torch.sigmoid(self.band_gate(pooled))
        bands = alpha * (low_weight * low) + (1 - alpha) * (high_weight * high)
        residual: torch.Tensor = self.residual(torch.cat((self.rgb_gate(rgb) * rgb, bands), 1))
        return rgb + residual


def _attention(conv: nn.Conv2d, band: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(conv(torch.cat((band.mean(1, keepdim=True), band.amax(1, keepdim=True)), 1)))


class FoldedSemanticFusion(nn.Module):
    """``SemanticFusion`` with its norms and its residual scale folded."""

    def __init__(self, stage: SemanticFusion) -> None:
        """Fold a stage."""
        super().__init__()
        self.thermal_projection = fold_sequence(stage.thermal_projection)
        self.cross_gate = copy.deepcopy(stage.cross_gate)
        self.branch_3x3 = fold_sequence(stage.branch_3x3)
        self.branch_5x5 = fold_sequence(stage.branch_5x5)
        self.merge = fold_sequence(stage.merge)
        self.channel_attention = copy.deepcopy(stage.channel_attention)
        self.spatial_attention = copy.deepcopy(stage.spatial_attention)
        self.refine = fold_sequence(stage.refine)
        last, scale = self.refine[-1], stage.residual_scale.detach().double()
        assert isinstance(last, nn.Conv2d)
        self.refine[-1] = convolution_like(last, last.weight.double() * scale, bias_of(last) * scale)

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Fuse (N, C, H, W) and (N, C, H, W) to (N, C, H, W)."""
        thermal = self.thermal_projection(thermal)
        rgb_gate, thermal_gate = self.cross_gate(torch.cat((rgb, thermal), 1)).chunk(2, 1)
        fused = rgb_gate * rgb + thermal_gate * thermal
        context = self.merge(torch.cat((self.branch_3x3(fused), self.branch_5x5(fused)), 1))
        context = context * self.channel_attention(context)
        stacked = torch.cat((context.amax(1, keepdim=True), context.mean(1, keepdim=True)), 1)
        context = context * torch.sigmoid(self.spatial_attention(stacked))
        output: torch.Tensor = fused + self.refine(context)
        return output


class FoldedDecoder(nn.Module):
    """``PanetDecoder`` for inference: its logits at stride 4."""

    def __init__(self, decoder: PanetDecoder) -> None:
        """Fold a decoder."""
        super().__init__()
        for name in ("lateral", "top_down", "bottom_up", "merge"):
            parts: Any = getattr(decoder, name)
            setattr(self, name, nn.ModuleList(fold_sequence(layers) for layers in parts))
        self.context = copy.deepcopy(decoder.context)
        self.aggregate = fold_sequence(decoder.aggregate)
        self.head = fold_sequence(decoder.head)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode four (N, C_i, h_i, w_i) to logits (N, K, h_1, w_1)."""
        logits: torch.Tensor = self.head(aggregate_levels(self, merge_levels(self, features), features[-1]))
        return logits


class FoldedNetwork(nn.Module):
    """The network of ``fold``."""

    def __init__(self, network: FusionNetwork, rgb_stem: nn.Conv2d, thermal_stem: nn.Conv2d) -> None:
        """Fold a network in eval mode behind two stems."""
        super().__init__()
        self.rgb_encoder = FoldedEncoder(network.rgb_encoder, rgb_stem)
        self.thermal_encoder = FoldedEncoder(network.thermal_encoder, thermal_stem)
        stages: Any = network.fusion
        self.fusion = nn.ModuleList(
            FoldedFrequencyFusion(stage) if isinstance(stage, FrequencyFusion) else FoldedSemanticFusion(stage)
            for stage in stages
        )
        self.decoder = FoldedDecoder(network.decoder)

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Turn (N, 3, H, W) and (N, 1, H, W), as the stems take them, into logits (N, K, ⌊H/4⌋, ⌊W/4⌋)."""
        maps = zip(self.fusion, self.rgb_encoder(rgb), self.thermal_encoder(thermal), strict=True)
        logits: torch.Tensor = self.decoder([stage(r, t) for stage, r, t in maps])
        return logits


@torch.no_grad()
def fold(network: FusionNetwork, rgb: Normalisation, thermal: Normalisation, temperature: float = 1.0) -> FoldedNetwork:
    """Return the network for inference; it shares nothing with the one it is made of.

    Args:
        network: In eval mode, float32.
        rgb: Normalisation of the RGB image; the result takes grey levels less ``rgb.neutral``.
        thermal: The same of the thermal image.
        temperature: Positive; the logits come divided by it.

    Returns:
        A module in eval mode: (N, 3, H, W) and (N, 1, H, W) to logits (N, K, ⌊H/4⌋, ⌊W/4⌋).
    """
    encoders: tuple[Any, Any] = (network.rgb_encoder, network.thermal_encoder)
    rgb_stem, thermal_stem = (
        fold_stem(encoder.stem_0, norm.mean, norm.std, norm.neutral)
        for encoder, norm in zip(encoders, (rgb, thermal), strict=True)
    )
    folded = FoldedNetwork(network, rgb_stem, thermal_stem)
    last = folded.decoder.head[-1]
    assert isinstance(last, nn.Conv2d)
    folded.decoder.head[-1] = convolution_like(last, last.weight.double() / temperature, bias_of(last) / temperature)
    return folded.eval().requires_grad_(False)
