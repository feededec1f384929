"""Averaged weights (Polyak averaging), on which everything is evaluated."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.training.optimisation_config import EmaConfig


def decay_at(settings: EmaConfig, updates: int) -> float:
    """Return the share of the average that update number ``updates`` (from 0) keeps.

    With warm-up min(decay, (1 + t) / (10 + t)), as TensorFlow's ExponentialMovingAverage: a fixed 0.999 would still be a
    third initial weights after a thousand steps.
    """
    return min(settings.decay, (1 + updates) / (10 + updates)) if settings.warmup else settings.decay


class AveragedWeights:
    """θ̄ ← d·θ̄ + (1 − d)·θ for parameters; buffers (batch norm's statistics) are copied, being averages already."""

    def __init__(self, network: FusionNetwork, settings: EmaConfig) -> None:
        """Start from a copy of the network's weights."""
        self._settings = settings
        self._updates = 0
        self._model = AveragedModel(network, multi_avg_fn=self._average, use_buffers=False)
        # Else torch's own first update would copy instead of average.
        self._model.n_averaged.fill_(1)
        self._model.requires_grad_(False).eval()

    @property
    def network(self) -> FusionNetwork:
        """The averaged network, in eval mode."""
        return cast(FusionNetwork, self._model.module)

    @torch.no_grad()
    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        step = get_ema_multi_avg_fn(decay_at(self._settings, self._updates))  # type: ignore[no-untyped-call]
        step(averaged, current, count)

    def update(self, network: FusionNetwork) -> None:
        """Take one step towards the network's weights, and its buffers."""
        self._model.update_parameters(network)
        self._updates += 1

    @torch.no_grad()
    def restore_buffers(self, network: FusionNetwork) -> None:
        """Give the network the buffers of the last update back: a forward pass that overflowed has spoilt its own."""
        for ours, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            theirs.copy_(ours)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and the count of updates."""
        return {"updates": self._updates, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what ``state_dict`` gave."""
        self._updates = int(state["updates"])
        self.network.load_state_dict(state["network"])
