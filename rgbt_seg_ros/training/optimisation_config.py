"""Settings of losses, optimiser, learning rates and averaged weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rgbt_seg_ros.decoding import limits, option
from rgbt_seg_ros.errors import SettingError


@dataclass(frozen=True)
class ClassWeightConfig:
    """Weights of the classes in the cross entropy.

    Attributes:
        mode: ``auto`` counts pixels of training samples; ``none``: all 1.
        samples: How many are counted (they also give the thermal statistics where those are ``auto``); 0: all of an epoch.
        scale: Weight of the rarest class before boosts.
        low: Smallest weight.
        high: Largest weight.
        boosts: Factors by class name.
        values: The weights themselves, one a class; empty: as ``mode`` says.
    """

    mode: Literal["auto", "none"] = "auto"
    samples: int = option(200, 0)
    scale: float = option(10.0, 0.0, above=True)
    low: float = option(0.5, 0.0)
    high: float = option(15.0, 0.0, above=True)
    boosts: dict[str, float] = field(default_factory=dict, metadata=limits(0.0, above=True))
    values: tuple[float, ...] = option((), 0.0)

    def __post_init__(self) -> None:
        """Refuse limits that no weight meets, and weights of nothing."""
        if self.low > self.high:
            raise SettingError("low", f"{self.low:g} is above high ({self.high:g})")
        if self.values and not any(self.values):
            raise SettingError("values", "all of them are 0: nothing is left to train on")


@dataclass(frozen=True)
class LossConfig:
    """Loss = main + w·(auxiliary cross entropy + Σ wᵢ·deepᵢ cross entropy); a weight of 0 switches a term off at no cost.

    Attributes:
        cross_entropy: Its weight in the main loss.
        dice: Weight of the Dice loss.
        lovasz: Weight of the Lovász-softmax loss.
        lovasz_stride: Every how many pixels, each way, the Lovász loss looks at.
        auxiliary: w from its first to its last value; [0, 0] builds a network without these heads.
        auxiliary_epochs: Epochs over which w goes from the one to the other.
        auxiliary_stride: 1: the extra heads are compared at full size; 4: at the decoder's own stride, for a fraction of the
            time.
        deep: Weights of the deep heads, shallow to deep.
        class_weights: Weights of the classes.
    """

    cross_entropy: float = option(0.4, 0.0)
    dice: float = option(0.3, 0.0)
    lovasz: float = option(0.3, 0.0)
    lovasz_stride: int = option(1, 1, 8)
    auxiliary: tuple[float, float] = option((0.3, 0.05), 0.0)
    auxiliary_epochs: int = option(80, 1)
    auxiliary_stride: Literal[1, 4] = 1
    deep: tuple[float, float, float, float] = option((0.1, 0.2, 0.3, 0.4), 0.0)
    class_weights: ClassWeightConfig = field(default_factory=ClassWeightConfig)

    def __post_init__(self) -> None:
        """Refuse a main loss of nothing."""
        if not self.cross_entropy + self.dice + self.lovasz > 0:
            raise SettingError("cross_entropy", "0, and dice and lovasz too: nothing is left to train on")
        if self.auxiliary[0] == 0 and self.auxiliary[1] > 0:
            raise SettingError("auxiliary", f"{list(self.auxiliary)} starts at 0 but does not stay there")

    @property
    def deep_supervision(self) -> bool:
        """Whether the heads that only training uses have any part in the loss."""
        return self.auxiliary[0] > 0


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its groups.

    Attributes:
        backbone_rate: Learning rate of the encoders' deepest stage.
        backbone_decay: Factor per stage towards the image.
        rate: Learning rate of fusion and decoder.
        rgb_encoder_decay: Weight decay; the three below are those of the other parts.
        thermal_encoder_decay: See ``rgb_encoder_decay``.
        fusion_decay: See ``rgb_encoder_decay``.
        decoder_decay: See ``rgb_encoder_decay``.
        decay_vectors: Whether norms and biases decay too, as in the paper's recipe.
        clip: Largest norm of the whole gradient.
    """

    backbone_rate: float = option(3e-5, 0.0)
    backbone_decay: float = option(0.9, 0.0, 1.0, above=True)
    rate: float = option(3e-4, 0.0)
    rgb_encoder_decay: float = option(0.05, 0.0)
    thermal_encoder_decay: float = option(0.03, 0.0)
    fusion_decay: float = option(0.01, 0.0)
    decoder_decay: float = option(0.005, 0.0)
    decay_vectors: bool = True
    clip: float = option(0.1, 0.0, above=True)


@dataclass(frozen=True)
class ScheduleConfig:
    """Factor on every learning rate over the epochs.

    Attributes:
        kind: ``steps``: warm-up, flat, then halving; ``cosine``: warm-up, then half a cosine down to ``final``.
        warmup: Epochs of linear rise.
        flat: Epochs at the full rate; ``steps`` only.
        halve_every: Epochs between two halvings, the first of them at the end of ``flat``; ``steps`` only.
        final: Factor at the end; ``cosine`` only.
    """

    kind: Literal["steps", "cosine"] = "steps"
    warmup: float = option(10.0, 0.0)
    flat: float = option(10.0, 0.0)
    halve_every: float = option(15.0, 0.0, above=True)
    final: float = option(0.01, 0.0, 1.0)


@dataclass(frozen=True)
class EmaConfig:
    """Moving average of the weights, on which everything is evaluated.

    Attributes:
        decay: Share of the average that a step keeps.
        warmup: Whether the decay rises as (1 + steps) / (10 + steps), so that a short run does not keep its start.
    """

    decay: float = option(0.999, 0.0, 1.0, below=True)
    warmup: bool = True
