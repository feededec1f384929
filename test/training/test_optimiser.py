from __future__ import annotations

from collections import Counter

import pytest
import torch

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.training.optimisation_config import OptimiserConfig, ScheduleConfig
from rgbt_seg_ros.training.optimiser import parameter_groups, rate_factor, set_rates


@pytest.fixture(scope="module")
def network() -> FusionNetwork:
    return FusionNetwork("atto", 3)


def group_of(network: FusionNetwork, name: str, settings: OptimiserConfig) -> dict[str, object]:
    wanted = dict(network.named_parameters())[name]
    found = [group for group in parameter_groups(network, settings) if any(p is wanted for p in group["params"])]
    assert len(found) == 1
    return found[0]


def test_every_parameter_is_in_exactly_one_group(network: FusionNetwork) -> None:
    counts = Counter(id(p) for group in parameter_groups(network, OptimiserConfig()) for p in group["params"])
    assert counts == Counter(id(p) for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "rate", "decay"),
    [
        ("rgb_encoder.stages_3.blocks.0.conv_dw.weight", 3e-5, 0.05),
        ("rgb_encoder.stages_2.blocks.0.conv_dw.weight", 3e-5 * 0.9, 0.05),
        ("rgb_encoder.stages_1.blocks.0.conv_dw.weight", 3e-5 * 0.81, 0.05),
        ("rgb_encoder.stages_0.blocks.0.conv_dw.weight", 3e-5 * 0.729, 0.05),
        ("rgb_encoder.stem_0.weight", 3e-5 * 0.729, 0.05),
        ("thermal_encoder.stages_3.blocks.0.conv_dw.weight", 3e-5, 0.03),
        ("thermal_encoder.stem_0.weight", 3e-5 * 0.729, 0.03),
        ("fusion.0.project.0.weight", 3e-4, 0.01),
        ("decoder.head.4.weight", 3e-4, 0.005),
        ("decoder.head.4.bias", 3e-4, 0.005),
    ],
)
def test_rates_and_decays_are_those_of_the_recipe(network: FusionNetwork, name: str, rate: float, decay: float) -> None:
    names = dict(network.named_parameters())
    if name not in names:  # the first parameter of that part
        name = next(key for key in names if key.startswith(name.split(".")[0]) and key.endswith("weight"))
    group = group_of(network, name, OptimiserConfig())
    assert group["lr"] == pytest.approx(rate)
    assert group["initial_lr"] == group["lr"]
    assert group["weight_decay"] == decay


def test_norms_and_biases_can_be_left_out_of_the_decay(network: FusionNetwork) -> None:
    settings = OptimiserConfig(decay_vectors=False)
    for group in parameter_groups(network, settings):
        for parameter in group["params"]:
            vector = max(parameter.shape, default=1) == parameter.numel()
            assert (group["weight_decay"] == 0) == vector
    grn = next(name for name, _ in network.named_parameters() if name.endswith("grn.weight"))
    assert group_of(network, grn, settings)["weight_decay"] == 0


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0.01, 0.001), (5, 0.5), (10, 1), (20, 1), (20.01, 0.5), (35, 0.5), (35.01, 0.25), (50, 0.25), (79.9, 0.0625)],
)
def test_the_recipe_warms_up_stays_flat_and_halves(epoch: float, factor: float) -> None:
    assert rate_factor(ScheduleConfig(), epoch, 80) == pytest.approx(factor)


@pytest.mark.parametrize(("epoch", "factor"), [(1, 0.5), (2, 1.0), (7, 0.55), (12, 0.1), (13, 0.1)])
def test_the_cosine_ends_at_its_final_factor(epoch: float, factor: float) -> None:
    settings = ScheduleConfig(kind="cosine", warmup=2, final=0.1)
    assert rate_factor(settings, epoch, 12) == pytest.approx(factor)


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert rate_factor(ScheduleConfig(warmup=0), 0.001, 80) == 1


def test_every_group_keeps_its_own_rate(network: FusionNetwork) -> None:
    optimiser = torch.optim.AdamW(parameter_groups(network, OptimiserConfig()))
    set_rates(optimiser, 0.5)
    set_rates(optimiser, 0.25)
    for group in optimiser.param_groups:
        assert group["lr"] == pytest.approx(group["initial_lr"] / 4)
