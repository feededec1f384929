"""The network in torch, on the CPU or a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network import Normalisation
from rgbt_seg_ros.pipeline.backends.base import Engine, EngineRequest, Images, Inference
from rgbt_seg_ros.pipeline.backends.devices import DTYPES, select_device, select_precision


def decide(logits: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return label and confidence masks of logits.

    Args:
        logits: (1, K, H, W), any float dtype, K <= 255.
        temperature: Positive; the logits are divided by it before the softmax (temperature scaling, Guo et al. 2017).

    Returns:
        (H, W) uint8 class ids (the lowest of equals) and (H, W) uint8 round(255·p) of the winner.
    """
    scores = logits[0].float()
    if temperature != 1.0:
        scores = scores / temperature
    classes = scores.shape[0]
    probability = torch.softmax(scores, 0)
    best = probability.amax(0)
    # torch's max with indices walks the class axis pixel by pixel; comparing with the maximum and taking the largest
    # marker is several vectorised passes instead. Markers count down, so that the lowest id wins a tie.
    markers = torch.arange(classes, 0, -1, dtype=torch.uint8, device=scores.device).view(-1, 1, 1)
    winner = (probability == best).view(torch.uint8).mul_(markers).amax(0)
    # A pixel of NaNs equals nothing: its marker is 0. It is labelled 0 with no confidence rather than class "K".
    label = (classes - winner) % classes
    return label, torch.nan_to_num(best, nan=0.0).mul_(255.0).round_().to(torch.uint8)


class TorchEngine(Engine):
    """The network as it was trained, in eager torch: what other engines are compared with."""

    backend = "torch"

    def __init__(self, request: EngineRequest) -> None:
        """Move the network of the request to its device, cast where the precision asks for it; its ``backend`` does not count.

        Raises:
            SettingError: Of ``device`` or ``precision``: torch does not support it here.
        """
        self._device = select_device(request.device)
        self.device, self.precision = str(self._device), select_precision(request.precision, self._device)
        self.name = f"torch {self.device} {self.precision}"
        self._dtype = DTYPES[self.precision]
        self._temperature, spec = request.softmax_temperature, request.spec
        network = request.network.eval().to(device=self._device, dtype=self._dtype)
        # torch's stubs know memory_format only together with a tensor.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._rgb = self._affine(spec.rgb)
        self._thermal = self._affine(spec.thermal)

    def _affine(self, norm: Normalisation) -> tuple[torch.Tensor, torch.Tensor]:
        mean = torch.tensor(norm.mean, device=self._device).view(1, -1, 1, 1) * 255.0
        scale = 1.0 / (torch.tensor(norm.std, device=self._device).view(1, -1, 1, 1) * 255.0)
        return mean, scale

    def _load(self, image: ByteArray, affine: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        # An (h, w, C) image is already a channels-last tensor: permuting is a view and the only copy is the cast.
        pixels = image if image.ndim == 3 else image[..., np.newaxis]
        if not pixels.flags.writeable:
            pixels = pixels.copy()
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device).permute(2, 0, 1).unsqueeze(0)
        mean, scale = affine
        return tensor.to(torch.float32).sub_(mean).mul_(scale).to(self._dtype)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @torch.inference_mode()
    def infer(
        self, pairs: Sequence[Images], output_size: tuple[int, int], scales: Sequence[float] | None = None
    ) -> list[Inference]:
        """Segment pairs of one size; see ``Engine.infer``."""
        start = self._now()
        rgb = self._stack([self._load(pair[0], self._rgb) for pair in pairs])
        thermal = self._stack([self._load(pair[1], self._thermal) for pair in pairs])
        loaded = self._now()
        logits = self._network(rgb, thermal, output_size=output_size)
        computed = self._now()
        temperatures = [self._temperature / scale for scale in scales or (1.0,) * len(pairs)]
        masks = [decide(logits[index : index + 1], temperature) for index, temperature in enumerate(temperatures)]
        results = [(label.cpu().numpy(), confidence.cpu().numpy()) for label, confidence in masks]
        end = self._now()
        spent = {"preprocess": loaded - start, "network": computed - loaded, "masks": end - computed}
        share = {stage: seconds / len(pairs) for stage, seconds in spent.items()}
        return [Inference(label, confidence, dict(share)) for label, confidence in results]

    def close(self) -> None:
        """Let go of the weights."""
        del self._network

    def _stack(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        # torch.cat of one copies it; of several it keeps channels-last.
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
