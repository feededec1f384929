"""AdamW's parameter groups and the learning rate over time (recipe of arXiv 2605.26273)."""

from __future__ import annotations

import math
from typing import Any

import torch

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.training.optimisation_config import OptimiserConfig, ScheduleConfig

_DEEPEST = 3


def stage_of(name: str) -> int:
    """Return the stage 0..3 of an encoder parameter from its name below the encoder; the stem counts as stage 0."""
    first = name.partition(".")[0]
    return int(first.removeprefix("stages_")) if first.startswith("stages_") else 0


def rate_and_decay(name: str, parameter: torch.Tensor, settings: OptimiserConfig) -> tuple[float, float]:
    """Return the learning rate and weight decay of one parameter of a ``FusionNetwork``, from its full name."""
    part, _, rest = name.partition(".")
    if part in ("rgb_encoder", "thermal_encoder"):
        rate = settings.backbone_rate * settings.backbone_decay ** (_DEEPEST - stage_of(rest))
        decay = settings.rgb_encoder_decay if part == "rgb_encoder" else settings.thermal_encoder_decay
    else:
        rate = settings.rate
        decay = {"fusion": settings.fusion_decay, "decoder": settings.decoder_decay}[part]
    # GRN's weights are stored (1, 1, 1, C): a vector for all that weight decay is about.
    vector = sum(side > 1 for side in parameter.shape) <= 1
    return rate, 0.0 if vector and not settings.decay_vectors else decay


def parameter_groups(network: FusionNetwork, settings: OptimiserConfig) -> list[dict[str, Any]]:
    """Return AdamW groups, each parameter in one, with ``initial_lr`` beside ``lr`` for the schedule.

    Stage s of an encoder learns at ``backbone_rate`` · ``backbone_decay``^(3 − s).
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault(rate_and_decay(name, parameter, settings), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def rate_factor(settings: ScheduleConfig, epoch: float, epochs: int) -> float:
    """Return what every learning rate is multiplied by.

    Args:
        settings: Kind and lengths.
        epoch: Epochs done when the step is over, with fraction; above 0.
        epochs: Length of the run (``cosine`` only).

    Returns:
        Linear 0 to 1 over the warm-up; then for ``steps`` 1 over ``flat`` epochs and a half, a quarter, … from there on, for
        ``cosine`` half a cosine from 1 to ``final``.
    """
    if epoch < settings.warmup:
        return epoch / settings.warmup
    if settings.kind == "cosine":
        progress = (epoch - settings.warmup) / max(epochs - settings.warmup, 1e-9)
        return settings.final + (1.0 - settings.final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    beyond = epoch - settings.warmup - settings.flat
    return 1.0 if beyond <= 0 else 0.5 ** math.ceil(beyond / settings.halve_every)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its own rate times a factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * factor
