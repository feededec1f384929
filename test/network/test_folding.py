"""The folded network is the network: every rewriting against what it replaces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rgbt_seg_ros.network import ModelSpec, read_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.network.decoder import resize
from rgbt_seg_ros.network.folding import (
    FoldedBlock,
    FoldedFrequencyFusion,
    FoldedSemanticFusion,
    fold,
)
from rgbt_seg_ros.network.folding_rules import fold_batch_norm, fold_sequence
from rgbt_seg_ros.network.frequency_fusion import FrequencyFusion
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.semantic_fusion import SemanticFusion


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight, bias and statistic a value that a wrong folding would show."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point() or name.endswith("kernel"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + noise.abs())
        elif tensor.ndim == 1:
            tensor.copy_(0.5 + 0.3 * noise)
    return module.eval()


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def images(size: tuple[int, int], seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.randint(0, 256, (2, 3, *size), generator=generator).float()
    return rgb, torch.randint(0, 256, (2, 1, *size), generator=generator).float()


def both(
    spec: ModelSpec, network: FusionNetwork, size: tuple[int, int], temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits at the input's size of the folded network and of the network."""
    rgb, thermal = images(size)
    folded = fold(network, spec.rgb, spec.thermal, temperature)

    def normalised(image: torch.Tensor, norm) -> torch.Tensor:
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (norm.mean, norm.std))
        return (image / 255 - mean) / std

    def centred(image: torch.Tensor, norm) -> torch.Tensor:
        return image - torch.tensor(norm.neutral).view(1, -1, 1, 1)

    with torch.inference_mode():
        found = resize(folded(centred(rgb, spec.rgb), centred(thermal, spec.thermal)), size)
        return found, network(normalised(rgb, spec.rgb), normalised(thermal, spec.thermal))


def test_a_batch_norm_goes_into_the_convolution_before_it():
    conv, norm = nn.Conv2d(3, 5, 3, stride=2, padding=1, groups=1, bias=True), shake(nn.BatchNorm2d(5))
    features = torch.randn(2, 3, 9, 11)
    with torch.inference_mode():
        assert difference(fold_batch_norm(conv, norm)(features), norm(conv(features))) < 1e-5


def test_dropout_and_norms_go_and_what_is_left_is_a_copy():
    layers = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout2d(0.1)).eval()
    folded = fold_sequence(layers)
    assert [type(layer) for layer in folded] == [nn.Conv2d, nn.ReLU]
    before = folded[0].weight.clone()
    layers[0].weight.data.zero_()
    assert torch.equal(folded[0].weight, before)


@pytest.mark.parametrize("gamma", [False, True])
def test_a_block_with_one_pass_of_grn_is_the_block(gamma):
    network = shake(new_network(untrained_spec("atto", MFNET, 0), 0))
    block = network.rgb_encoder.stages_1.blocks[0]
    if gamma:
        block.gamma = nn.Parameter(torch.rand(80))
    features = torch.randn(2, 80, 12, 16)
    with torch.inference_mode():
        assert difference(FoldedBlock(block)(features), block(features)) < 1e-5


@pytest.mark.parametrize(
    ("stage", "folded"), [(FrequencyFusion, FoldedFrequencyFusion), (SemanticFusion, FoldedSemanticFusion)]
)
def test_a_folded_fusion_stage_is_the_stage(stage, folded):
    plain = shake(stage(32))
    rgb, thermal = torch.randn(2, 32, 12, 16), torch.randn(2, 32, 12, 16)
    with torch.inference_mode():
        assert difference(folded(plain)(rgb, thermal), plain(rgb, thermal)) < 1e-5


@pytest.mark.parametrize("size", [(64, 96), (75, 107)])
def test_the_demo_model_folded_gives_its_logits(size):
    found, expected = both(*read_model("demo"), size)
    assert found.shape == expected.shape or min(size) % 4
    assert float((found - expected).abs().max()) <= 1e-4


def test_every_variant_with_shaken_weights_folds_exactly():
    spec = untrained_spec("femto", MFNET, 3)
    found, expected = both(spec, shake(new_network(spec, 3)), (64, 64))
    assert difference(found, expected) <= 1e-4


def test_the_temperature_is_in_the_logits():
    spec, network = read_model("demo")
    found, expected = both(spec, network, (64, 64), temperature=2.0)
    assert float((2 * found - expected).abs().max()) <= 1e-4


def test_the_network_stays_as_it_was():
    spec, network = read_model("demo")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold(network, spec.rgb, spec.thermal)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any("auxiliary" in name or "deep_heads" in name for name, _ in folded.named_parameters())
