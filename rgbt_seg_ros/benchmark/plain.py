"""Plain eager: the network as torch runs it without any work on its speed. Engines are compared with it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.benchmark.agreement import Masks
from rgbt_seg_ros.network import VARIANTS, FusionNetwork, ModelSpec, Normalisation
from rgbt_seg_ros.network.blocks import conv_norm
from rgbt_seg_ros.network.decoder import resize
from rgbt_seg_ros.pipeline.backends.base import Images


class PlainEager:
    """The network in float32, eagerly, with its auxiliary head, on contiguous tensors; then softmax, maximum, 8 bits.

    The auxiliary head is of training alone, but the published code computes it with every image. A model file without one gets
    one with random weights, which cost the same.
    """

    def __init__(self, network: FusionNetwork, spec: ModelSpec, device: str) -> None:
        """Take a network of its own; ``device`` is of torch."""
        self._device = torch.device(device)
        head = network.decoder.auxiliary_head
        if head is None:
            width = VARIANTS[spec.variant][0]
            head = nn.Sequential(*conv_norm(width, width // 2, 3, nn.ReLU), nn.Conv2d(width // 2, spec.num_classes, 1))
        self._network = network.eval().to(self._device)
        self._head = head.eval().to(self._device)
        self._size: tuple[int, int] = spec.input_size
        self._rgb = self._affine(spec.rgb)
        self._thermal = self._affine(spec.thermal)
        self._temperature = spec.temperature
        self.auxiliary: torch.Tensor | None = None
        """(1, K, H, W) logits of the auxiliary head, of the last image."""
        self.forward_seconds: list[float] = []
        """Time (s) of the network alone in every call so far: from normalised tensors to the logits of both heads."""
        # The second merge gives N₃, which the auxiliary head reads (network.decoder).
        network.decoder.merge[1].register_forward_hook(self._keep_auxiliary)

    def _keep_auxiliary(self, module: nn.Module, arguments: Any, level: torch.Tensor) -> None:
        self.auxiliary = resize(self._head(level), self._size)

    def _affine(self, norm: Normalisation) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(values, device=self._device).view(1, -1, 1, 1) for values in (norm.mean, norm.std))
        return mean, std

    def _load(self, image: ByteArray, affine: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)))
        return (pixels.to(self._device)[None].float() / 255.0 - affine[0]) / affine[1]

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @torch.inference_mode()
    def __call__(self, pair: Images) -> Masks:
        """Return (H, W) uint8 class ids, and (H, W) uint8 round(255·p) of the winner."""
        rgb, thermal = self._load(pair[0], self._rgb), self._load(pair[1], self._thermal)
        self._size = (rgb.shape[2], rgb.shape[3])
        start = self._now()
        logits = self._network(rgb, thermal)
        self.forward_seconds.append(self._now() - start)
        best, label = torch.softmax(logits / self._temperature, 1).max(1)
        return label[0].to(torch.uint8).cpu().numpy(), (best[0] * 255.0).round().to(torch.uint8).cpu().numpy()
