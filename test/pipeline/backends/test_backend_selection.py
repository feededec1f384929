"""Which engine runs: by name, automatically, and when one fails."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.backends import (
    BACKENDS,
    Engine,
    EngineError,
    EngineRequest,
    Inference,
    available,
    select_engine,
    selection,
)
from rgbt_seg_ros.pipeline.backends.cache import cache_folder, cached, entry_name, model_hash
from rgbt_seg_ros.pipeline.backends.compile_backend import CompileEngine
from rgbt_seg_ros.pipeline.backends.fallback import FallbackEngine
from rgbt_seg_ros.pipeline.backends.sized import Shape
from rgbt_seg_ros.pipeline.backends.tensorrt_backend import engine_name

RGB = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
PAIR = (RGB, np.ascontiguousarray(RGB[..., 0]))


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


@pytest.fixture
def bare(monkeypatch):
    """A machine where nothing but torch is installed."""
    monkeypatch.setattr(
        selection, "available", lambda: {name: "" if name == "torch" else "not here" for name in BACKENDS[1:]}
    )


def test_every_backend_says_whether_it_can_be_used():
    reasons = available()
    assert tuple(reasons) == BACKENDS[1:]
    assert reasons["torch"] == ""


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert available()["openvino"] == (
        "the Python package openvino is not installed; pip install 'rgbt_seg_ros[openvino]'"
    )


def opened(demo, cache, **request):
    return select_engine(EngineRequest(demo[1], demo[0], **{"device": "cpu", "cache": cache, **request}))


@pytest.mark.parametrize("name", BACKENDS[2:])
def test_what_cannot_be_used_gives_way_to_torch_with_one_warning(demo, bare, tmp_path, name):
    said: list[str] = []
    engine = opened(demo, tmp_path, backend=name, log=logger_to(said.append))
    engine.infer([PAIR], (32, 64))
    assert (engine.name, engine.backend, engine.device, engine.precision) == ("torch cpu fp32", "torch", "cpu", "fp32")
    assert said == [f"backend: '{name}' cannot be used here: not here; torch cpu fp32 runs instead"]


@pytest.mark.parametrize("name", BACKENDS[2:])
def test_an_engine_that_alone_may_run_does_not_give_way(demo, bare, tmp_path, name):
    with pytest.raises(SettingError, match=f"'{name}' cannot be used here: not here") as caught:
        opened(demo, tmp_path, backend=name, exact=True)
    assert caught.value.key == "backend"


@pytest.mark.parametrize("name", ["auto", "compile"])
def test_an_engine_that_was_built_elsewhere_needs_no_compiler(demo, bare, tmp_path, monkeypatch, name):
    monkeypatch.setattr(CompileEngine, "built", True)
    warned: list[str] = []
    engine = opened(demo, tmp_path, backend=name, log=logger_to(lambda _: None, warned.append))
    assert (engine.name, engine.backend, warned) == ("compile cpu fp32", "compile", [])


def test_auto_takes_torch_where_nothing_else_is_and_says_why(demo, bare, tmp_path):
    said: list[str] = []
    assert opened(demo, tmp_path, log=logger_to(said.append)).name == "torch cpu fp32"
    assert len(said) == 1
    assert said[0].startswith("backend: auto chose torch cpu fp32 (")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backend": "caffe"}, "backend: 'caffe' is not one of auto, torch, compile"),
        ({"precision": "int4"}, "precision: 'int4' is not one of"),
        ({"device": "tpu"}, "device: 'tpu' is not one of auto, cpu"),
        ({"device": "gpu0"}, "device: 'gpu0' is not one of auto, cpu"),
        ({"device": "cuda:one", "backend": "onnxruntime"}, "device: 'cuda:one' is not one of auto, cpu"),
        ({"backend": "torch", "device": "cpu", "precision": "int8"}, "'int8' needs the backend openvino"),
        ({"backend": "torch", "device": "cpu", "precision": "fp16"}, "use fp32 or bf16"),
    ],
)
def test_wrong_names_are_refused_in_one_sentence(demo, settings, words):
    with pytest.raises(SettingError, match=words):
        select_engine(EngineRequest(demo[1], demo[0], **settings))


class StandIn(Engine):
    def __init__(self, name, fails=False):
        self.name, self.fails, self.closed = name, fails, False

    def infer(self, pairs, output_size, scales=None):
        if self.fails:
            raise EngineError(f"{self.name} fails: no memory")
        mask = np.zeros(output_size, np.uint8)
        return [Inference(mask, mask, {})]

    def close(self):
        self.closed = True


def test_an_engine_that_fails_while_running_is_closed_and_replaced_once():
    first, second, said = StandIn("first"), StandIn("second"), []
    chain = FallbackEngine([lambda: first, lambda: second], logger_to(said.append))
    chain.infer([PAIR], (2, 2))
    assert (chain.name, said) == ("first", [])
    first.fails = True
    for _ in range(2):
        assert len(chain.infer([PAIR], (2, 2))) == 1
    assert chain.name == "second"
    assert first.closed
    assert said == ["first fails: no memory; second runs instead"]
    second.fails = True
    with pytest.raises(EngineError, match="second fails"):
        chain.infer([PAIR], (2, 2))


def test_an_engine_says_what_it_is_being_built_for_and_when_that_ended(demo, bare, monkeypatch):
    from rgbt_seg_ros.pipeline.backends.eager_backend import EagerEngine

    backend, seen = opened(demo, None, backend="openvino", log=logger_to(print)), []
    build = EagerEngine._build
    monkeypatch.setattr(
        EagerEngine, "_build", lambda self, shape: (seen.append(backend.building), build(self, shape))[1]
    )
    assert (backend.building, backend.built_at) == (None, -math.inf)
    for _ in range(2):
        backend.infer([PAIR], (64, 128))
    (at,) = seen
    assert at.size == (64, 128)
    assert backend.building is None
    assert backend.built_at >= at.since


def test_an_engine_that_cannot_be_built_is_being_built_no_longer(demo, monkeypatch):
    from rgbt_seg_ros.pipeline.backends.eager_backend import EagerEngine

    backend = opened(demo, None, backend="torch")
    monkeypatch.setattr(EagerEngine, "_build", lambda self, shape: 1 / 0)
    with pytest.raises(EngineError, match="cannot be built"):
        backend.infer([PAIR], (64, 128))
    assert backend.building is None
    assert backend.built_at > 0


def test_opening_another_engine_in_place_of_one_that_fails_counts_as_building():
    first, seen = StandIn("first", fails=True), []

    def opener():
        seen.append(chain.building)
        return StandIn("second")

    chain = FallbackEngine([lambda: first, opener], logger_to(print))
    chain.infer([PAIR], (2, 2))
    assert seen[0].size == (2, 2)
    assert chain.building is None
    assert chain.built_at >= seen[0].since


def test_a_library_that_does_not_load_gives_way():
    def broken():
        raise ImportError("libfoo.so: cannot open shared object file\nmore")

    said: list[str] = []
    assert FallbackEngine([broken, lambda: StandIn("second")], logger_to(said.append)).name == "second"
    assert said == ["libfoo.so: cannot open shared object file; second runs instead"]


@pytest.mark.parametrize("error", [TypeError("Descriptors cannot be created directly"), RuntimeError("no plugin")])
def test_libraries_that_do_not_fit_each_other_give_way_by_name_and_by_auto(demo, monkeypatch, tmp_path, error):
    found = selection._open

    def open_one(name, request):
        if name != "torch":
            raise error
        return found(name, request)

    monkeypatch.setattr(selection, "_open", open_one)
    monkeypatch.setattr(selection, "available", lambda: dict.fromkeys(BACKENDS[1:], ""))
    for name in ("openvino", "auto"):
        said: list[str] = []
        backend = opened(demo, tmp_path, backend=name, log=logger_to(lambda _: None, said.append))
        assert backend.name == "torch cpu fp32"
        assert said == [f"{error}; torch cpu fp32 runs instead"]


def test_an_engine_that_is_too_broken_to_close_gives_way_too():
    first, said = StandIn("first", fails=True), []
    first.close = lambda: 1 / 0
    chain = FallbackEngine([lambda: first, lambda: StandIn("second")], logger_to(said.append))
    chain.infer([PAIR], (2, 2))
    assert chain.name == "second"


def test_the_segmenter_opens_the_backend_of_its_settings(bare):
    segmenter = Segmenter.open("demo", SegmenterSettings(backend="torch", device="cpu"))
    assert segmenter.name == "atto on torch cpu fp32"
    with pytest.raises(Exception, match=r"^backend: 'caffe' is not one of"):
        SegmenterSettings(backend="caffe")


def test_the_hash_follows_weights_normalisation_and_temperature(demo):
    spec, network = demo
    one = model_hash(network, spec, 1.0)
    assert one == model_hash(read_model("demo")[1], spec, 1.0)
    assert one != model_hash(network, spec, 1.5)
    other = read_model("demo")[1]
    next(other.parameters()).data[0] += 1e-3
    assert one != model_hash(other, spec, 1.0)


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.delenv("RGBT_SEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "rgbt_seg_ros"
    monkeypatch.setenv("RGBT_SEG_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_a_build_that_fails_leaves_nothing_and_one_that_works_is_kept(tmp_path):
    place = tmp_path / "engines" / "one"

    def fails(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        cached(place, fails)
    assert list(place.parent.iterdir()) == []
    assert cached(place, lambda folder: (folder / "whole").write_text("x")) == (place, True)
    assert cached(place, fails) == (place, False)


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="the cache of engines cannot be written"):
        cached(tmp_path / "file" / "one", lambda folder: None)


def test_engines_are_kept_apart_by_gpu_precision_and_version():
    shape = Shape(1, (480, 640), (720, 1280))
    base = ("abc", shape, "NVIDIA H100 80GB HBM3", "fp16", "10.9.0")
    assert engine_name(*base) == "abc_1x480x640-720x1280_NVIDIA-H100-80GB-HBM3_fp16_10.9.0"
    others = [("abd", *base[1:]), (*base[:2], "Orin", *base[3:]), (*base[:3], "fp32", base[4]), (*base[:4], "10.10.0")]
    assert len({engine_name(*base), *(engine_name(*other) for other in others)}) == 5
    assert entry_name("a/b c", 1) == "a-b-c_1"
