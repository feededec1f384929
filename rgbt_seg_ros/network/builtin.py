"""Models that need no file from the user: the demo model of the package, and untrained ones made from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from rgbt_seg_ros.network.conventions import Convention
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.spec import ModelSpec, Provenance


def untrained_spec(
    variant: str, convention: Convention, seed: int, input_size: tuple[int, int] | None = None
) -> ModelSpec:
    """Return the metadata of a seeded, untrained model; it says so."""
    return ModelSpec(
        variant=variant,
        classes=convention.classes,
        input_size=input_size or convention.input_size,
        rgb=convention.rgb,
        thermal=convention.thermal,
        provenance=Provenance(trained=False, source=f"untrained, seed {seed}"),
    )


DEMO = Path(__file__).with_name("demo.safetensors")
"""The demo model: trained on synthetic scenes and adapted to a few real pairs, for demonstration only."""


def new_network(spec: ModelSpec, seed: int) -> FusionNetwork:
    """Build an untrained network in eval mode, the same for the same seed; torch's own generator keeps its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FusionNetwork(spec.variant, spec.num_classes)
        for module in network.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network.eval()
