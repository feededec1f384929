"""Every engine that can run here against the plain network: masks, sizes, batches, caches."""

from __future__ import annotations

import copy
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rgbt_seg_ros.cores import PROCESS_CORES, bind_thread
from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineError, EngineRequest, TorchEngine, select_engine
from rgbt_seg_ros.pipeline.backends.compile_backend import CompileEngine
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.eager_backend import EagerEngine
from rgbt_seg_ros.pipeline.backends.masks import Upsample, decide_planes
from rgbt_seg_ros.pipeline.backends.sized import KEPT, Shape

SIZE = (64, 96)
NEEDS = {"torch": (), "openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for the file, as on a robot: what one test builds the next one reads."""
    return tmp_path_factory.mktemp("engines")


def pair(seed: int, size: tuple[int, int] = SIZE):
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 4), dtype=np.uint8)
    image = coarse.repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])


def opened(demo, cache, name, precision="fp32"):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    said: list[str] = []
    spec, network = demo
    asked = {"backend": name, "device": "cpu", "precision": precision}
    return select_engine(EngineRequest(network, spec, cache=cache, log=logger_to(said.append), **asked)), said


def plain(demo, pairs, output_size):
    spec, network = demo
    return TorchEngine(EngineRequest(copy.deepcopy(network), spec, device="cpu", precision="fp32")).infer(
        pairs, output_size
    )


@pytest.mark.parametrize("output_size", [pytest.param(SIZE, marks=pytest.mark.nightly), (90, 130)])
@pytest.mark.parametrize("name", list(NEEDS))
def test_masks_are_those_of_the_plain_network(demo, cache, name, output_size):
    backend, _ = opened(demo, cache, name)
    pairs = [pair(0)]
    (found,), (expected,) = backend.infer(pairs, output_size), plain(demo, pairs, output_size)
    assert backend.name.startswith(f"{name} cpu fp32")
    assert found.label.dtype == found.confidence.dtype == np.uint8
    assert found.label.shape == found.confidence.shape == output_size
    assert (found.label == expected.label).mean() >= 0.999
    assert np.abs(found.confidence.astype(int) - expected.confidence).max() <= 1
    assert list(found.durations) == ["preprocess", "network", "masks"]


@pytest.mark.parametrize("name", list(NEEDS))
def test_a_bound_thread_stays_where_it_is_bound(demo, cache, name):
    if len(PROCESS_CORES) < 2:
        pytest.skip("one core")
    core = frozenset({max(PROCESS_CORES)})

    def run():
        backend, _ = opened(demo, cache, name)
        backend.infer([pair(0)], SIZE)
        return backend

    def again(backend):
        backend.infer([pair(0)], SIZE)
        return os.sched_getaffinity(0)

    # Loaded and warmed up by one bound thread, used by another.
    with ThreadPoolExecutor(1, initializer=bind_thread, initargs=(core,)) as loader:
        backend = loader.submit(run).result()
        assert loader.submit(os.sched_getaffinity, 0).result() == core
    with ThreadPoolExecutor(1, initializer=bind_thread, initargs=(core,)) as worker:
        assert worker.submit(again, backend).result() == core


@pytest.mark.parametrize("name", list(NEEDS))
def test_masks_belong_to_the_caller(demo, cache, name):
    backend, _ = opened(demo, cache, name)
    (first,) = backend.infer([pair(0)], SIZE)
    kept = first.label.copy()
    backend.infer([pair(5)], SIZE)
    np.testing.assert_array_equal(first.label, kept)
    first.label[:] = 0  # and may be written to
    first.confidence[:] = 0


def test_a_batch_gives_what_its_pairs_give(demo, cache):
    backend, _ = opened(demo, cache, "torch")
    pairs = [pair(1), pair(2), pair(3)]
    for found, one in zip(backend.infer(pairs, SIZE), pairs, strict=True):
        (alone,) = backend.infer([one], SIZE)
        assert (found.label == alone.label).mean() >= 0.999
        assert np.abs(found.confidence.astype(int) - alone.confidence).max() <= 1


