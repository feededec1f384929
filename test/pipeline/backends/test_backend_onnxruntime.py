"""ONNX Runtime's engine with a stand-in of the library: providers, what is kept of them, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineError, EngineRequest, onnxruntime_backend
from rgbt_seg_ros.pipeline.backends.onnxruntime_backend import OnnxruntimeEngine, select_providers

RGB = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
PAIR = (RGB, np.ascontiguousarray(RGB[..., 0]))
CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def test_onnxruntime_takes_tensorrt_before_cuda_before_the_cpu():
    device, precision, providers = select_providers("auto", "auto", [TRT, CUDA, CPU])
    assert (device, precision) == ("cuda:0", "fp16")
    assert [name for name, _ in providers] == [TRT, CUDA, CPU]
    assert select_providers("cuda:1", "fp32", [CUDA, CPU])[2][0][1]["device_id"] == 1
    assert select_providers("auto", "auto", [CPU]) == ("cpu", "fp32", [(CPU, {})])


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        ("cuda", "auto", "has no CUDAExecutionProvider"),
        ("cpu", "bf16", "does not run bf16 on cpu; expected auto, fp32"),
        ("gpu", "auto", "does not run on 'gpu'"),
        ("cuda:one", "auto", "does not run on 'cuda:one'"),
        ("cpu:1", "auto", "does not run on 'cpu:1'"),
    ],
)
def test_onnxruntime_refuses_what_it_has_not(device, precision, words):
    with pytest.raises(SettingError, match=words):
        select_providers(device, precision, [CPU])


class Onnxruntime:
    """As much of ONNX Runtime as the engine takes, on a machine where ``loads`` are the providers that load."""

    def __init__(self, loads):
        self.loads, self.sessions = loads, []

    def get_available_providers(self):
        return [TRT, CUDA, CPU]

    class SessionOptions:
        pass

    def InferenceSession(self, file, options, providers):
        self.sessions.append(dict(providers))
        used = [name for name, _ in providers if name in self.loads]

        class Session:
            def get_providers(self):
                return used

            def run(self, names, images):
                return images["thermal"], images["thermal"]

        return Session()


@pytest.fixture
def runtime(monkeypatch):
    def make(*loads):
        module = Onnxruntime(loads)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)
        monkeypatch.setattr(onnxruntime_backend, "export_onnx", lambda module, batch, size, path, scaled: path.touch())
        return module

    return make


def test_tensorrt_engines_of_onnxruntime_are_kept_apart_by_model_and_size(demo, runtime, tmp_path):
    module = runtime(TRT, CUDA, CPU)
    said: list[str] = []
    for temperature, size in ((1.0, (32, 64)), (2.0, (32, 64)), (1.0, (40, 64))):
        request = EngineRequest(demo[1], demo[0], temperature=temperature, cache=tmp_path, log=logger_to(said.append))
        OnnxruntimeEngine(request).infer([PAIR], size)
    places = [session[TRT]["trt_engine_cache_path"] for session in module.sessions]
    assert len(set(places)) == 3
    assert all(place.startswith(str(tmp_path)) for place in places)


def test_onnxruntime_says_which_provider_runs_and_gives_way_where_none_of_a_gpu_does(demo, runtime, tmp_path):
    said: list[str] = []
    request = EngineRequest(demo[1], demo[0], cache=tmp_path, log=logger_to(said.append))
    runtime(CUDA, CPU)
    backend = OnnxruntimeEngine(request)
    backend.infer([PAIR], (32, 64))
    assert backend.name == "onnxruntime cuda:0 fp16 (cuda)"
    assert said[-1].endswith("its provider tensorrt cannot be loaded, so cuda runs it")
    runtime(CPU)
    with pytest.raises(EngineError, match="none of its providers for a GPU can be loaded"):
        OnnxruntimeEngine(request).infer([PAIR], (32, 64))
