"""What the segmenter needs of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError


class BackendError(UserError):
    """A device or precision that is not to be had."""


@dataclass(frozen=True)
class Inference:
    """What an engine gives back for one pair.

    Attributes:
        label: (H, W) uint8 class ids, owned by the caller.
        confidence: (H, W) uint8, round(255·p) of the winning class, owned by the caller.
        durations: Seconds per stage, in order: ``preprocess``, ``network``, ``masks``.
    """

    label: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    durations: dict[str, float]


class Backend(Protocol):
    """An engine: two 8-bit images in, two 8-bit masks out, so that logits never leave the device."""

    @property
    def name(self) -> str:
        """Return engine, device and precision in words, for people."""
        ...

    def infer(
        self, rgb: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], output_size: tuple[int, int]
    ) -> Inference:
        """Segment one pair.

        Args:
            rgb: (h, w, 3) uint8 RGB at the network's input size.
            thermal: (h, w) uint8, normalised, in the pixels of ``rgb``.
            output_size: (H, W) of the masks.
        """
        ...
