from __future__ import annotations

import pytest
import torch

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.training.ema import AveragedWeights, decay_at
from rgbt_seg_ros.training.optimisation_config import EmaConfig


def fill(network: FusionNetwork, value: float) -> None:
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.fill_(value)


def test_parameters_are_averaged_and_buffers_copied() -> None:
    network = FusionNetwork("atto", 2)
    fill(network, 1.0)
    average = AveragedWeights(network, EmaConfig(decay=0.9, warmup=False))
    expected = 1.0
    for value in (3.0, -2.0):
        fill(network, value)
        average.update(network)
        expected = 0.9 * expected + 0.1 * value
    assert all(torch.allclose(p, torch.tensor(expected)) for p in average.network.parameters())
    assert all(bool((b == int(value)).all()) for b in average.network.buffers())
    assert not average.network.training


@pytest.mark.parametrize(("updates", "decay"), [(0, 0.1), (9, 10 / 19), (10**6, 0.999)])
def test_the_decay_rises_at_the_start(updates: int, decay: float) -> None:
    assert decay_at(EmaConfig(0.999, warmup=True), updates) == pytest.approx(decay)
    assert decay_at(EmaConfig(0.999, warmup=False), updates) == 0.999


def test_its_state_goes_on_where_it_was() -> None:
    network = FusionNetwork("atto", 2)
    first = AveragedWeights(network, EmaConfig())
    fill(network, 2.0)
    first.update(network)
    second = AveragedWeights(FusionNetwork("atto", 2), EmaConfig())
    second.load_state_dict(first.state_dict())
    fill(network, 5.0)
    for average in (first, second):
        average.update(network)
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_spoilt_buffers_come_back() -> None:
    network = FusionNetwork("atto", 2)
    average = AveragedWeights(network, EmaConfig())
    before = [buffer.clone() for buffer in network.buffers()]
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.fill_(float("nan"))
    average.restore_buffers(network)
    assert all(torch.equal(now, then) for now, then in zip(network.buffers(), before, strict=True))
