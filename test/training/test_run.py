"""Whole runs, in this process: what they learn, what they leave, how they go on."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.data.synthetic import SyntheticScenes
from rgbt_seg_ros.evaluation.confusion import confusion_matrix, scores
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.training import export, trainer
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.config_file import load_config
from rgbt_seg_ros.training.distributed import Processes
from rgbt_seg_ros.training.initialise import initial_network, prepare_for_training
from rgbt_seg_ros.training.loading import Batch, Normaliser, SampleMaker, WorkerError
from rgbt_seg_ros.training.optimisation_config import EmaConfig, ScheduleConfig
from rgbt_seg_ros.training.run_folder import RunError, RunFolder
from rgbt_seg_ros.training.schema import ConfigError
from rgbt_seg_ros.training.steps import Stepper
from rgbt_seg_ros.training.trainer import Job, TrainingError, train
from rgbt_seg_ros.training.validation import ValidationItems

CPU = Processes(0, 1, torch.device("cpu"))


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


def stepper_on(config: TrainingConfig) -> Stepper:
    spec = export.spec_of(config, MFNET, "", [])
    network, _ = initial_network("random", spec, 0, config.loss.deep_supervision)
    return Stepper(prepare_for_training(network, CPU.device), spec, config, CPU, "fp32")


def test_one_epoch_on_eight_scenes_lowers_the_loss_and_leaves_a_whole_run(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ["run.epochs=2", "data.samples_per_epoch=64", "run.calibrate=true", "run.half=true"]
    config = load_config(tiny, [*overrides, "augmentation.modality_dropout={rgb_only: 0.1, thermal_only: 0.1}"])
    best = train(Job(folder, config, command=("rgbt-seg", "train")))
    first, second = log_of(folder)
    assert second["loss"] < 0.9 * first["loss"]
    assert {"miou", "miou_rgb", "miou_thermal", "iou", "best_miou", "images_per_second"} <= set(second)
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    assert (folder / "last.safetensors").is_file()
    assert not list(folder.glob(".*"))
    spec, network = read_model(best)
    assert not any("deep_heads" in key or "auxiliary" in key for key in network.state_dict())
    assert best.stat().st_size < 20e6
    assert spec.thermal_preprocessing.method == "percentile"
    assert spec.thermal.mean == (0.4,)
    assert spec.temperature != 1.0
    assert spec.provenance.trained
    assert spec.provenance.data == "synthetic:8@1"
    assert spec.provenance.command == "rgbt-seg train"
    assert "random weights, seed 0" in spec.provenance.source
    assert spec.provenance.metrics["miou"] == pytest.approx(max(r["miou"] for r in (first, second)), abs=1e-5)
    assert load_config(folder / "config.yaml") == config


def largest_crop(label: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """The window with the most classes of at least 150 pixels each."""

    def worth(corner: tuple[int, int]) -> tuple[int, int]:
        window = label[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
        counts = np.unique(window, return_counts=True)[1]
        return (len(counts) if counts.min() >= 150 else 0, int(counts.min()))

    rows, columns = (range(0, whole - part + 1, 16) for whole, part in zip(label.shape, size, strict=True))
    top, left = max(((y, x) for y in rows for x in columns), key=worth)
    return slice(top, top + size[0]), slice(left, left + size[1])


def test_four_scenes_are_learnt_by_heart(tiny: Path) -> None:
    overrides = [
        "data.size=[64, 96]",
        "optimiser.rate=3e-3",
        "optimiser.backbone_rate=3e-3",
        "optimiser.decay_vectors=false",
    ]
    losses = ["loss.cross_entropy=1", "loss.dice=0", "loss.lovasz=1", "loss.auxiliary=[0, 0]"]
    config = load_config(tiny, [*overrides, *losses])
    config = replace(
        config, schedule=ScheduleConfig("cosine", warmup=0.05), ema=EmaConfig(0.9), run=replace(config.run, epochs=1)
    )
    scenes = [SyntheticScenes(4, 1)[index] for index in range(4)]
    crops = [largest_crop(scene.label, (64, 96)) for scene in scenes]

    def stack(name: str) -> torch.Tensor:
        parts = [getattr(scene, name)[crop] for scene, crop in zip(scenes, crops, strict=True)]
        return torch.from_numpy(np.stack(parts))

    batch: Batch = (stack("rgb"), stack("thermal"), stack("label"))
    assert len(np.unique(batch[2].numpy())) >= 8
    stepper, steps = stepper_on(config), 70
    for step in range(steps):
        stepper.step(batch, step / steps, (step + 1) / steps)
    normaliser = Normaliser(export.spec_of(config, MFNET, "", []), CPU.device)
    with torch.inference_mode():
        logits = stepper.ema.network(*normaliser.images(batch[0], batch[1]))
    prediction = logits.argmax(1).to(torch.uint8).numpy()
    assert scores(confusion_matrix(batch[2].numpy(), prediction, 9)).miou > 0.9


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
    with pytest.raises(
        ConfigError, match=r"--resume: data\.batch, optimiser\.rate differ from what the run was started"
    ):
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


def poisoned(stepper_step: Any, bad: set[int]) -> Any:
    """Give the chosen steps class weights of NaN, as an overflow would: the loss is not finite."""
    count = 0

    def step(self: Stepper, *arguments: Any) -> Any:
        nonlocal count
        self._weights = torch.full((9,), float("nan")) if count in bad else None
        count += 1
        return stepper_step(self, *arguments)

    return step


def test_a_step_without_a_finite_loss_is_skipped_and_counted(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "step", poisoned(Stepper.step, {1}))
    train(Job(tmp_path / "run", load_config(tiny, ["run.epochs=1"])))
    record = log_of(tmp_path / "run")[0]
    assert record["skipped"] == 1
    assert np.isfinite(record["loss"])
    state = RunFolder(tmp_path / "run").read_checkpoint().state
    assert state["ema"]["updates"] == 1
    assert all(bool(torch.isfinite(t).all()) for t in state["network"].values())


def test_a_forward_pass_that_overflows_leaves_the_statistics_whole(tiny: Path) -> None:
    stepper = stepper_on(load_config(tiny))
    images = torch.full((2, 64, 64, 3), 100, dtype=torch.uint8)
    batch: Batch = (images, images[..., 0].clone(), torch.zeros((2, 64, 64), dtype=torch.uint8))
    before = [buffer.clone() for buffer in stepper.network.buffers()]
    weight = stepper.network.rgb_encoder.get_parameter("stem_0.weight")
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("inf"))
    assert stepper.step(batch, 0.1, 0.2).skipped
    with torch.no_grad():
        weight.copy_(kept)
    assert all(torch.equal(now, then) for now, then in zip(stepper.network.buffers(), before, strict=True))
    assert not stepper.step(batch, 0.1, 0.2).skipped


def test_a_loss_that_stays_infinite_stops_the_run_with_a_sentence(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "step", poisoned(Stepper.step, set(range(99))))
    with pytest.raises(TrainingError, match="epoch 1: 2 steps in a row without a finite loss"):
        train(Job(tmp_path / "run", load_config(tiny, ["run.max_skipped=2"])))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.train=[]", "data.train: no source"),
        ("data.val=[]", "data.val: no data to choose the best model by"),
        ("data.batch=9", "data.batch: 9 pairs, but an epoch has 8 samples only"),
        ("loss.class_weights.values=[1, 2]", "loss.class_weights.values: 2 weights, but there are 9 classes"),
        ("loss.class_weights.boosts={tree: 2}", "loss.class_weights.boosts.tree: not a class"),
        ("data.train=[{spec: nonsense}]", "'nonsense' names no data"),
        ("initialisation=nowhere.safetensors", "nowhere.safetensors: no such model file"),
        ("run.device=tpu", "'tpu' is not one of auto, cpu, cuda"),
        ("data.classes=pst900", "synthetic:8@1: the model has no class unlabeled, car, person"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_folder_is_made(
    tiny: Path, tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(trainer.UserError) as caught:
        train(Job(tmp_path / "run", load_config(tiny, [override])))
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_half_precision_on_the_cpu_is_bfloat16_only(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(trainer.UserError, match="'fp16' needs a CUDA device"):
        train(Job(tmp_path / "run", load_config(tiny, ["run.precision=fp16"])))
    train(Job(tmp_path / "run", load_config(tiny, ["run.precision=bf16", "run.epochs=1"])))
    assert np.isfinite(log_of(tmp_path / "run")[0]["loss"])


def broken(*_: object) -> Any:
    raise DataError("b.png: cannot be read")


def killed(*_: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("reader", ["training", "validation"])
def test_data_that_cannot_be_read_is_one_sentence_from_a_worker_too(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    owner, name = {"training": (SampleMaker, "__call__"), "validation": (ValidationItems, "_read")}[reader]
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(DataError) as caught:
        train(Job(tmp_path / "run", load_config(tiny, ["run.epochs=1", "data.workers=1"])))
    assert str(caught.value) == "b.png: cannot be read"


def test_a_worker_that_is_killed_ends_the_run_with_a_sentence(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SampleMaker, "__call__", killed)
    with pytest.raises(WorkerError, match=r"a process that reads samples was killed; memory may have run out"):
        train(Job(tmp_path / "run", load_config(tiny, ["data.workers=2"])))


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


def test_a_run_without_a_loss_scale_goes_on_where_there_is_one(tiny: Path) -> None:
    state: Any = stepper_on(load_config(tiny)).state()
    assert state["scaler"] == {}
    stepper = stepper_on(load_config(tiny))
    stepper.scaler = torch.amp.GradScaler("cpu", enabled=True)
    stepper.load(state)
    assert stepper.scaler.state_dict()["scale"] > 0


def test_a_run_folder_below_a_file_is_refused_first(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is not a folder"):
        train(Job(tmp_path / "file", load_config(tiny, ["data.train=[]"])))
