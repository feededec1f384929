"""The loop of a run: epochs of steps, an evaluation after each, a checkpoint, a line in the log."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from rgbt_seg_ros.data.folders import write_image
from rgbt_seg_ros.decoding import encode
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.locks import folder_lock, remove_litter
from rgbt_seg_ros.network import MODALITIES, Modality, ModelSpec
from rgbt_seg_ros.pipeline.backends.devices import select_precision
from rgbt_seg_ros.training.board import Board
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.distributed import Processes, processes
from rgbt_seg_ros.training.draws import BatchSampler
from rgbt_seg_ros.training.export import calibrate, commit, spec_of, with_scores, write_network
from rgbt_seg_ros.training.initialise import initial_network, prepare_for_training
from rgbt_seg_ros.training.interruption import Interruption
from rgbt_seg_ros.training.loading import SampleMaker, WorkerError, iterate, neutral_of, training_loader
from rgbt_seg_ros.training.pictures import picture_grid
from rgbt_seg_ros.training.records import log_scores, summary
from rgbt_seg_ros.training.run_folder import Checkpoint, RunError, RunFolder, resumed_config
from rgbt_seg_ros.training.setup import RunData, open_data, resolve
from rgbt_seg_ros.training.steps import Stepper
from rgbt_seg_ros.training.validation import ValidationItems, validate


class TrainingError(UserError):
    """A run that cannot go on."""


@dataclass(frozen=True)
class Job:
    """What ``train`` is asked to do.

    Attributes:
        folder: Where the run is written.
        config: What to train; None only with ``resume``: as the run was started.
        resume: Whether to go on with the run in ``folder``.
        command: The command line, for the model file.
    """

    folder: Path
    config: TrainingConfig | None
    resume: bool = False
    command: tuple[str, ...] = ()


def train(job: Job) -> Path:
    """Run a whole training, or the rest of one; return the best model file.

    Raises:
        UserError: The configuration, the data or the folder cannot be used, or the loss does not stay finite.
        KeyboardInterrupt: A signal asked to stop; everything up to the last whole epoch is on the disk.
    """
    folder = RunFolder(job.folder)
    folder.check()
    # Of several processes of one run the first writes; torchrun ends the others when it stops.
    alone = folder_lock(folder.path, RunError) if os.environ.get("RANK", "0") == "0" else nullcontext()
    with alone:
        return _train(job, folder)


def _train(job: Job, folder: RunFolder) -> Path:
    checkpoint = None
    if job.resume:
        checkpoint = folder.read_checkpoint()
        config = resumed_config(job.config, checkpoint)
    else:
        assert job.config is not None
        folder.refuse_if_used()
        config = job.config
    fields = {"device": "run.device", "precision": "run.precision"}
    with name_settings(fields), processes(config.run.device) as group:
        data = open_data(config, check=group.first)
        if checkpoint is None:
            config = resolve(config, data, show=group.first)
        run = Run(folder, config, data, group, checkpoint, job)
        del checkpoint  # a second copy of all weights and averages
        with Interruption() as interruption:
            run.epochs(interruption)
    return folder.best


class Run:
    """The state of one run."""

    def __init__(
        self,
        folder: RunFolder,
        config: TrainingConfig,
        data: RunData,
        group: Processes,
        checkpoint: Checkpoint | None,
        job: Job,
    ) -> None:
        """Build the network and everything around it, from a checkpoint or from the start; write the first checkpoint."""
        self._folder, self._config, self._data, self._group = folder, config, data, group
        self._asked = checkpoint.asked if checkpoint else encode(job.config)
        precision = select_precision(config.run.precision, group.device)
        words = checkpoint.start if checkpoint else ""
        self._command = checkpoint.command if checkpoint else list(job.command)
        self._commit = checkpoint.commit if checkpoint else commit()
        spec = spec_of(config, data.convention, words, self._command)
        start = "random" if checkpoint else config.initialisation
        network, found = initial_network(start, spec, config.run.seed, config.loss.deep_supervision, group.first)
        self._start = words or found
        self._spec: ModelSpec = spec_of(
            config, data.convention, self._start, self._command, self._commit, data.grown_val
        )
        self._stepper = Stepper(prepare_for_training(network, group.device), self._spec, config, group, precision)
        self._sampler = BatchSampler(data.plan, config.data.batch, group.rank, group.count)
        neutral = neutral_of(self._spec)
        maker = SampleMaker(data.train, config.augmentation, config.data.size, neutral, config.run.seed)
        self._loader = training_loader(maker, self._sampler, config.data.workers, group.device.type == "cuda")
        self._items = ValidationItems(data.val, config.data.val_limit, self._spec.input_size)
        self._epoch, self._best = 0, -1.0
        if checkpoint:
            self._stepper.load(checkpoint.state)
            self._epoch, self._best = checkpoint.epoch, max(checkpoint.best, folder.best_score())
        if group.first:
            folder.create(config)
            remove_litter(folder.pictures)
            folder.forget_after(self._epoch)
            if not checkpoint:
                self._save()
        self._board = Board.open(folder.tensorboard, self._epoch) if group.first else Board(None)

    def epochs(self, interruption: Interruption) -> None:
        """Train until the last epoch is done, then calibrate the best model."""
        config = self._config
        print_first(
            self._group,
            f"{self._folder.path}: {config.variant}, {len(self._sampler)} steps an epoch, from {self._start}",
        )
        for words in self._data.grown_val:
            print_first(
                self._group, f"{words}: scores compare with label masks grown in boxes, not with annotated ones"
            )
        try:
            while self._epoch < config.run.epochs:
                self._one_epoch(interruption)
            if self._group.first and config.run.calibrate and self._folder.best.exists():
                self._calibrate(interruption)
            self._group.wait()
        except (KeyboardInterrupt, WorkerError, RuntimeError) as error:
            # A signal to the whole process group ends workers and other processes too, which shows first.
            if not isinstance(error, KeyboardInterrupt) and not interruption.asked:
                raise
            missing = " and before the calibration" if self._epoch == config.run.epochs else ""
            print_first(
                self._group,
                f"interrupted after {self._epoch} whole epochs{missing}; go on with: "
                f"rgbt-seg train -o {self._folder.path} --resume",
                file=sys.stderr,
            )
            raise KeyboardInterrupt from error
        finally:
            self._board.close()

    def _calibrate(self, interruption: Interruption) -> None:
        def watched(indices: Iterable[int]) -> Iterator[int]:
            for index in tqdm(indices, desc="calibrate", unit="pair", disable=None, leave=False):
                interruption.raise_if_asked()
                yield index

        config = self._config.run
        print(calibrate(self._folder.best, self._data.val_datasets, config, config.device, watched), flush=True)

    def _one_epoch(self, interruption: Interruption) -> None:
        epoch = self._epoch
        # What is random in an epoch (dropout) depends on its number alone, so that a resumed run needs no generator's state.
        torch.manual_seed(
            int(np.random.SeedSequence((self._config.run.seed, 4, epoch, self._group.rank)).generate_state(1)[0])
        )
        record: dict[str, Any] = {"epoch": epoch + 1, **self._steps(epoch, interruption)}
        last = epoch + 1 == self._config.run.epochs
        if self._group.first:
            if last or (epoch + 1) % self._config.run.evaluate_every == 0:
                record |= self._evaluate(epoch + 1, interruption)
            self._epoch = epoch + 1
            self._folder.append(record)
            self._board.scalars(record, epoch + 1)
            self._save()
            print(summary(record, self._config.run.epochs), flush=True)
        self._epoch = epoch + 1
        self._group.wait()

    def _steps(self, epoch: int, interruption: Interruption) -> dict[str, Any]:
        """Train one epoch; return what goes into the log."""
        steps, config = len(self._sampler), self._config
        self._sampler.set_epoch(epoch)
        self._stepper.network.train()
        sums: dict[str, float] = defaultdict(float)
        skipped = streak = 0
        waited, began = 0.0, time.perf_counter()
        hidden = None if self._group.first else True
        bar = tqdm(total=steps, desc=f"epoch {epoch + 1}/{config.run.epochs}", unit="step", disable=hidden, leave=False)
        self._stop_alone(interruption)
        asked = time.perf_counter()
        for step, batch in enumerate(iterate(self._loader)):
            waited += time.perf_counter() - asked
            result = self._stepper.step(batch, epoch + step / steps, epoch + (step + 1) / steps, interruption.asked)
            if result.stop:
                raise KeyboardInterrupt
            skipped += result.skipped
            streak = streak + 1 if result.skipped else 0
            if streak >= config.run.max_skipped:
                raise TrainingError(
                    f"epoch {epoch + 1}: {streak} steps in a row without a finite loss or gradient; a lower "
                    "optimiser.rate or run.precision=fp32 may help, and --resume goes on from the last whole epoch"
                )
            for name, value in result.losses.items():
                sums[name] += value
            bar.set_postfix(
                {name: f"{value:.3f}" for name, value in result.losses.items() if name == "loss"}, refresh=False
            )
            bar.update()
            self._stop_alone(interruption)
            asked = time.perf_counter()
        bar.close()
        seconds = time.perf_counter() - began
        return {
            **{name: value / max(1, steps - skipped) for name, value in sums.items()},
            "rate": max(group["lr"] for group in self._stepper.optimiser.param_groups),
            "skipped": skipped,
            "seconds": round(seconds, 3),
            "images_per_second": round(steps * config.data.batch / seconds, 3),
            "data_wait": round(waited / seconds, 4),
        }

    def _stop_alone(self, interruption: Interruption) -> None:
        """Stop before waiting for a batch that may not come any more; several processes ask each other in the step."""
        if self._group.count == 1:
            interruption.raise_if_asked()

    def _evaluate(self, epoch: int, interruption: Interruption) -> dict[str, Any]:
        """Score the averaged weights, write the pictures, and the model files; return what goes into the log."""
        config, network = self._config, self._stepper.ema.network
        modalities: tuple[Modality, ...] = MODALITIES if config.augmentation.modality_dropout.active else ("rgbt",)
        result = validate(
            network,
            self._spec,
            self._items,
            modalities,
            self._group.device,
            config.data.workers,
            config.run.pictures,
            interruption.raise_if_asked,
        )
        if result.shown:
            grid = picture_grid(result.shown, self._spec.classes)
            write_image(self._folder.pictures / f"epoch_{epoch:04d}.png", grid)
            self._board.picture("validation", grid, epoch)
        spec = with_scores(self._spec, result.scores, epoch)
        score = float(np.nan_to_num(result.scores["rgbt"].miou))
        if score > self._best:
            self._best = score
            write_network(self._folder.best, spec, network, config.run)
        write_network(self._folder.last, spec, network, config.run)
        return log_scores(result, self._spec) | {"best_miou": self._best}

    def _save(self) -> None:
        self._folder.write_checkpoint(
            Checkpoint(
                self._epoch,
                self._best,
                self._asked,
                encode(self._config),
                self._start,
                self._command,
                self._stepper.state(),
                self._commit,
            )
        )


def print_first(group: Processes, text: str, file: Any = None) -> None:
    """Print a line once, whatever the number of processes."""
    if group.first:
        print(text, file=file or sys.stdout, flush=True)
