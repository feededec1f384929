"""The engines of a GPU on a CPU, with stand-ins of torch.cuda and tensorrt that hold them to their rules."""

from __future__ import annotations

import contextlib
import ctypes

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import BackendError, EngineRequest, cuda_backend, tensorrt_backend
from rgbt_seg_ros.pipeline.backends.cuda_backend import CudaBackend
from rgbt_seg_ros.pipeline.backends.eager_backend import EagerBackend
from rgbt_seg_ros.pipeline.backends.tensorrt_backend import TensorrtBackend

SIZE = (64, 96)


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def pair(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(coarse[..., :3]), np.ascontiguousarray(coarse[..., 3])


class Recorder(TorchDispatchMode):
    """Keeps every operation with its tensors, and runs them again into the same tensors: what a CUDA graph does."""

    REFUSED = ("_local_scalar_dense", "nonzero", "is_nonzero", "lift_fresh")
    """What waits for the GPU, or brings a tensor from Python: a capture fails at it."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert not any(word in str(operation) for word in self.REFUSED), f"{operation} cannot be captured"
        found = operation(*args, **kwargs)
        self.operations.append((operation, args, kwargs, found))
        return found

    def replay(self):
        for operation, args, kwargs, found in self.operations:
            again = operation(*args, **kwargs)
            for old, new in zip(pytree.tree_leaves(found), pytree.tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.fixture
def cuda(monkeypatch):
    """Stand in for torch.cuda; return what was done, in order."""
    done: list[str] = []

    class Stream:
        cuda_stream = 7

        def __init__(self, device=None):
            pass

        def wait_stream(self, other):
            done.append("wait")

        def synchronize(self):
            done.append("synchronize")

    class Graph:
        def replay(self):
            done.append("replay")
            self.recorder.replay()

    @contextlib.contextmanager
    def capture(graph, stream=None, capture_error_mode="global"):
        done.append(f"capture {capture_error_mode}, measured {torch.backends.cudnn.benchmark}")
        graph.recorder = Recorder()
        with graph.recorder:
            yield

    @contextlib.contextmanager
    def stream(which):
        done.append("enter")
        yield

    for name, value in {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "graph": capture,
        "stream": stream,
        "device": lambda device: contextlib.nullcontext(done.append("device")),
        "current_stream": lambda device=None: Stream(),
        "get_device_name": lambda device=None: "Stand-in 5000",
        "empty_cache": lambda: done.append("empty"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **more: empty(*size, **more))
    for module in (cuda_backend, tensorrt_backend):
        monkeypatch.setattr(module, "select_cuda", lambda name, backend: torch.device("cpu"))
    return done


def test_a_graph_gives_what_the_network_gives_for_every_new_image(demo, cuda):
    request = EngineRequest(demo[1], demo[0], precision="fp32")
    engine, plain = CudaBackend(request), EagerBackend(EngineRequest(demo[1], demo[0], "cpu"))
    kept = []
    for seed in range(3):
        (found,), (expected,) = (backend.infer([pair(seed)], (90, 130)) for backend in (engine, plain))
        np.testing.assert_array_equal(found.label, expected.label)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        kept.append((found.label, found.label.copy()))
    assert len({copy.tobytes() for _, copy in kept}) == 3
    for label, copy in kept:
        np.testing.assert_array_equal(label, copy)


def test_a_graph_is_captured_after_a_warm_up_without_disturbing_other_threads(demo, cuda):
    assert not torch.backends.cudnn.benchmark
    engine = CudaBackend(EngineRequest(demo[1], demo[0], precision="fp32"))
    engine.infer([pair(0)], SIZE)
    once = ["wait", "device", "enter", "synchronize", "capture thread_local, measured True"]
    run = ["device", "enter", "replay", "synchronize"]
    assert cuda == once + run
    assert not torch.backends.cudnn.benchmark
    engine.infer([pair(1)], SIZE)
    assert cuda == once + run + run
    engine.close()
    assert cuda[-1] == "empty"


def test_images_are_cast_before_anything_else_is_done_to_them(demo):
    # TensorRT knows 8-bit inputs only as something to cast.
    from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks

    module = ImagesToMasks(demo[1], demo[0], SIZE, SIZE)
    images = torch.zeros((1, *SIZE, 3), dtype=torch.uint8), torch.zeros((1, *SIZE), dtype=torch.uint8)
    program = torch.export.export(module, images)
    bytes_in = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in ("rgb", "thermal")]
    assert len(bytes_in) == 2
    for node in bytes_in:
        (used,) = (user for user in node.users if "_assert_tensor_metadata" not in str(user.target))
        assert "to" in str(used.target)
        assert used.args[1] == torch.float32


class Tensorrt:
    """As much of TensorRT 10 as the engine takes; its network labels a pixel by its red, and is as sure as it is warm."""

    def __init__(self):
        self.__version__ = "10.9.0"
        self.parses, self.builds, self.built, self.done = True, True, 0, []
        module = self

        class Logger:
            ERROR = 1

            def __init__(self, level):
                module.done.append("logger")

        class NetworkDefinitionCreationFlag:
            STRONGLY_TYPED = 1

        class IProgressMonitor:
            pass

        class Builder:
            def __init__(self, logger):
                assert isinstance(logger, Logger)

            def create_network(self, flags):
                assert flags == 2
                return "network"

            def create_builder_config(self):
                return type("Config", (), {})()

            def build_serialized_network(self, network, config):
                module.built += 1
                config.progress_monitor.phase_start("Timing", None, 3)
                assert config.progress_monitor.step_complete("Timing", 1) is True
                config.progress_monitor.phase_finish("Timing")
                return bytearray(b"engine") if module.builds else None

        class OnnxParser:
            num_errors = 1

            def __init__(self, network, logger):
                pass

            def parse(self, data):
                return data == b"onnx" and module.parses

            def get_error(self, index):
                return type("Error", (), {"desc": lambda self: "no such operator"})()

        class Context:
            def __init__(self):
                self.addresses = {}

            def set_tensor_address(self, name, address):
                self.addresses[name] = address
                return name in ("rgb", "thermal", "label", "confidence")

            def execute_async_v3(self, stream):
                assert stream == 7

                def at(name, size):
                    raw = (ctypes.c_uint8 * int(np.prod(size))).from_address(self.addresses[name])
                    return np.frombuffer(raw, np.uint8).reshape(size)

                at("label", SIZE)[:] = at("rgb", (*SIZE, 3))[..., 0]
                at("confidence", SIZE)[:] = at("thermal", SIZE)
                return True

        class Engine:
            def create_execution_context(self):
                return Context()

        class Runtime:
            def __init__(self, logger):
                assert isinstance(logger, Logger)

            def deserialize_cuda_engine(self, data):
                return Engine() if data == b"engine" else None

        self.Logger, self.NetworkDefinitionCreationFlag = Logger, NetworkDefinitionCreationFlag
        self.IProgressMonitor, self.Builder, self.OnnxParser, self.Runtime = (
            IProgressMonitor,
            Builder,
            OnnxParser,
            Runtime,
        )


@pytest.fixture
def tensorrt(monkeypatch, cuda):
    import sys

    module = Tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(tensorrt_backend, "export_onnx", lambda module, batch, size, path: path.write_bytes(b"onnx"))
    return module


def request_of(demo, tmp_path, **more):
    said: list[str] = []
    values = {"precision": "fp32", "cache": tmp_path, "report": said.append, "warn": said.append, **more}
    return EngineRequest(demo[1], demo[0], **values), said


def test_a_tensorrt_engine_is_built_once_read_then_and_gives_masks_of_the_callers_own(demo, tensorrt, tmp_path):
    request, said = request_of(demo, tmp_path)
    for _ in range(2):
        engine = TensorrtBackend(request)
        found = [engine.infer([pair(seed)], SIZE)[0] for seed in range(2)]
        for seed, masks in enumerate(found):
            np.testing.assert_array_equal(masks.label, pair(seed)[0][..., 0])
            np.testing.assert_array_equal(masks.confidence, pair(seed)[1])
    assert engine.built
    assert tensorrt.built == 1
    assert [sentence.partition(" for ")[0] for sentence in said] == ["tensorrt cpu fp32: building"]
    # TensorRT goes on using the first logger of a process.
    assert tensorrt.done == ["logger"]


def test_an_engine_that_tensorrt_refuses_is_built_anew_with_one_warning(demo, tensorrt, tmp_path):
    request, said = request_of(demo, tmp_path)
    TensorrtBackend(request).infer([pair(0)], SIZE)
    (file,) = tmp_path.rglob("model.engine")
    file.write_bytes(b"of another driver")
    TensorrtBackend(request).infer([pair(0)], SIZE)
    assert tensorrt.built == 2
    assert sum("cannot be read (TensorRT does not take it" in sentence for sentence in said) == 1
    assert file.read_bytes() == b"engine"


def test_a_build_says_how_far_it_is(demo, tensorrt, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, "TELL_EVERY", 0.0)
    request, said = request_of(demo, tmp_path)
    TensorrtBackend(request).infer([pair(0)], SIZE)
    assert said[-1] == "tensorrt: Timing, 2 of 3 steps"


@pytest.mark.parametrize(
    ("fails", "words"),
    [("parses", r"cannot read the network \(no such operator\)"), ("builds", "cannot build the network")],
)
def test_a_build_that_fails_is_one_sentence_and_leaves_nothing(demo, tensorrt, tmp_path, fails, words):
    setattr(tensorrt, fails, False)
    with pytest.raises(BackendError, match=words):
        TensorrtBackend(request_of(demo, tmp_path)[0]).infer([pair(0)], SIZE)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_tensorrt_before_10_is_refused(demo, tensorrt, tmp_path):
    tensorrt.__version__ = "8.6.1"
    with pytest.raises(BackendError, match=r"needs TensorRT 10 or newer, and this is 8\.6\.1"):
        TensorrtBackend(request_of(demo, tmp_path)[0])


def test_tensorrt_builds_and_reads_for_its_device_and_fills_buffers_in_its_stream(demo, tensorrt, cuda, tmp_path):
    request, _ = request_of(demo, tmp_path)
    TensorrtBackend(request).infer([pair(0)], SIZE)
    # Build, read, buffers, run.
    assert cuda == ["device", "device", "device", "enter", "device", "enter", "synchronize"]
