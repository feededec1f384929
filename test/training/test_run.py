"""Whole runs, in this process: what they learn, what they leave, what they refuse."""

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
from rgbt_seg_ros.locks import folder_lock
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
from rgbt_seg_ros.training.steps import Stepper
from rgbt_seg_ros.training.trainer import Job, TrainingError, train
from rgbt_seg_ros.training.validation import ValidationItems

CPU = Processes(0, 1, torch.device("cpu"))


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def stepper_on(config: TrainingConfig) -> Stepper:
    spec = export.spec_of(config, MFNET, "", [])
    network, _ = initial_network("random", spec, 0, config.loss.deep_supervision)
    return Stepper(prepare_for_training(network, CPU.device), spec, config, CPU, "fp32")


def test_a_folder_in_which_another_run_writes_is_refused(tiny: Path, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "run"):
        with pytest.raises(RunError, match="run: another process is writing there"):
            train(Job(tmp_path / "run", load_config(tiny)))
        with pytest.raises(RunError, match="run: another process is writing there"):
            train(Job(tmp_path / "run", None, resume=True))
    assert not (tmp_path / "run").exists()


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


@pytest.mark.nightly
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
    stepper, steps = stepper_on(config), 50
    for step in range(steps):
        stepper.step(batch, step / steps, (step + 1) / steps)
    normaliser = Normaliser(export.spec_of(config, MFNET, "", []), CPU.device)
    with torch.inference_mode():
        logits = stepper.ema.network(*normaliser.images(batch[0], batch[1]))
    prediction = logits.argmax(1).to(torch.uint8).numpy()
    assert scores(confusion_matrix(batch[2].numpy(), prediction, 9)).miou > 0.9


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
        ("data.batch=9", "data.batch: 9 pairs, but an epoch has only 8 samples"),
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


def test_a_run_without_a_loss_scale_goes_on_where_there_is_one(tiny: Path) -> None:
    state: Any = stepper_on(load_config(tiny)).state()
    assert state["scaler"] == {}
    stepper = stepper_on(load_config(tiny))
    stepper.scaler = torch.amp.GradScaler("cpu", enabled=True)
    stepper.load(state)
    assert stepper.scaler.state_dict()["scale"] > 0
