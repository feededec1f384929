"""``rgbt-seg model``: new, import and info; a bad file is one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.class_table import read_classes
from rgbt_seg_ros.network import FusionNetwork, read_model, read_spec
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.checkpoint import official_name
from rgbt_seg_ros.network.conventions import CONVENTIONS, MFNET

UNTRAINED = untrained_spec("atto", MFNET, seed=0)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    assert main(["model", "new", "--variant", "atto", "--classes", "mfnet", "-o", str(path)]) == 0
    return path.read_bytes()


@pytest.fixture
def model(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return path


def failure(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["model", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rgbt-seg: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_new_makes_the_same_model_for_the_same_seed(tmp_path, model):
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    for path, seed in ((again, "0"), (other, "1")):
        assert main(["model", "new", "--variant", "atto", "-o", str(path), "--seed", seed]) == 0
    weights = [read_model(path)[1].state_dict()["decoder.head.4.weight"] for path in (model, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_new_takes_a_class_table_and_an_input_size(tmp_path):
    table, path = tmp_path / "classes.yaml", tmp_path / "m.safetensors"
    table.write_text("- {id: 0, name: other, color: [0, 0, 0]}\n- {id: 1, name: deer, color: [9, 8, 7]}\n")
    arguments = ["--variant", "atto", "--classes", str(table), "--input-size", "64x96", "-o", str(path)]
    assert main(["model", "new", *arguments]) == 0
    spec = read_spec(path)
    assert [(entry.name, entry.color) for entry in spec.classes] == [
        ("other", (0, 0, 0)),
        ("deer", (9, 8, 7)),
    ]
    assert spec.input_size == (64, 96)


def test_the_shipped_tables_can_be_given():
    for name, convention in CONVENTIONS.items():
        table = Path(__file__).parents[2] / "config" / "classes" / f"{name}.yaml"
        assert read_classes(str(table)) == convention.classes


def test_info_says_what_the_model_is(model, capsys):
    capsys.readouterr()
    assert main(["model", "info", str(model)]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("atto", "UNTRAINED", "480x640", "guardrail", "(64, 64, 128)", "0.3616"))
    assert main(["model", "info", str(model), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"] == sum(p.numel() for p in FusionNetwork("atto", 9).parameters())
    assert data["provenance"]["trained"] is False


def test_info_of_the_demo_model_says_that_it_is_a_demonstration(capsys):
    assert main(["model", "info", "demo"]) == 0
    text = capsys.readouterr().out
    assert "UNTRAINED" not in text
    assert "demonstration" in text


def test_import_makes_a_model_of_an_official_checkpoint(tmp_path, capsys):
    network = new_network(UNTRAINED, seed=4)
    checkpoint, path = tmp_path / "best.pth", tmp_path / "out.safetensors"
    state = {official_name(key): tensor for key, tensor in network.state_dict().items()}
    torch.save({"model_state_dict": state, "epoch": 3}, checkpoint)
    assert main(["model", "import", str(checkpoint), "-o", str(path)]) == 0
    assert "UNTRAINED" not in capsys.readouterr().out
    spec, restored = read_model(path)
    assert spec.provenance.trained
    assert "best.pth" in spec.provenance.source
    for key, tensor in network.state_dict().items():
        assert torch.equal(restored.state_dict()[key], tensor), key


def test_an_existing_file_is_replaced_only_by_force(model, capsys):
    before = model.read_bytes()
    arguments = ["new", "--variant", "atto", "--seed", "9", "-o", str(model)]
    assert "--overwrite" in failure(capsys, *arguments)
    assert model.read_bytes() == before
    assert main(["model", *arguments, "--force"]) == 0
    assert model.read_bytes() != before


def test_a_bad_file_is_one_line_and_exit_code_2(model, tmp_path, capsys):
    out = str(tmp_path / "out.safetensors")
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    assert str(model) in failure(capsys, "info", str(model))
    failure(capsys, "info", str(tmp_path / "none"))
    failure(capsys, "import", str(model), "-o", out)
    failure(capsys, "import", str(tmp_path / "none.pth"), "-o", out)
    failure(capsys, "new", "--variant", "huge", "-o", out)
    failure(capsys, "new", "--variant", "atto", "--classes", str(tmp_path / "none.yaml"), "-o", out)
    failure(capsys, "new", "--variant", "atto", "--input-size", "16x16", "-o", out)
    assert [file.name for file in tmp_path.iterdir()] == [model.name]


@pytest.mark.parametrize("text", ["a: [", "5", "- {id: 0}", "- {id: 1, name: a, color: [0, 0, 0]}", "\x00", ""])
def test_a_wrong_class_table_is_one_line(tmp_path, capsys, text):
    table = tmp_path / "classes.yaml"
    table.write_text(text)
    failure(capsys, "new", "--variant", "atto", "--classes", str(table), "-o", str(tmp_path / "m"))