def test_read_only_and_strided_images_are_taken(demo, cache):
    backend, _ = opened(demo, cache, "torch")
    rgb, thermal = pair(0)
    wide = np.repeat(rgb, 2, 1)[:, ::2]
    thermal.flags.writeable = False
    np.testing.assert_array_equal(
        backend.infer([(wide, thermal)], SIZE)[0].label, backend.infer([pair(0)], SIZE)[0].label
    )


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_bf16_agrees_on_nearly_every_label(demo, cache, name):
    backend, _ = opened(demo, cache, name, "bf16")
    (found,), (expected,) = backend.infer([pair(0)], SIZE), plain(demo, [pair(0)], SIZE)
    assert (found.label == expected.label).mean() > 0.9


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_what_was_converted_once_is_read_the_next_time(demo, cache, name):
    opened(demo, cache, name)[0].infer([pair(0)], SIZE)
    again, said = opened(demo, cache, name)
    again.infer([pair(0)], SIZE)
    assert said == []


def test_int8_is_calibrated_once_and_serves_every_output_size(demo, cache):
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    spec, network = demo
    said: list[str] = []

    def engine(**more):
        asked = {"backend": "openvino", "precision": "int8", "cache": cache, **more}
        return select_engine(EngineRequest(network, spec, log=logger_to(said.append), **asked))

    without = engine()
    without.infer([pair(0)], SIZE)
    assert without.name == "torch cpu fp32"
    assert "rgbt-seg model export MODEL --to openvino --precision int8 --input-size 64x96" in said.pop()
    engine(calibration=lambda size: [pair(seed, size) for seed in range(4)]).infer([pair(0)], SIZE)
    assert "calibrating" in said.pop()
    backend = engine()
    (found,), (expected,) = backend.infer([pair(0)], (90, 130)), plain(demo, [pair(0)], (90, 130))
    assert backend.name == "openvino cpu int8"
    assert said == []
    assert (found.label == expected.label).mean() > 0.85


def test_an_engine_keeps_the_last_few_sizes(demo):
    spec, network = demo
    backend = EagerEngine(EngineRequest(network, spec, device="cpu"))
    shapes = [Shape(1, (32, 32), (32 + step, 32)) for step in range(KEPT + 2)]
    runners = [backend.prepare(shape) for shape in shapes]
    assert backend.prepare(shapes[-1]) is runners[-1]
    assert backend.prepare(shapes[0]) is not runners[0]


def test_sizes_share_their_weights(demo):
    backend = EagerEngine(EngineRequest(demo[1], demo[0], device="cpu"))
    for side in (32, 64):
        backend.prepare(Shape(1, (side, side), (side, side)))
    assert backend._first is not None
    modules = [runner.__closure__ for runner in backend._runners.values()]
    networks = {
        id(cell.cell_contents.network) for cells in modules for cell in cells if hasattr(cell.cell_contents, "network")
    }
    assert len(networks) == 1


def test_an_image_of_which_nothing_is_left_at_stride_32_is_refused(demo):
    with pytest.raises(EngineError, match="a side below 32"):
        EagerEngine(EngineRequest(demo[1], demo[0], device="cpu")).infer([pair(0, (16, 64))], (16, 64))


