"""Logits of a quarter of the size to two uint8 masks, in the form that compilers make one pass over memory of."""

from __future__ import annotations

import torch
from torch import nn


def linear_taps(source: int, target: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return, for bilinear resampling of ``source`` to ``target`` samples (align_corners false), what to mix.

    Returns:
        (target,) int64 index of the lower sample, the same of the upper, and float32 weight 0..1 of the upper.
    """
    # In float64: float32 puts a sample in a thousand on the other side of its neighbour.
    positions = ((torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5).clamp(0.0, source - 1.0)
    lower = positions.floor()
    return lower.long(), (lower.long() + 1).clamp(max=source - 1), (positions - lower).float()


class Upsample(nn.Module):
    """Resample (N, K, h, w) bilinearly to (N, K, H, W), as ``interpolate`` does with align_corners false.

    Each axis in turn lies outermost, so that whole rows are mixed. A compiler then reads them in vectors; a column picked
    at a time, it reads number by number.
    """

    lower_x: torch.Tensor
    upper_x: torch.Tensor
    weight_x: torch.Tensor
    lower_y: torch.Tensor
    upper_y: torch.Tensor
    weight_y: torch.Tensor

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """Keep what to mix for (h, w) and (H, W)."""
        super().__init__()
        for axis, taps in (("y", linear_taps(source[0], target[0])), ("x", linear_taps(source[1], target[1]))):
            for name, values in zip(("lower", "upper", "weight"), taps, strict=True):
                # Weights go over (N, W, K, h) first and over (N, K, H, W) then.
                shape = ((1, 1, -1, 1) if axis == "y" else (1, -1, 1, 1)) if name == "weight" else (-1,)
                self.register_buffer(f"{name}_{axis}", values.view(shape))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Resample."""
        columns = logits.permute(0, 3, 1, 2).contiguous()
        lower, upper = columns.index_select(1, self.lower_x), columns.index_select(1, self.upper_x)
        wide = (lower + (upper - lower) * self.weight_x).permute(0, 2, 3, 1).contiguous()
        lower, upper = wide.index_select(2, self.lower_y), wide.index_select(2, self.upper_y)
        return lower + (upper - lower) * self.weight_y


def decide_planes(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels and confidences of logits, class plane by class plane.

    p of the winner is 1 / Σ exp(l − max l): no softmax of every class is stored.

    Args:
        logits: (N, K, H, W) float32, already divided by the temperature, K <= 255.

    Returns:
        (N, H, W) uint8 class ids (the lowest of equals) and (N, H, W) uint8 round(255·p) of the winner. A pixel of NaNs gets
        label 0 with confidence 0.
    """
    planes = logits.unbind(1)
    best, label = planes[0], torch.zeros_like(planes[0])
    for index, plane in enumerate(planes[1:], start=1):
        better = plane > best
        best = torch.where(better, plane, best)
        label = torch.where(better, float(index), label)
    total = torch.exp(planes[0] - best)
    for plane in planes[1:]:
        total = total + torch.exp(plane - best)
    confidence = (255.0 / total).round()
    # NaN equals nothing, itself neither.
    known = confidence == confidence
    zero = torch.zeros_like(label)
    return torch.where(known, label, zero).to(torch.uint8), torch.where(known, confidence, zero).to(torch.uint8)
