"""TensorRT's engine on a CPU, with a stand-in of the library: built once, read then, and what is said of failures."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest
import torch

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineError, EngineRequest, tensorrt_backend
from rgbt_seg_ros.pipeline.backends.checksums import seal
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.tensorrt_backend import TensorrtEngine

SIZE = (64, 96)


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def pair(seed):
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])


def test_images_are_cast_before_anything_else_is_done_to_them(demo):
    # TensorRT knows 8-bit inputs only as something to cast.
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
                return name in ("rgb", "thermal", "scale", "label", "confidence")

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
    module = Tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(
        tensorrt_backend, "export_onnx", lambda module, batch, size, path, scaled: path.write_bytes(b"onnx")
    )
    return module


def request_of(demo, tmp_path, **more):
    said: list[str] = []
    values = {"precision": "fp32", "cache": tmp_path, "log": logger_to(said.append), **more}
    return EngineRequest(demo[1], demo[0], **values), said


def test_a_tensorrt_engine_is_built_once_read_then_and_gives_masks_of_the_callers_own(demo, tensorrt, tmp_path):
    request, said = request_of(demo, tmp_path)
    for _ in range(2):
        engine = TensorrtEngine(request)
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
    TensorrtEngine(request).infer([pair(0)], SIZE)
    (file,) = tmp_path.rglob("model.engine")
    file.write_bytes(b"of another driver")
    seal(file.parent)
    TensorrtEngine(request).infer([pair(0)], SIZE)
    assert tensorrt.built == 2
    assert sum("cannot be used (TensorRT does not take it" in sentence for sentence in said) == 1
    assert file.read_bytes() == b"engine"


def test_a_build_says_how_far_it_is(demo, tensorrt, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, "TELL_EVERY", 0.0)
    request, said = request_of(demo, tmp_path)
    TensorrtEngine(request).infer([pair(0)], SIZE)
    assert said[-1] == "tensorrt: Timing, 2 of 3 steps"


@pytest.mark.parametrize(
    ("fails", "words"),
    [("parses", r"cannot read the network \(no such operator\)"), ("builds", "cannot build the network")],
)
def test_a_build_that_fails_is_one_sentence_and_leaves_nothing(demo, tensorrt, tmp_path, fails, words):
    setattr(tensorrt, fails, False)
    with pytest.raises(EngineError, match=words):
        TensorrtEngine(request_of(demo, tmp_path)[0]).infer([pair(0)], SIZE)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_tensorrt_before_10_is_refused(demo, tensorrt, tmp_path):
    tensorrt.__version__ = "8.6.1"
    with pytest.raises(SettingError, match=r"needs TensorRT 10 or newer, and this is 8\.6\.1"):
        TensorrtEngine(request_of(demo, tmp_path)[0])


def test_tensorrt_builds_and_reads_for_its_device_and_fills_buffers_in_its_stream(demo, tensorrt, cuda, tmp_path):
    request, _ = request_of(demo, tmp_path)
    TensorrtEngine(request).infer([pair(0)], SIZE)
    # Build, read, buffers, run.
    assert cuda == ["device", "device", "device", "enter", "device", "enter", "synchronize"]
