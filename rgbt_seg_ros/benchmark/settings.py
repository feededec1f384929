"""Which networks are measured, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rgbt_seg_ros.benchmark.timing import BenchError, Rounds
from rgbt_seg_ros.errors import SettingError

if TYPE_CHECKING:
    from rgbt_seg_ros.network import FusionNetwork, ModelSpec

SCENES = 8
"""Generated scenes that labels are compared on."""

CALIBRATION_SCENES = 64
"""Other scenes, which calibrate an int8 engine that is not in the cache."""

SEED = 6021
"""Seed of those scenes, and of the weights of an untrained variant; no training set of this package uses it."""


@dataclass(frozen=True)
class Candidate:
    """An engine at a precision, each of ``backends.BACKENDS`` and ``backends.PRECISIONS``."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        """Return both in words, such as ``openvino bf16``."""
        return f"{self.backend} {self.precision}"


@dataclass(frozen=True)
class NetworkSettings:
    """What is measured.

    Attributes:
        model: A model file, ``demo``, or a variant such as ``nano``, which gets random weights.
        sizes: (H, W) of image and network input, each.
        candidates: Engines and precisions.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, of all engines and of plain eager.
        rounds: How long to measure each size.
        scenes: Number of generated scenes that labels are compared on.
        fresh: Whether each candidate is also started in a fresh process, for its peak memory and start-up.
    """

    model: str
    sizes: tuple[tuple[int, int], ...]
    candidates: tuple[Candidate, ...]
    device: str = "auto"
    rounds: Rounds = field(default_factory=Rounds)
    scenes: int = SCENES
    fresh: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes the network cannot take, and lists with nothing in them."""
        from rgbt_seg_ros.network.spec import MAX_SIDE, MIN_SIDE

        for size in self.sizes:
            if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
                raise SettingError(
                    "size", f"{size[0]}x{size[1]} has a side that is not {MIN_SIDE} to {MAX_SIDE} pixels"
                )
        if not self.sizes or not self.candidates or self.scenes < 1:
            raise BenchError("expected at least one size, one backend, one precision and one scene")


def candidates_of(backends: tuple[str, ...], precisions: tuple[str, ...]) -> tuple[Candidate, ...]:
    """Return every engine at every precision, each once.

    Args:
        backends: Of ``backends.BACKENDS``, or ``all`` for each of them but ``auto``.
        precisions: Of ``backends.PRECISIONS``.

    Raises:
        SettingError: Of ``backend`` or ``precision``: an unknown name.
    """
    from rgbt_seg_ros.pipeline.backends import BACKENDS, PRECISIONS

    for key, given, legal in (("backend", backends, (*BACKENDS, "all")), ("precision", precisions, PRECISIONS)):
        for name in given:
            if name not in legal:
                raise SettingError(key, f"'{name}' is not one of {', '.join(legal)}")
    engines = [name for given in backends for name in (BACKENDS[1:] if given == "all" else (given,))]
    return tuple(dict.fromkeys(Candidate(engine, precision) for engine in engines for precision in precisions))


def load(model: str) -> tuple[ModelSpec, FusionNetwork]:
    """Return metadata and network, new with every call, since engines change the network they are given.

    Args:
        model: A model file, ``demo``, or a variant, whose weights are random, the same every time.

    Raises:
        ModelFileError: The file is not a model of this package.
    """
    from rgbt_seg_ros.network import VARIANTS, read_model
    from rgbt_seg_ros.network.builtin import new_network, untrained_spec
    from rgbt_seg_ros.network.conventions import MFNET

    if model in VARIANTS:
        spec = untrained_spec(model, MFNET, SEED)
        return spec, new_network(spec, SEED)
    return read_model(model)
