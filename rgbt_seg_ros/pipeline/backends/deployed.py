"""The whole device side as one module: two uint8 images in, two uint8 masks out."""

from __future__ import annotations

import torch
from torch import nn

from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.network.decoder import resize
from rgbt_seg_ros.network.folding import fold
from rgbt_seg_ros.pipeline.backends.masks import Upsample, decide_planes


class ImagesToMasks(nn.Module):
    """Normalisation, folded network, upsampling, temperature, softmax and argmax; every engine runs or converts this."""

    rgb_offset: torch.Tensor
    thermal_offset: torch.Tensor
    output_size: tuple[int, int]

    def __init__(
        self,
        network: FusionNetwork,
        spec: ModelSpec,
        input_size: tuple[int, int],
        output_size: tuple[int, int],
        *,
        temperature: float | None = None,
        dtype: torch.dtype = torch.float32,
        rowwise: bool = True,
        like: ImagesToMasks | None = None,
    ) -> None:
        """Fold a network, which is left as it was.

        Args:
            network: In eval mode, float32, on the CPU.
            spec: Normalisations and temperature.
            input_size: (h, w) of the images.
            output_size: (H, W) of the masks.
            temperature: Overrides the model's own; None keeps it.
            dtype: Of weights and features; the masks are decided in float32.
            rowwise: Upsample by rows, which is what compilers do well; false: by torch's kernel, which is faster alone.
            like: A module of the same model, dtype and device for other sizes, whose weights are used again.
        """
        super().__init__()
        self.output_size = output_size
        self.dtype = dtype
        self.rowwise = rowwise
        if like is None:
            temperature = spec.temperature if temperature is None else temperature
            folded = fold(network, spec.rgb, spec.thermal, temperature)
            # torch's stubs know memory_format only together with a tensor.
            self.network = folded.to(dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            self.network = like.network
        # The stem is a 4×4 convolution of stride 4 without padding.
        self.upsample = Upsample((input_size[0] // 4, input_size[1] // 4), output_size)
        self.register_buffer("rgb_offset", torch.tensor(spec.rgb.neutral, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer(
            "thermal_offset", torch.tensor(spec.thermal.neutral, dtype=torch.float32).view(1, -1, 1, 1)
        )
        self.eval().requires_grad_(False)

    def logits(self, rgb: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        """Return (N, K, ⌊h/4⌋, ⌊w/4⌋) float32 logits divided by the temperature; arguments as of ``forward``."""
        # An (N, h, w, 3) image is a channels-last tensor already: permuting is a view. TensorRT does nothing to 8-bit inputs
        # but cast them, so that comes first. The differences are whole numbers up to 255, which every 16-bit float holds.
        color = (rgb.to(torch.float32).permute(0, 3, 1, 2) - self.rgb_offset).to(self.dtype)
        heat = (thermal.to(torch.float32).unsqueeze(1) - self.thermal_offset).to(self.dtype)
        found: torch.Tensor = self.network(color, heat)
        return found.to(torch.float32)

    def forward(
        self, rgb: torch.Tensor, thermal: torch.Tensor, scale: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Segment a batch.

        Args:
            rgb: (N, h, w, 3) uint8.
            thermal: (N, h, w) uint8.
            scale: (N,) float32 that the logits are multiplied by; None: they are not.

        Returns:
            (N, H, W) uint8 labels and (N, H, W) uint8 round(255·p).
        """
        logits = self.logits(rgb, thermal)
        if scale is not None:
            logits = logits * scale.view(-1, 1, 1, 1)
        if self.rowwise:
            return decide_planes(self.upsample(logits))
        # Planes of one class each: what follows goes over the classes.
        return decide_planes(resize(logits.contiguous(), self.output_size))
