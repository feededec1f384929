"""What the segmenter needs of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

BACKENDS = ("auto", "torch", "compile", "cuda", "openvino", "onnxruntime", "tensorrt")
"""Names of engines; ``auto`` is the fastest that works on the device."""

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
"""Arithmetic of the network; no engine does all of them. ``auto`` is fp16 on a GPU and fp32 on a CPU."""


class BackendError(UserError):
    """An engine, device or precision that is not to be had."""


@dataclass(frozen=True)
class Build:
    """What keeps an engine from running its first pair of a size: it is built, or another one is opened in its place.

    Attributes:
        size: (H, W) of the masks.
        since: When it began, time.monotonic, s.
    """

    size: tuple[int, int]
    since: float


@dataclass(frozen=True)
class Inference:
    """What an engine gives back for one pair.

    Attributes:
        label: (H, W) uint8 class ids, owned by the caller.
        confidence: (H, W) uint8, round(255·p) of the winning class, owned by the caller.
        durations: Seconds per stage, in order: ``preprocess``, ``network``, ``masks``; of a batch, this pair's even share.
    """

    label: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    durations: dict[str, float]


class Backend(Protocol):
    """An engine: two 8-bit images in, two 8-bit masks out, so that logits never leave the device.

    One that builds itself for every size also has ``building`` (a ``Build`` or None) and ``built_at`` (time.monotonic, s, when
    the last one ended; -inf: none has): a run in which it builds may take long without anything being wrong.
    """

    @property
    def device(self) -> str:
        """Return where the network runs: ``cpu``, ``cuda:0`` or another GPU."""
        ...

    @property
    def name(self) -> str:
        """Return engine, device and precision in words, for people."""
        ...

    def infer(
        self,
        pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]],
        output_size: tuple[int, int],
    ) -> list[Inference]:
        """Segment pairs of one size together. The node gives one at a time; a batch may differ from that in the last bits.

        Args:
            pairs: (h, w, 3) uint8 RGB at the network's input size, and (h, w) uint8 thermal, normalised, in its pixels.
            output_size: (H, W) of the masks.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds, such as device memory; it is not used after."""
        ...
