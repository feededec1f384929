"""What a face asks of an engine, and what the segmenter needs of one."""

from __future__ import annotations

import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.errors import SettingError, UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.network import FusionNetwork, ModelSpec

BACKENDS = ("auto", "torch", "compile", "cuda", "openvino", "onnxruntime", "tensorrt")
"""Names of engines; ``auto`` is the fastest that works on the device."""

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
"""Arithmetic of the network; no engine supports all of them. ``auto`` is fp16 on a GPU and fp32 on a CPU."""

LOG = logging.getLogger("rgbt_seg_ros.engine")
"""Where engines log unless the request names another logger."""

Images = tuple[ByteArray, ByteArray]
"""(h, w, 3) uint8 RGB and (h, w) uint8 thermal, normalised, in the pixels of the RGB image; both of the network's size."""

Calibration = Callable[[tuple[int, int]], Iterable[Images]]
"""Gives images to calibrate int8 with, of an input size (h, w), as the network takes them."""


class EngineError(UserError):
    """An engine that cannot be opened or built, or that failed."""


class SizeError(EngineError):
    """Images of a size that no engine takes; nothing is wrong with the engine."""


def check_names(backend: str, device: str, precision: str) -> None:
    """Refuse names that mean nothing on any machine.

    Raises:
        SettingError: Of ``backend``, ``device`` or ``precision``.
    """
    if backend not in BACKENDS:
        raise SettingError("backend", f"'{backend}' is not one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise SettingError("precision", f"'{precision}' is not one of {', '.join(PRECISIONS)}")
    if not re.fullmatch(r"auto|cpu|(cuda|gpu)(:\d+)?", device):
        raise SettingError("device", f"'{device}' is not one of auto, cpu, cuda, cuda:N, gpu, gpu:N")


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
    """Which engine is to run a network, and how; every engine is made of one.

    Attributes:
        network: In eval mode, float32, on the CPU; left as it is, and kept for sizes to come.
        spec: Normalisations and temperature of the model.
        backend: One of ``BACKENDS``; ``auto`` is the fastest that works on the device without building for minutes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; for openvino also ``gpu`` or ``gpu:N``, Intel's.
        precision: One of ``PRECISIONS``.
        temperature: Replaces the model's own; None keeps it.
        exact: Whether only the engine that is named may run. Otherwise torch takes the place of one that fails.
        calibration: For int8: gives images like those to come; None: int8 only where it is in the cache.
        cache: Folder of built engines; None: ``cache.cache_folder()``.
        build: Whether an engine that takes minutes to build may be built; false: it must be in the cache.
        rebuild: Whether an engine in the cache is built again, as for another calibration.
        log: Takes what was chosen and what is being built as info, and what failed as a warning.

    Raises:
        SettingError: Of ``backend``, ``device`` or ``precision``: an unknown name.
    """

    network: FusionNetwork
    spec: ModelSpec
    _: KW_ONLY
    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    temperature: float | None = None
    exact: bool = False
    calibration: Calibration | None = None
    cache: Path | None = None
    build: bool = True
    rebuild: bool = False
    log: logging.Logger = LOG

    def __post_init__(self) -> None:
        """Refuse unknown names."""
        check_names(self.backend, self.device, self.precision)

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

    label: ByteArray
    confidence: ByteArray
    durations: dict[str, float]


class Engine(ABC):
    """Two 8-bit images in, two 8-bit masks out, so that logits never leave the device.

    Attributes:
        backend: The value of ``EngineRequest.backend`` that it serves.
        device: Where the network runs: ``cpu``, ``cuda:0`` or another GPU.
        precision: One of ``PRECISIONS`` but ``auto``.
        name: Engine, device and precision in words, for people.
        building: What it is being built for, for other threads to see; a run in which it builds may take minutes. None: nothing.
        built_at: When its last build ended, time.monotonic, s; -inf: it never built.
    """

    backend: str = ""
    device: str = "cpu"
    precision: str = "fp32"
    name: str = ""
    building: Build | None = None
    built_at: float = -math.inf

    @abstractmethod
    def infer(
        self, pairs: Sequence[Images], output_size: tuple[int, int], scales: Sequence[float] | None = None
    ) -> list[Inference]:
        """Segment pairs of one size together. The node gives one at a time; a batch may differ from that in the last bits.

        Args:
            pairs: Images at the network's input size.
            output_size: (H, W) of the masks.
            scales: What the logits of each pair are multiplied by, after they were divided by the request's temperature:
                that over the temperature which calibrates this pair. None: 1 for all, which changes no bit.

        Raises:
            EngineError: It cannot be built for this size, or fails.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the engine holds, such as device memory; it is not used after."""


def reason(error: BaseException) -> str:
    """Return the first line of what an exception says, or its class."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
