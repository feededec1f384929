"""What TorchScript keeps of traced networks is given back, and nothing that somebody still uses."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from rgbt_seg_ros.pipeline.backends.memory import forget_traces

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def trace(width):
    return torch.jit.freeze(torch.jit.trace(nn.Linear(width, width).eval(), torch.zeros(1, width)))


@pytest.fixture
def cleared(monkeypatch):
    """Count how often torch was asked to forget."""
    calls = []
    clear = torch._C._jit_clear_class_registry
    monkeypatch.setattr(torch._C, "_jit_clear_class_registry", lambda: calls.append(clear()))
    return calls


def test_a_traced_network_that_is_in_use_keeps_working(cleared):
    mine = trace(8)
    expected = mine(torch.ones(1, 8))
    forget_traces()
    assert cleared == []
    torch.testing.assert_close(mine(torch.ones(1, 8)), expected)


def test_networks_are_traced_and_forgotten_again_and_again(cleared):
    gc.collect()
    if any(issubclass(type(found), torch.jit.ScriptModule) for found in gc.get_objects()):
        pytest.skip("another test holds a traced network")
    for width in (4, 4, 8):
        traced = trace(width)
        assert traced(torch.ones(1, width)).shape == (1, width)
        del traced
        forget_traces()
    assert len(cleared) == 3


def test_another_version_of_torch_is_no_error(monkeypatch):
    monkeypatch.delattr(torch._C, "_jit_clear_class_registry")
    forget_traces()
