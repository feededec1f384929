from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rgbt_seg_ros.cli import build_parser, main
from rgbt_seg_ros.commands.train import overrides

TINY = {
    "variant": "nano",
    "initialisation": "random",
    "data": {"size": [64, 64], "render_size": [64, 80], "batch": 2, "workers": 0},
    "loss": {"class_weights": {"mode": "none"}},
    "run": {"pictures": 0, "calibrate": False, "device": "cpu"},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def test_options_of_its_own_go_over_the_file_and_set_over_them(config: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = ["train", "--config", str(config), "-o", str(run), "--data", "synthetic:4@1", "--val", "synthetic:1@2"]
    assert main([*words, "--variant", "atto", "--epochs", "9", "--half", "--set", "run.epochs=1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "best.safetensors")
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert written["variant"] == "atto"
    assert (written["run"]["epochs"], written["run"]["half"]) == (1, True)
    assert written["data"]["train"] == [{"spec": "synthetic:4@1", "share": 0.0}]
    assert written["data"]["val"] == ["synthetic:1@2"]
    assert json.loads((run / "log.jsonl").read_text())["epoch"] == 1


def test_a_spec_with_yaml_in_its_path_stays_one_word() -> None:
    words = ["train", "-o", "r", "--data", "folder:a: [b]: 'c \U0001f4f7", "--val", "x#y"]
    args = build_parser().parse_args(words)
    loaded = [yaml.safe_load(word.partition("=")[2]) for word in overrides(args).values()]
    assert loaded == [[{"spec": "folder:a: [b]: 'c \U0001f4f7"}], ["x#y"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--config: missing"),
        (["--config", "nothing"], "nothing.yaml: not a readable training configuration"),
        (["--config", "paper", "--epochs", "0"], "--epochs: 0 is not at least 1"),
        (
            ["--config", "paper", "--set", "run.epocs=3"],
            "--set run.epocs: not a known key; expected one of epochs, seed,",
        ),
        (["--config", "paper", "--data", "mfnet:nowhere:train"], "nowhere"),
        (["--resume"], "no run to resume (no last.ckpt); start it without --resume"),
    ],
)
def test_a_refusal_is_one_line_and_makes_no_folder(words: list[str], expected: str, tmp_path: Path, capsys) -> None:
    assert main(["train", "-o", str(tmp_path / "run"), *words]) == 2
    errors = capsys.readouterr().err
    assert expected in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--set", "run.device=tpu"], "--set run.device: 'tpu' is not one of auto, cpu, cuda, cuda:N"),
        (["--device", "tpu"], "--device: 'tpu' is not one of"),
        (["--device", "cpu", "--set", "run={device: tpu}"], "--set run.device: 'tpu' is not one of"),
        (["--set", "run.device=cpu", "--precision", "fp16"], "--precision: 'fp16' needs a CUDA device"),
        (["--set", "run.device=cpu", "--set", "run.precision=fp16"], "--set run.precision: 'fp16' needs a CUDA device"),
    ],
)
def test_a_setting_is_refused_under_the_name_that_was_typed(words, expected, config, tmp_path, capsys) -> None:
    data = ["--data", "synthetic:2@1", "--val", "synthetic:1@2", "--variant", "atto"]
    assert main(["train", "--config", str(config), "-o", str(tmp_path / "run"), *data, *words]) == 2
    assert capsys.readouterr().err.startswith(f"rgbt-seg: error: {expected}")


def test_a_setting_of_the_file_is_refused_with_the_file_before_its_key(config, tmp_path, capsys) -> None:
    config.write_text(config.read_text().replace("device: cpu", "device: tpu"))
    assert main(["train", "--config", str(config), "-o", str(tmp_path / "run"), "--data", "synthetic:2@1"]) == 2
    assert capsys.readouterr().err.startswith(f"rgbt-seg: error: {config}: run.device: 'tpu' is not one of")
