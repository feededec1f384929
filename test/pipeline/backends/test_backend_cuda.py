"""The engine of CUDA graphs on a CPU: what it captures, in which order, and whose its masks are."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineRequest
from rgbt_seg_ros.pipeline.backends.cuda_backend import CudaEngine
from rgbt_seg_ros.pipeline.backends.eager_backend import EagerEngine

SIZE = (64, 96)


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def pair(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(coarse[..., :3]), np.ascontiguousarray(coarse[..., 3])


def test_a_graph_gives_what_the_network_gives_for_every_new_image(demo, cuda):
    request = EngineRequest(demo[1], demo[0], precision="fp32")
    engine, plain = CudaEngine(request), EagerEngine(EngineRequest(demo[1], demo[0], device="cpu"))
    kept = []
    for seed in range(3):
        (found,), (expected,) = (backend.infer([pair(seed)], (90, 130)) for backend in (engine, plain))
        np.testing.assert_array_equal(found.label, expected.label)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        kept.append((found.label, found.label.copy()))
    assert len({copy.tobytes() for _, copy in kept}) == 3
    for label, copy in kept:
        np.testing.assert_array_equal(label, copy)


def test_what_a_graph_reads_stays_in_its_place_for_every_size(demo, cuda, monkeypatch):
    made = []
    make = CudaEngine._module

    def module_of(self, shape, dtype, **more):
        module = make(self, shape, dtype, **more)
        made.append(weakref.ref(module))
        return module

    monkeypatch.setattr(CudaEngine, "_module", module_of)
    engine = CudaEngine(EngineRequest(demo[1], demo[0], precision="fp32"))
    for output_size in (SIZE, (90, 130)):
        engine.infer([pair(0)], output_size)
    gc.collect()
    assert [module() is not None for module in made] == [True, True]


def test_a_graph_is_captured_after_a_warm_up_without_disturbing_other_threads(demo, cuda):
    assert not torch.backends.cudnn.benchmark
    engine = CudaEngine(EngineRequest(demo[1], demo[0], precision="fp32"))
    engine.infer([pair(0)], SIZE)
    once = ["wait", "device", "enter", "synchronize", "capture thread_local, measured True"]
    run = ["device", "enter", "replay", "synchronize"]
    assert cuda == once + run
    assert not torch.backends.cudnn.benchmark
    engine.infer([pair(1)], SIZE)
    assert cuda == once + run + run
    engine.close()
    assert cuda[-1] == "empty"
