"""The network as a module: shapes it refuses, memory formats, precisions, export."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET

UNTRAINED = untrained_spec("atto", MFNET, seed=0)


@pytest.fixture(scope="module")
def network():
    return new_network(UNTRAINED, seed=0)


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 70, 97, generator=generator), torch.randn(2, 1, 70, 97, generator=generator)


@pytest.fixture(scope="module")
def logits(network, pair):
    with torch.inference_mode():
        return network(*pair)


@pytest.mark.parametrize(
    ("rgb", "thermal", "named"),
    [
        ((1, 3, 31, 64), (1, 1, 31, 64), "rgb"),
        ((3, 64, 64), (1, 64, 64), "rgb"),
        ((1, 1, 64, 64), (1, 1, 64, 64), "rgb"),
        ((1, 3, 64, 64), (1, 1, 64, 96), "thermal"),
        ((1, 3, 64, 64), (1, 3, 64, 64), "thermal"),
        ((2, 3, 64, 64), (1, 1, 64, 64), "thermal"),
    ],
)
def test_other_shapes_are_refused_by_name(network, rgb, thermal, named):
    with pytest.raises(ValueError, match=named):
        network(torch.zeros(rgb), torch.zeros(thermal))


@pytest.mark.parametrize(("variant", "classes"), [("huge", 9), ("atto", 0), ("atto", 256)])
def test_another_variant_or_class_count_is_refused(variant, classes):
    with pytest.raises(UserError):
        FusionNetwork(variant, classes)


def test_inputs_are_left_as_they_were(network, pair):
    before = [tensor.clone() for tensor in pair]
    with torch.inference_mode():
        network(*pair)
    assert all(torch.equal(a, b) for a, b in zip(before, pair, strict=True))


def test_channels_last_gives_the_same_logits(pair, logits):
    other = new_network(UNTRAINED, seed=0).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        result = other(*(tensor.to(memory_format=torch.channels_last) for tensor in pair))
    torch.testing.assert_close(result, logits, rtol=0, atol=1e-4)


def test_bfloat16_autocast_gives_nearly_the_same_logits(network, pair, logits):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        result = network(*pair)
    assert (result.float() - logits).abs().mean() < 0.05 * logits.std()


def test_gradients_reach_every_parameter(pair):
    network = FusionNetwork("atto", 3).train()
    output = network(*pair)
    sum(tensor.square().mean() for tensor in (output.logits, output.auxiliary, *output.deep)).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_graph_can_be_exported(network, pair, logits):
    with torch.no_grad():
        exported = torch.export.export(network, pair).module()
        torch.testing.assert_close(exported(*pair), logits, rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_float16_on_cuda_gives_nearly_the_same_logits(pair, logits):
    network = new_network(UNTRAINED, seed=0).to("cuda", torch.float16)
    with torch.inference_mode():
        result = network(*(tensor.to("cuda", torch.float16) for tensor in pair)).float().cpu()
    assert (result - logits).abs().mean() < 0.05 * logits.std()


def test_importing_the_network_imports_no_ros():
    code = "import sys, rgbt_seg_ros.network; print([m for m in sys.modules if m.split('.')[0] in ('rclpy', 'sensor_msgs')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"
