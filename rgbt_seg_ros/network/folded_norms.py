"""The two norms of ConvNeXt V2 in the folded network, each in two ways that give the same numbers.

torch's kernels are fastest in one call over pixels whose channels lie side by side. OpenVINO turns that call into
transpositions and copies around three passes; written as means over the channels it needs neither (a quarter less time on the
demo model in 8 bits). ``spell_out`` chooses the second way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn


class PixelNorm(nn.Module):
    """Bring every pixel of (N, C, H, W) to mean 0 and variance 1 over its channels: a layer norm, its affine part optional."""

    weight: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, norm: Any, *, affine: bool = False) -> None:
        """Take ε of a layer norm and, if ``affine``, copies of its weight and bias."""
        super().__init__()
        self.eps = float(norm.eps)
        self.spelled_out = False
        for name in ("weight", "bias"):
            values = getattr(norm, name).detach().float().clone() if affine else None
            self.register_parameter(name, None if values is None else nn.Parameter(values, requires_grad=False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise (N, C, H, W)."""
        if not self.spelled_out:
            pixels = features.permute(0, 2, 3, 1)
            return fn.layer_norm(pixels, pixels.shape[-1:], self.weight, self.bias, self.eps).permute(0, 3, 1, 2)
        # Not E[x²] − E[x]², which is a pass shorter: it loses every digit where the mean is large.
        centred = features - features.mean(1, keepdim=True)
        normalised = centred * torch.rsqrt((centred * centred).mean(1, keepdim=True) + self.eps)
        if self.weight is None or self.bias is None:
            return normalised
        return normalised * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class ResponseNorm(nn.Module):
    """Global response normalisation (Woo et al. 2023) without its bias and with its skip: x · (1 + γ · ‖x‖/mean_c‖x‖).

    ‖·‖ is the Euclidean norm of a channel over the image.
    """

    def __init__(self, norm: Any) -> None:
        """Take γ and ε of a timm layer."""
        super().__init__()
        self.eps = float(norm.eps)
        self.spelled_out = False
        self.weight = nn.Parameter(norm.weight.detach().float().clone().view(1, -1, 1, 1), requires_grad=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale (N, C, H, W)."""
        # The sum runs over thousands of squares: in 16 bits it would stop growing.
        wide = features.float()
        if self.spelled_out:
            norm = torch.linalg.vector_norm(wide, 2, (2, 3), keepdim=True)
        else:
            norm = wide.square().sum((2, 3), keepdim=True).sqrt()
        scale = 1.0 + self.weight.float() * (norm / (norm.mean(1, keepdim=True) + self.eps))
        scaled: torch.Tensor = features * scale.to(features.dtype)
        return scaled


def spell_out(module: nn.Module) -> None:
    """Write every norm of a folded network as graph compilers handle it best; torch's own kernels become slower by it."""
    for part in module.modules():
        if isinstance(part, (PixelNorm, ResponseNorm)):
            part.spelled_out = True
