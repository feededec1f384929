"""``rgbt-seg model temperature``: the model file with a fitted temperature, and nothing else changed."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
import torch

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.evaluation.temperature import stored_dtype
from rgbt_seg_ros.network import ModalityWorth, read_model, read_spec, write_model
from rgbt_seg_ros.pipeline import Segmenter

SIZE = (48, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    assert main(["model", "new", "--variant", "atto", "--input-size", "64x64", "--half", "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory, model):
    """Label masks that agree with the untrained model, which is never sure, nearly everywhere."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("rgb", "thermal", "labels"):
        (root / folder).mkdir()
    segmenter = Segmenter.open(model)
    for index in range(2):
        rng = np.random.default_rng(index)
        rgb = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1])
        thermal = cv2.resize(rng.integers(0, 256, (6, 8), dtype=np.uint8), SIZE[::-1])
        label = segmenter(rgb, thermal).label
        label[rng.random(SIZE) < 0.1] = 3
        for folder, image in (("rgb", rgb[..., ::-1]), ("thermal", thermal), ("labels", label)):
            assert cv2.imwrite(str(root / folder / f"{index}.png"), image)
    lines = [f"- {{id: {e.id}, name: {e.name}, color: {list(e.color)}}}" for e in segmenter.spec.classes]
    (root / "classes.yaml").write_text("\n".join(lines))
    return f"folder:{root}"


def fit(model, data, output, *more):
    return main(["model", "temperature", str(model), "--data", data, "-o", str(output), "--stride", "2", *more])


def test_only_the_metadata_changes_and_weights_stay_float16(tmp_path, model, data, capsys):
    output = tmp_path / "out.safetensors"
    assert fit(model, data, output) == 0
    printed = capsys.readouterr().out
    before, after = read_model(model), read_model(output)
    assert after[0].temperature < 1.0
    assert f"temperature 1 -> {after[0].temperature:.4g}" in printed
    assert after[0].provenance.source == f"untrained, seed 0; temperature fitted on {data}"
    assert set(after[0].provenance.metrics) == {"ece", "nll"}
    assert stored_dtype(output) == torch.float16
    for key, tensor in before[1].state_dict().items():
        assert torch.equal(tensor, after[1].state_dict()[key]), key


def test_a_fitted_file_evaluates_with_less_error(tmp_path, model, data):
    output = tmp_path / "out.safetensors"
    assert fit(model, data, output) == 0
    found = []
    for path in (model, output):
        assert main(["evaluate", "--model", str(path), "--data", data, "--json", str(tmp_path / "e.json")]) == 0
        found.append(json.loads((tmp_path / "e.json").read_text()))
    assert found[0]["miou"] == found[1]["miou"]
    assert found[1]["ece"] < 0.5 * found[0]["ece"]


def test_a_model_is_replaced_in_place_only_by_force(tmp_path, model, data, capsys):
    path = tmp_path / "m.safetensors"
    path.write_bytes(model.read_bytes())
    assert fit(path, data, path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_bytes() == model.read_bytes()
    assert fit(path, data, path, "--force") == 0
    assert read_spec(path).temperature != 1.0
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_place_that_cannot_be_written_is_said_before_anything_is_read(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for output, words in ((tmp_path / "pipe", "is a pipe"), (tmp_path / "none" / "m.safetensors", "is not a folder")):
        assert fit("no-model", "no-data", output, "--force") == 2
        assert f"{output}: " in (text := capsys.readouterr().err)
        assert words in text


def test_data_without_labels_is_refused_and_nothing_written(tmp_path, model, data, capsys):
    root = tmp_path / "boxes-only"
    for folder in ("rgb", "thermal"):
        (root / folder).mkdir(parents=True)
        assert cv2.imwrite(str(root / folder / "a.png"), np.zeros((*SIZE, 3), np.uint8))
    (root / "boxes").mkdir()
    (root / "boxes" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    output = tmp_path / "out.safetensors"
    assert fit(model, f"boxes:{root}", output) == 2
    assert "no label mask" in capsys.readouterr().err
    assert not output.exists()


def test_the_table_of_modalities_is_printed_written_and_shown_by_info(tmp_path, model, data, capsys):
    path = tmp_path / "m.safetensors"
    spec, network = read_model(model)
    spec = spec.with_modalities({"thermal": ModalityWorth(trained=True)})
    write_model(path, spec, network.state_dict())
    results = tmp_path / "out.json"
    assert fit(path, data, path, "--overwrite", "--measure", data, "--json", str(results)) == 0
    printed = capsys.readouterr().out
    found = read_spec(path).modalities
    content = json.loads(results.read_text())
    assert list(content) == ["rgbt", "thermal"]
    assert main(["model", "info", str(path)]) == 0
    told = capsys.readouterr().out
    for name in content:
        worth = found[name]
        assert {key: content[name][key] for key in ("temperature", "miou", "ece")} == {
            "temperature": worth.temperature,
            "miou": worth.miou,
            "ece": worth.ece,
        }
        row = [name, "yes", f"{worth.temperature:g}", f"{worth.miou:.4f}", f"{worth.ece:.4f}"]
        assert row in [line.split() for line in printed.splitlines()]
        assert row in [line.split() for line in told.splitlines()]
    assert ["rgb", "no", "1", "-", "-"] in [line.split() for line in told.splitlines()]
    assert main(["model", "info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["modalities"]["thermal"]["trained"] is True
