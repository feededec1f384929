"""What a training run is made of. Defaults are the recipe of arXiv 2605.26273 (``config/training/paper.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rgbt_seg_ros.decoding import option
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import MAX_SIDE, MIN_SIDE
from rgbt_seg_ros.training.augmentation_config import AugmentationConfig
from rgbt_seg_ros.training.optimisation_config import EmaConfig, LossConfig, OptimiserConfig, ScheduleConfig


@dataclass(frozen=True)
class Source:
    """One place samples come from.

    Attributes:
        spec: Words that name the data, as everywhere: ``mfnet:DIR:LIST``, ``synthetic:COUNT@SEED``, ``boxes:DIR``, ….
        share: Its part of an epoch's samples, relative to the other sources' shares; 0: as its number of samples.
    """

    spec: str
    share: float = option(0.0, 0.0)


@dataclass(frozen=True)
class DataConfig:
    """What is trained on.

    Attributes:
        classes: Class table and normalisations of the model: ``data`` (those of the first source), ``mfnet`` or ``pst900``. The
            sources' classes are matched to them by name.
        train: Sources of training samples.
        val: Specs of the data that chooses the best model.
        size: (H, W) in pixels that the network is trained at.
        input_size: (H, W) the model is evaluated and used at; None: ``size``. Larger than ``size`` where training sees crops
            (``augmentation.geometry.scale`` above 1).
        render_size: (H, W) of generated scenes to train on; None: the generator's own, as in validation.
        samples_per_epoch: 0: as many as all sources hold.
        batch: Pairs per optimisation step, over all processes of a distributed run together.
        workers: Processes that load data, per training process; 0: the training process itself.
        val_limit: Samples of each val spec that are scored, evenly spread; 0: all.
        check: Whether all files are checked before the run starts.
    """

    classes: Literal["data", "mfnet", "pst900"] = "data"
    train: tuple[Source, ...] = ()
    val: tuple[str, ...] = ()
    size: tuple[int, int] = option((480, 640), MIN_SIDE, MAX_SIDE)
    input_size: tuple[int, int] | None = option(None, MIN_SIDE, MAX_SIDE)
    render_size: tuple[int, int] | None = option(None, MIN_SIDE, MAX_SIDE)
    samples_per_epoch: int = option(0, 0)
    batch: int = option(16, 1)
    workers: int = option(4, 0, 256)
    val_limit: int = option(0, 0)
    check: bool = True


@dataclass(frozen=True)
class ThermalConfig:
    """How thermal images reach the network.

    Attributes:
        method: ``none`` (8-bit pictures as they are), ``percentile``, ``minmax`` or ``fixed``.
        low: Percent for ``percentile``, raw units for ``fixed``.
        high: The same for the upper end.
        normalisation: ``convention`` (the data set's published mean and deviation), ``auto`` (estimated from training
            samples), or [mean, std] of images scaled to 0..1.
    """

    method: Literal["none", "percentile", "minmax", "fixed"] = "none"
    low: float = option(0.0)
    high: float = option(100.0)
    normalisation: Literal["convention", "auto"] | tuple[float, float] = "convention"

    def __post_init__(self) -> None:
        """Refuse an empty range and a deviation nothing can be divided by."""
        if not self.low < self.high:
            raise SettingError("high", f"{self.high:g} is not above low ({self.low:g})")
        if isinstance(self.normalisation, tuple) and not self.normalisation[1] > 0:
            raise SettingError("normalisation", f"{list(self.normalisation)} has no positive deviation")


@dataclass(frozen=True)
class RunConfig:
    """How long, where, and what is written.

    Attributes:
        epochs: Passes.
        seed: Of initial weights, draws and augmentation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto`` (fp16 on CUDA, fp32 on the CPU), ``fp32``, ``bf16`` or ``fp16`` (CUDA).
        evaluate_every: Epochs between two evaluations; the last epoch is always evaluated.
        pictures: Validation samples shown in the picture grid; 0: none.
        max_skipped: Steps in a row without a finite loss or gradient after which the run stops.
        half: Whether model files hold half precision.
        strip: Whether model files leave out the heads that only training uses.
        calibrate: Whether a softmax temperature is fitted to the validation data at the end.
        source: What the model file says of where its weights come from; empty: one is composed.
    """

    epochs: int = option(80, 1)
    seed: int = option(0, 0, 2**31)
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    evaluate_every: int = option(1, 1)
    pictures: int = option(6, 0, 64)
    max_skipped: int = option(20, 1)
    half: bool = False
    strip: bool = True
    calibrate: bool = True
    source: str = ""


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run.

    Attributes:
        variant: Size of the network, ``atto`` to ``large``.
        initialisation: ``imagenet`` (both encoders; fails where the hub is out of reach), ``auto`` (the same, but goes on from
            random weights), ``random``, or the path of a model file to start from.
        data: What is trained on.
        thermal: How thermal images reach the network.
        augmentation: Random changes of samples.
        loss: What is minimised.
        optimiser: How.
        schedule: Learning rates over time.
        ema: Averaged weights.
        run: How long, where, and what is written.
    """

    variant: Literal["atto", "femto", "pico", "nano", "tiny", "base", "large"] = "nano"
    initialisation: str = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    thermal: ThermalConfig = field(default_factory=ThermalConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    run: RunConfig = field(default_factory=RunConfig)