class Tiny(nn.Module):
    """Stands in for the network, which takes the compiler a minute."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 4, stride=4)
        self.upsample = Upsample((shape.input_size[0] // 4, shape.input_size[1] // 4), shape.output_size)

    def forward(self, rgb, thermal, scale):
        images = torch.cat((rgb.permute(0, 3, 1, 2), thermal.unsqueeze(1)), 1).float() / 255
        return decide_planes(self.upsample(self.conv(images) * scale.view(-1, 1, 1, 1)))


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compile_builds_once_and_loads_then(demo, tmp_path, monkeypatch):
    spec, network = demo
    shape = Shape(1, SIZE, SIZE)
    torch.manual_seed(0)
    tiny = Tiny(shape).eval()
    monkeypatch.setattr(CompileEngine, "_module", lambda self, shape, dtype: tiny)
    said: list[str] = []
    request = EngineRequest(network, spec, cache=tmp_path, log=logger_to(said.append))
    unbuilt = CompileEngine(replace(request, build=False))
    assert not unbuilt.built
    with pytest.raises(EngineError, match=r"is not built for 1x64x96-64x96; the backend 'compile' builds it"):
        unbuilt.infer([pair(0)], SIZE)
    rgb, thermal = pair(0)
    (found,) = CompileEngine(request).infer([(rgb, thermal)], SIZE)
    with torch.inference_mode():
        images = torch.from_numpy(rgb)[None], torch.from_numpy(thermal)[None]
        label, confidence = tiny(*images, torch.ones(1))
        soft = tiny(*images, torch.tensor([0.25]))[1]
    assert (found.label == label[0].numpy()).mean() >= 0.999
    assert np.abs(found.confidence.astype(int) - confidence[0].numpy()).max() <= 1
    (scaled,) = unbuilt.infer([(rgb, thermal)], SIZE, [0.25])
    assert np.abs(scaled.confidence.astype(int) - soft[0].numpy()).max() <= 1
    assert scaled.confidence.mean() < found.confidence.mean()
    assert len(said) == 1
    assert "this takes a minute or two" in said[0]
    assert unbuilt.built
    np.testing.assert_array_equal(unbuilt.infer([(rgb, thermal)], SIZE)[0].label, found.label)
    kept = found.label.copy()
    unbuilt.infer([pair(5)], SIZE)
    np.testing.assert_array_equal(found.label, kept)
    assert not list((tmp_path / "compile").glob(".part-*"))
    package = unbuilt.place(shape) / "model.pt2"
    os.truncate(package, package.stat().st_size // 2)
    with pytest.raises(EngineError, match=r"cannot be used .*; the backend 'compile' builds it again"):
        CompileEngine(replace(request, build=False)).infer([(rgb, thermal)], SIZE)


@pytest.mark.parametrize("rowwise", [False, True])
def test_the_module_of_every_engine_takes_sizes_that_nothing_divides(demo, rowwise):
    spec, network = demo
    rgb, thermal = (np.ascontiguousarray(image[:75, :107]) for image in pair(0, (80, 112)))
    (expected,) = plain(demo, [(rgb, thermal)], (91, 133))
    module = ImagesToMasks(network, spec, (75, 107), (91, 133), rowwise=rowwise)
    with torch.inference_mode():
        label, confidence = module(torch.from_numpy(rgb)[None], torch.from_numpy(thermal)[None])
    assert (label[0].numpy() == expected.label).mean() >= 0.999
    assert np.abs(confidence[0].numpy().astype(int) - expected.confidence).max() <= 1


def test_the_temperature_of_the_caller_replaces_the_models(demo, cache):
    spec, network = demo
    backends = [
        select_engine(EngineRequest(network, spec, backend="torch", device="cpu", temperature=temperature))
        for temperature in (1.0, 10.0)
    ]
    sharp, soft = (backend.infer([pair(0)], SIZE)[0] for backend in backends)
    assert (sharp.label == soft.label).mean() >= 0.999
    assert soft.confidence.mean() < sharp.confidence.mean()


@pytest.mark.parametrize("name", list(NEEDS))
def test_every_run_may_have_a_temperature_of_its_own(demo, cache, name):
    spec, network = demo
    backend, _ = opened(demo, cache, name)
    (found,) = backend.infer([pair(0)], SIZE)
    (scaled,) = backend.infer([pair(0)], SIZE, [0.25])
    (again,) = backend.infer([pair(0)], SIZE, [1.0])
    request = EngineRequest(
        copy.deepcopy(network), spec, device="cpu", precision="fp32", temperature=4 * spec.temperature
    )
    (expected,) = TorchEngine(request).infer([pair(0)], SIZE)
    assert (scaled.label == expected.label).mean() >= 0.999
    assert np.abs(scaled.confidence.astype(int) - expected.confidence).max() <= 1
    assert scaled.confidence.mean() < found.confidence.mean() - 5
    np.testing.assert_array_equal(again.confidence, found.confidence)
    np.testing.assert_array_equal(again.label, found.label)


def test_pairs_of_one_run_may_have_different_temperatures(demo, cache):
    for backend in (opened(demo, cache, "torch")[0], TorchEngine(EngineRequest(demo[1], demo[0], device="cpu"))):
        batch = backend.infer([pair(0)] * 2, SIZE, [0.25, 1.0])
        for found, scale in zip(batch, (0.25, 1.0), strict=True):
            (alone,) = backend.infer([pair(0)], SIZE, [scale])
            assert np.abs(found.confidence.astype(int) - alone.confidence).max() <= 1
