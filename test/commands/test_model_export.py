"""rgbt-seg model export: files that other runtimes read, and what it refuses."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine

SIZE = (64, 96)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_SEG_CACHE", str(tmp_path / "cache"))


def export(*arguments):
    return main(["model", "export", "demo", *map(str, arguments)])


def images():
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(coarse[..., :3]), np.ascontiguousarray(coarse[..., 3])


def check(label, confidence):
    spec, network = read_model("demo")
    (expected,) = TorchEngine(EngineRequest(network, spec, device="cpu", precision="fp32")).infer([images()], SIZE)
    assert (label[0] == expected.label).mean() >= 0.999
    assert np.abs(confidence[0].astype(int) - expected.confidence).max() <= 1


def test_an_onnx_file_gives_the_masks_in_onnxruntime(tmp_path, capsys):
    for module in ("onnx", "onnxscript"):
        pytest.importorskip(module)
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "demo.onnx"
    assert export("--to", "onnx", "--input-size", "64x96", "-o", path) == 0
    assert "onnx fp32 for images of 64x96" in capsys.readouterr().out
    rgb, thermal = images()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    check(*session.run(["label", "confidence"], {"rgb": rgb[None], "thermal": thermal[None]}))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["demo.onnx"]


def test_an_openvino_model_gives_the_masks(tmp_path):
    openvino = pytest.importorskip("openvino")
    path = tmp_path / "demo.xml"
    assert export("--to", "openvino", "--input-size", "64x96", "-o", path) == 0
    rgb, thermal = images()
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"rgb": rgb[None], "thermal": thermal[None]})
    check(found["label"], found["confidence"])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["demo.bin", "demo.xml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "onnx", "--precision", "int8"), "--precision: 'int8' is not one of auto, fp32, fp16 for onnx"),
        (("--to", "openvino", "--precision", "bf16"), "is not one of auto, fp32, int8 for openvino"),
        (("--to", "tensorrt"), "--to: 'tensorrt' cannot be written here: "),
        (("--to", "onnx", "--size", "16x64"), "--input-size: 16x64 has a side that is not 32 to"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_sentence(tmp_path, capsys, arguments, words):
    import torch

    if "tensorrt" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert export(*arguments, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_int8_is_calibrated_with_the_images_that_are_named_and_not_with_earlier_ones(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    from rgbt_seg_ros.pipeline.backends import openvino_backend

    calibrated = []

    def quantise(module, batch, size, batches):
        calibrated.append(len(list(batches)))
        return openvino_backend.convert(module, batch, size)

    monkeypatch.setattr(openvino_backend, "quantise", quantise)
    monkeypatch.setattr(openvino_backend, "attach_masks", lambda model, size, scaled: model)
    nncf = types.ModuleType("nncf")
    nncf.__spec__ = ModuleSpec("nncf", None)
    monkeypatch.setitem(sys.modules, "nncf", nncf)
    for scenes in (2, 3):
        to = (
            "--to",
            "openvino",
            "--precision",
            "int8",
            "--input-size",
            "64x96",
            "--calibrate",
            f"synthetic:{scenes}@100",
        )
        assert export(*to, "--force", "-o", tmp_path / "demo.xml") == 0
    assert calibrated == [2, 3]


def test_what_a_runtime_fails_at_is_one_sentence(tmp_path, capsys, monkeypatch):
    from rgbt_seg_ros.pipeline.backends import export as exporting
    from rgbt_seg_ros.pipeline.backends import onnx_model

    def fails(*_):
        raise RuntimeError("no such operator\nand a page more")

    monkeypatch.setattr(onnx_model, "export_onnx", fails)
    monkeypatch.setattr(exporting, "lacks_onnx", lambda: "")
    assert export("--to", "onnx", "-o", tmp_path / "out.onnx") == 2
    assert capsys.readouterr().err.endswith(": no such operator\n")
    monkeypatch.setattr(exporting, "lacks_onnx", lambda: "the Python package onnxscript is not installed")
    assert export("--to", "onnx", "-o", tmp_path / "out.onnx") == 2
    assert (
        "--to: 'onnx' cannot be written here: the Python package onnxscript is not installed" in capsys.readouterr().err
    )


def test_an_openvino_file_is_an_xml(tmp_path, capsys):
    pytest.importorskip("openvino")
    assert export("--to", "openvino", "-o", tmp_path / "out.bin") == 2
    assert "name the .xml" in capsys.readouterr().err


def test_an_output_that_exists_stays_without_force(tmp_path, capsys):
    path = tmp_path / "demo.onnx"
    path.write_text("mine")
    assert export("--to", "onnx", "-o", path) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert path.read_text() == "mine"
