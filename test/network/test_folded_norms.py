"""Both ways of writing the folded network's norms against the layers they replace, and against each other."""

from __future__ import annotations

import pytest
import torch

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.network.folded_norms import PixelNorm, ResponseNorm, spell_out
from rgbt_seg_ros.network.folding import fold


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = new_network(untrained_spec("atto", MFNET, 0), 0).rgb_encoder.eval()
    for name, parameter in made.named_parameters():
        if "norm" in name or "grn" in name or "stem_1" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return made


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("spelled_out", [False, True])
def test_a_pixel_norm_with_its_affine_part_is_the_layer_norm(encoder, spelled_out):
    layer = PixelNorm(encoder.stem_1, affine=True)
    layer.spelled_out = spelled_out
    features = 3 + torch.randn(2, 40, 6, 9)
    with torch.inference_mode():
        assert difference(layer(features), encoder.stem_1(features)) < 1e-5


@pytest.mark.parametrize("spelled_out", [False, True])
def test_a_pixel_norm_keeps_small_differences_on_a_large_mean(encoder, spelled_out):
    layer = PixelNorm(encoder.stem_1)
    layer.spelled_out = spelled_out
    # Whole numbers, so that float32 holds the features and the mean exactly.
    features = 2.0**17 + torch.arange(40.0).view(1, 40, 1, 1).expand(1, 40, 2, 3)
    expected = (torch.arange(40.0) - 19.5) / torch.arange(40.0).double().var(correction=0).sqrt().float()
    assert difference(layer(features), expected.view(1, 40, 1, 1).expand(1, 40, 2, 3)) < 1e-3


@pytest.mark.parametrize("spelled_out", [False, True])
def test_a_response_norm_is_timms_without_its_bias(encoder, spelled_out):
    plain = encoder.stages_1.blocks[0].mlp.grn
    layer = ResponseNorm(plain)
    layer.spelled_out = spelled_out
    features = torch.randn(2, 320, 5, 7) * torch.rand(1, 320, 1, 1)
    with torch.inference_mode():
        assert difference(layer(features), plain(features) - plain.bias.view(1, -1, 1, 1)) < 1e-5


def test_the_network_spelled_out_gives_the_same_logits():
    spec, network = read_model("demo")
    folded = fold(network, spec.rgb, spec.thermal)
    generator = torch.Generator().manual_seed(1)
    rgb = torch.randint(-128, 128, (1, 3, 64, 96), generator=generator).float()
    thermal = torch.randint(-128, 128, (1, 1, 64, 96), generator=generator).float()
    with torch.inference_mode():
        expected = folded(rgb, thermal)
        assert not any(getattr(part, "spelled_out", False) for part in folded.modules())
        spell_out(folded)
        norms = [part for part in folded.modules() if isinstance(part, (PixelNorm, ResponseNorm))]
        assert len(norms) == 2 * (1 + 12 + 3 + 12)
        assert all(part.spelled_out for part in norms)
        assert float((folded(rgb, thermal) - expected).abs().max()) <= 1e-4
