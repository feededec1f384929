"""Engines that work, that are missing, that fail: each a row, and an error only where none works."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.benchmark import networks
from rgbt_seg_ros.benchmark.networks import measure
from rgbt_seg_ros.benchmark.probe import Fresh
from rgbt_seg_ros.benchmark.settings import Candidate, NetworkSettings, candidates_of
from rgbt_seg_ros.benchmark.timing import BenchError, Rounds
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.pipeline import backends
from rgbt_seg_ros.pipeline.backends import EngineError, TorchEngine, selection


class Other(TorchEngine):
    """An engine that is not torch's own, by its name."""

    def __init__(self, request):
        super().__init__(request)
        self.name = "other cpu fp32"


class Failing(Other):
    def infer(self, pairs, output_size, scales=None):
        raise RuntimeError("no kernel image is available\nfor execution")


@pytest.fixture
def engines(monkeypatch):
    """Replace the engines: openvino works, compile fails with the first image, onnxruntime is not built, tensorrt is missing."""

    def select_engine(request):
        assert request.exact
        if request.precision == "int8":
            raise SettingError("precision", f"{request.backend} does not support 'int8'")
        if request.backend == "onnxruntime":
            raise EngineError("onnxruntime cpu fp32 cannot be built")
        request.log.info(f"{request.backend} it is")
        return {"openvino": Other, "compile": Failing}.get(request.backend, TorchEngine)(request)

    lacks = {name: "" for name in backends.BACKENDS[1:]} | {"tensorrt": "tensorrt is not installed"}
    monkeypatch.setattr(backends, "available", lambda: lacks)
    monkeypatch.setattr(backends, "select_engine", select_engine)


def settings(names, precisions=("fp32",), **values):
    values = {"fresh": False, "scenes": 2, "rounds": Rounds(count=3, pause=0.0), **values}
    return NetworkSettings("atto", ((64, 64),), candidates_of(names, precisions), "cpu", **values)


def test_an_engine_that_works_has_every_figure(engines):
    report = measure(settings(("openvino",)))
    (row,) = report.rows
    found = row.to_dict()
    assert (found["backend"], found["precision"], found["size"]) == ("openvino", "fp32", [64, 64])
    assert found["rounds"] == 3
    assert found["scenes"] == 2
    assert found["label_agreement"] > 0.999
    assert found["problem"] == ""
    assert 0 < found["ratio_to_plain_eager_p10"] <= found["ratio_to_plain_eager"] <= found["ratio_to_plain_eager_p90"]
    # The forward alone is a part of plain eager's time.
    assert found["ratio_to_plain_forward"] < found["ratio_to_plain_eager"]
    assert report.plain[0].forward.median_ms < report.plain[0].latency.median_ms
    assert report.notes == ("openvino it is",)


@pytest.mark.nightly
@pytest.mark.parametrize(("flags", "said"), [({"avx512_vnni"}, True), ({"avx512_bf16"}, False)])
def test_a_precision_that_the_processor_emulates_is_noted(monkeypatch, flags, said):
    monkeypatch.setattr(selection, "read_flags", lambda: frozenset(flags))
    notes = measure(settings(("torch",), ("fp32", "bf16"))).notes
    assert any("no instructions for bf16" in note and "a third of the speed of fp32" in note for note in notes) == said


@pytest.mark.parametrize(
    ("name", "precision", "words"),
    [
        ("tensorrt", "fp32", "tensorrt is not installed"),
        ("compile", "fp32", "RuntimeError: no kernel image is available for execution"),
        ("onnxruntime", "fp32", "onnxruntime cpu fp32 cannot be built"),
        ("openvino", "int8", "openvino does not support 'int8'"),
    ],
)
def test_an_engine_that_does_not_is_a_row_beside_others_and_an_error_alone(engines, name, precision, words):
    report = measure(settings(("torch", name), ("fp32", precision)))
    row = next(row for row in report.rows if (row.backend, row.precision) == (name, precision))
    assert words in row.problem
    assert row.to_dict()["ratio_to_plain_eager"] is None
    assert next(row for row in report.rows if row.backend == "torch").latency is not None
    with pytest.raises(BenchError, match=words):
        measure(settings((name,), (precision,)))


def test_an_engine_that_fails_in_the_rounds_leaves_the_others_their_figures(engines, monkeypatch):
    runs = iter(range(9))
    monkeypatch.setattr(Failing, "infer", lambda *a: Other.infer(*a) if next(runs) < 4 else 1 / 0)
    broken, works = measure(settings(("compile", "openvino"))).rows
    assert (broken.problem, broken.latency) == ("ZeroDivisionError: division by zero", None)
    assert works.latency is not None


@pytest.mark.nightly
def test_torch_does_not_run_in_place_of_the_engine_in_a_fresh_process():
    with pytest.raises(BenchError, match=r"a fresh process ended with 1: .*'tensorrt' cannot be used here"):
        networks.probe("demo", Candidate("tensorrt", "fp32"), "cpu", (64, 64))


def test_a_fresh_process_that_fails_leaves_the_other_figures(engines, monkeypatch):
    def probe(model, candidate, device, size):
        if candidate.backend == "torch":
            raise BenchError("torch fp32: a fresh process ended with -9")
        return Fresh(1.0, 2.0, 300.0, 200.0, None)

    monkeypatch.setattr(networks, "probe", probe)
    first, second = measure(settings(("torch", "openvino"), fresh=True)).rows
    assert first.problem == "torch fp32: a fresh process ended with -9"
    assert first.latency is not None
    assert first.to_dict()["peak_memory_mb"] is None
    assert second.to_dict()["peak_memory_mb"] == 300.0


def test_all_is_every_engine_but_auto_and_nothing_comes_twice():
    found = candidates_of(("torch", "all"), ("fp32",))
    assert [candidate.backend for candidate in found] == list(backends.BACKENDS[1:])
    assert candidates_of(("torch", "torch"), ("bf16", "bf16")) == (Candidate("torch", "bf16"),)


@pytest.mark.parametrize(
    ("names", "precisions", "words"), [(("x",), ("fp32",), "backend: 'x'"), (("torch",), ("y",), "precision: 'y'")]
)
def test_names_that_are_none(names, precisions, words):
    with pytest.raises(SettingError, match=words):
        candidates_of(names, precisions)


@pytest.mark.parametrize("sizes", [((16, 640),), ((480, 99999),), ()])
def test_sizes_that_the_network_cannot_take(sizes):
    with pytest.raises(UserError, match="size"):
        NetworkSettings("atto", sizes, (Candidate("torch", "fp32"),))
