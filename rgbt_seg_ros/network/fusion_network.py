"""The whole network: two encoders, four fusion stages, one decoder (arXiv 2605.26273)."""

from __future__ import annotations

import torch
from torch import nn

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.decoder import PanetDecoder, TrainingOutput
from rgbt_seg_ros.network.encoders import VARIANTS, encoder
from rgbt_seg_ros.network.frequency_fusion import FrequencyFusion
from rgbt_seg_ros.network.semantic_fusion import SemanticFusion
from rgbt_seg_ros.network.spec import MIN_SIDE


class FusionNetwork(nn.Module):
    """Frequency-guided fusion network for RGB-thermal semantic segmentation."""

    def __init__(self, variant: str, num_classes: int, deep_supervision: bool = True) -> None:
        """Build an untrained network.

        Args:
            variant: A key of ``VARIANTS``.
            num_classes: 1..255; 255 is the unlabeled id of a label mask.
            deep_supervision: Whether the heads that only training uses exist.

        Raises:
            SettingError: Another variant or class count.
        """
        super().__init__()
        if variant not in VARIANTS:
            raise SettingError("variant", f"'{variant}' is not one of {', '.join(VARIANTS)}")
        if not 1 <= num_classes <= 255:
            raise SettingError("classes", f"{num_classes} is not between 1 and 255")
        channels = VARIANTS[variant]
        self.variant = variant
        self.num_classes = num_classes
        self.rgb_encoder = encoder(variant, 3)
        self.thermal_encoder = encoder(variant, 1)
        self.fusion = nn.ModuleList(
            [*(FrequencyFusion(c) for c in channels[:2]), *(SemanticFusion(c) for c in channels[2:])]
        )
        self.decoder = PanetDecoder(channels, num_classes, deep_supervision)

    def forward(
        self, rgb: torch.Tensor, thermal: torch.Tensor, output_size: tuple[int, int] | None = None
    ) -> torch.Tensor | TrainingOutput:
        """Segment a batch.

        Args:
            rgb: (N, 3, H, W) float, normalised with the model's mean and standard deviation.
            thermal: (N, 1, H, W) float, normalised in the same way.
            output_size: Size of the logits; None: that of the input.

        Returns:
            Logits (N, K, *output_size) in eval mode, ``TrainingOutput`` in training mode.

        Raises:
            ValueError: Other shapes, or an input that is too small for the feature map at stride 32.
        """
        if rgb.ndim != 4 or rgb.shape[1] != 3 or min(rgb.shape[2:]) < MIN_SIDE:
            raise ValueError(f"rgb: {tuple(rgb.shape)} is not (N, 3, H, W) with H and W of at least {MIN_SIDE}")
        if thermal.shape != (rgb.shape[0], 1, *rgb.shape[2:]):
            expected = (rgb.shape[0], 1, *rgb.shape[2:])
            raise ValueError(
                f"thermal: {tuple(thermal.shape)} does not match the RGB images; expected {tuple(expected)}"
            )
        fused = [
            stage(r, t)
            for stage, r, t in zip(self.fusion, self.rgb_encoder(rgb), self.thermal_encoder(thermal), strict=True)
        ]
        result: torch.Tensor | TrainingOutput = self.decoder(fused, output_size or tuple(rgb.shape[2:]))
        return result
