"""What the segmenter needs of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.network import FusionNetwork, ModelSpec

BACKENDS = ("auto", "torch", "compile", "cuda", "openvino", "onnxruntime", "tensorrt")
"""Names of engines; ``auto`` is the fastest that works on the device."""

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
"""Arithmetic of the network; no engine does all of them. ``auto`` is fp16 on a GPU and fp32 on a CPU."""


Pairs = Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]

Calibration = Callable[[tuple[int, int]], Pairs]
"""Gives (h, w, 3) uint8 RGB and (h, w) uint8 thermal images of an input size (h, w), as the network takes them."""

Report = Callable[[str], None]
"""Takes one sentence for people: what was chosen, what is being built, what failed."""


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
class EngineRequest:
    """What every engine is made of; each takes what it needs.

    Attributes:
        network: In eval mode, float32, on the CPU; left as it is, and kept for sizes to come.
        spec: Normalisations and temperature of the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; for openvino also ``gpu`` or ``gpu:N``, Intel's.
        precision: One of ``PRECISIONS``; ``auto`` is fp16 on a GPU, fp32 on the CPU.
        temperature: Overrides the model's own; None keeps it.
        cache: Folder of built engines; None: ``cache.cache_folder()``.
        report: Told in a sentence of what takes time.
        warn: Told in a sentence of what is wrong and was got around, such as an engine in the cache that cannot be read.
        calibration: For int8: gives pairs like those to come; None: int8 only where it is in the cache.
        build: Whether what takes minutes may be built; false: a size that is not in the cache is refused.
        anew: Whether to build what is in the cache, too, as for another calibration.
    """

    network: FusionNetwork
    spec: ModelSpec
    device: str = "auto"
    precision: str = "auto"
    temperature: float | None = None
    cache: Path | None = None
    report: Report = lambda _: None
    warn: Report = lambda _: None
    calibration: Calibration | None = None
    build: bool = True
    anew: bool = False

    @property
    def softmax_temperature(self) -> float:
        """Return what the logits are divided by."""
        return self.spec.temperature if self.temperature is None else self.temperature


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
