"""Runs that go on after they were stopped, and folders and checkpoints that cannot."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.training import export, trainer
from rgbt_seg_ros.training.config_file import load_config
from rgbt_seg_ros.training.run_folder import RunError, RunFolder
from rgbt_seg_ros.training.steps import Stepper
from rgbt_seg_ros.training.trainer import Job, train


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def flat(state: Any, prefix: str = "") -> dict[str, Any]:
    """Every leaf of nested dicts and lists by its path."""
    if isinstance(state, dict):
        return {k: v for key, entry in state.items() for k, v in flat(entry, f"{prefix}/{key}").items()}
    if isinstance(state, (list, tuple)):
        return {k: v for key, entry in enumerate(state) for k, v in flat(entry, f"{prefix}/{key}").items()}
    return {prefix: state}


def assert_same(one: Any, other: Any) -> None:
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    different = [
        key
        for key, value in one.items()
        if not (torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key])
    ]
    assert not different


def test_a_run_that_was_killed_goes_on_bit_for_bit(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(tiny, ["augmentation.modality_dropout.rgb_only=0.3"])
    train(Job(tmp_path / "straight", config))

    calls = 0
    step = Stepper.step

    def die_in_the_second_epoch(self: Stepper, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise SystemError("killed")
        return step(self, *arguments)

    monkeypatch.setattr(Stepper, "step", die_in_the_second_epoch)
    with pytest.raises(SystemError):
        train(Job(tmp_path / "broken", config))
    monkeypatch.undo()
    assert RunFolder(tmp_path / "broken").read_checkpoint().epoch == 1
    torch.manual_seed(12345)  # another process starts with another state
    train(Job(tmp_path / "broken", None, resume=True))

    straight, resumed = (RunFolder(tmp_path / name).read_checkpoint() for name in ("straight", "broken"))
    assert straight.epoch == resumed.epoch == 2
    assert_same(straight.state, resumed.state)
    assert straight.best == resumed.best
    timings = ("seconds", "images_per_second", "data_wait")
    for one, other in zip(log_of(tmp_path / "straight"), log_of(tmp_path / "broken"), strict=True):
        assert {k: v for k, v in one.items() if k not in timings} == {
            k: v for k, v in other.items() if k not in timings
        }


def test_workers_do_not_change_what_is_trained(tiny: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        train(Job(tmp_path / str(workers), load_config(tiny, ["run.epochs=1", f"data.workers={workers}"])))
    states = [RunFolder(tmp_path / name).read_checkpoint().state for name in ("0", "2")]
    assert_same(*states)


def test_a_finished_run_can_be_made_longer(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(Job(folder, load_config(tiny, ["run.epochs=1"])))
    train(Job(folder, load_config(tiny, ["run.epochs=2", "data.workers=1"]), resume=True))
    assert [record["epoch"] for record in log_of(folder)] == [1, 2]


def test_another_configuration_is_refused_at_resume_by_its_keys(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(Job(folder, load_config(tiny, ["run.epochs=1"])))
    changed = load_config(tiny, ["run.epochs=3", "optimiser.rate=1e-5", "data.batch=2"])
    with pytest.raises(RunError, match=r"--resume: data\.batch, optimiser\.rate differ from what the run was started"):
        train(Job(folder, changed, resume=True))


def test_what_was_measured_is_not_measured_again_at_resume(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ["loss.class_weights={mode: auto, samples: 4}", "thermal.normalisation=auto"]
    train(Job(folder, load_config(tiny, [*overrides, "run.epochs=1"])))
    resolved = load_config(folder / "config.yaml")
    assert len(resolved.loss.class_weights.values) == 9
    assert isinstance(resolved.thermal.normalisation, tuple)
    # Asked for as at the start, and by the folder's own file.
    train(Job(folder, load_config(tiny, [*overrides, "run.epochs=2"]), resume=True))
    assert load_config(folder / "config.yaml", ["run.epochs=1"]) == resolved
    train(Job(folder, load_config(folder / "config.yaml"), resume=True))


def test_a_folder_with_a_run_is_not_overwritten(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(Job(folder, load_config(tiny, ["run.epochs=1"])))
    before = (folder / "last.ckpt").read_bytes()
    with pytest.raises(RunError, match=r"run: holds a run already \(last\.ckpt\); --resume continues it"):
        train(Job(folder, load_config(tiny)))
    assert (folder / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_a_checkpoint_that_cannot_be_used_is_refused(tmp_path: Path, damage: str) -> None:
    folder = RunFolder(tmp_path)
    if damage == "truncated":
        torch.save({"format": 1, "x": torch.zeros(1000)}, folder.checkpoint)
        folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:1000])
    elif damage == "foreign":
        torch.save({"format": 1, "epoch": Path("x")}, folder.checkpoint)  # not to be unpickled
    with pytest.raises(RunError) as caught:
        folder.read_checkpoint()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ctrl_c_in_the_calibration_says_how_to_finish_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: Any) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return str(list(arguments[-1]([0, 1])))

    monkeypatch.setattr(trainer, "calibrate", interrupted)
    config = load_config(tiny, ["run.epochs=1", "run.calibrate=true"])
    with pytest.raises(KeyboardInterrupt):
        train(Job(tmp_path / "run", config))
    assert "interrupted after 1 whole epochs and before the calibration; go on with:" in capsys.readouterr().err
    monkeypatch.undo()
    train(Job(tmp_path / "run", None, resume=True))
    assert read_model(tmp_path / "run" / "best.safetensors")[0].temperature != 1.0


def test_a_resumed_run_keeps_its_commit_and_clears_what_a_kill_left(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr(trainer, "commit", lambda: "first")
    train(Job(folder, load_config(tiny, ["run.epochs=1"])))
    left = (folder / f".{'0a' * 8}.part", folder / "pictures" / f".{'ff' * 8}.part")
    mine = folder / ".my notes.part"
    for file in (*left, mine):
        file.write_text("x")
    monkeypatch.setattr(trainer, "commit", lambda: "second")
    train(Job(folder, load_config(tiny, ["run.epochs=2"]), resume=True))
    assert read_model(folder / "last.safetensors")[0].provenance.commit == "first"
    assert not any(file.exists() for file in left)
    assert mine.exists()


def test_a_best_model_newer_than_the_checkpoint_is_not_replaced_by_a_worse_one(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(Job(folder, load_config(tiny, ["run.epochs=1"])))
    spec, network = read_model(folder / "best.safetensors")
    metrics = {**spec.provenance.metrics, "miou": 0.99}
    better = replace(spec, provenance=replace(spec.provenance, metrics=metrics))
    export.write_network(folder / "best.safetensors", better, network, load_config(tiny).run)
    train(Job(folder, load_config(tiny, ["run.epochs=2"]), resume=True))
    assert log_of(folder)[-1]["best_miou"] == 0.99
    assert read_model(folder / "best.safetensors")[0] == better


def test_a_run_folder_below_a_file_is_refused_first(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is not a folder"):
        train(Job(tmp_path / "file", load_config(tiny, ["data.train=[]"])))
