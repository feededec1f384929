"""What a run leaves on the disk: ``config.yaml``, ``log.jsonl``, ``last.ckpt``, model files, pictures, TensorBoard files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.decoding import decode, differences, encode
from rgbt_seg_ros.errors import UserError, in_words
from rgbt_seg_ros.files import check_place, replacing
from rgbt_seg_ros.network.model_file import ModelFileError, read_spec
from rgbt_seg_ros.network.torch_file import read_torch_file
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.config_file import dump_config

FORMAT = 1

MAY_CHANGE = ("run.epochs", "data.workers")
"""Keys that may change when a run is resumed."""


class RunError(UserError):
    """A run folder that cannot be used as asked."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run goes on from after a number of whole epochs.

    No generator's state is in it: what is random in an epoch is seeded by the run's seed and the epoch's number.

    Attributes:
        epoch: Epochs that are complete.
        best: Best score so far; -1 before the first.
        asked: The configuration as it was given, encoded.
        resolved: The same with everything measured filled in, encoded.
        start: In words, what the weights started from.
        command: The command line that started the run.
        state: State dicts by name: ``network``, ``ema``, ``optimiser``, ``scaler``.
        commit: Of this package when the run was started; empty: not known.
    """

    epoch: int
    best: float
    asked: dict[str, Any]
    resolved: dict[str, Any]
    start: str
    command: list[str]
    state: dict[str, Any]
    commit: str = ""


def write_beside(path: Path, write: Any, *causes: type[Exception]) -> None:
    """Call ``write`` with a path beside ``path``, flush it to the disk and rename it.

    Args:
        path: What is replaced.
        write: Takes the path to write to.
        causes: What it raises, beside OSError, where that cannot be written.

    Raises:
        RunError: The place cannot be written.
    """
    with replacing(path, failure=RunError, causes=causes) as (beside,):
        write(beside)


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: str | Path) -> None:
        """Name the folder; nothing is made yet."""
        self.path = Path(path)
        self.checkpoint = self.path / "last.ckpt"
        self.best = self.path / "best.safetensors"
        self.last = self.path / "last.safetensors"
        self.log = self.path / "log.jsonl"
        self.pictures = self.path / "pictures"
        self.tensorboard = self.path / "tensorboard"

    def check(self) -> None:
        """Refuse a folder that nothing can be written to, before anything is computed.

        Raises:
            RunError: It, or something above it, is a file or read-only.
        """
        check_place(self.checkpoint, RunError)

    def best_score(self) -> float:
        """Return the mIoU in the best model file, which may be an epoch newer than the checkpoint; -1 where there is none."""
        try:
            return float(read_spec(self.best).provenance.metrics.get("miou", -1.0))
        except ModelFileError:
            return -1.0

    def refuse_if_used(self) -> None:
        """Refuse a folder that already holds a run.

        Raises:
            RunError: It does.
        """
        for file in (self.checkpoint, self.log, self.best):
            if file.exists():
                raise RunError(f"{self.path}: holds a run already ({file.name}); --resume continues it")

    def create(self, config: TrainingConfig) -> None:
        """Make the folder and write the resolved configuration.

        Raises:
            RunError: It cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be made ({error})") from error
        write_beside(self.path / "config.yaml", lambda path: path.write_text(dump_config(config), encoding="utf-8"))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        content = {"format": FORMAT, **vars(checkpoint)}
        # torch.save reports a full disk as RuntimeError.
        write_beside(self.checkpoint, lambda path: torch.save(content, path), RuntimeError)

    def read_checkpoint(self) -> Checkpoint:
        """Read the checkpoint, unpickling nothing but tensors, numbers, text and their tables.

        Raises:
            RunError: There is none, or it is damaged or of another format.
        """
        if not self.checkpoint.is_file():
            raise RunError(f"{self.path}: no run to resume (no {self.checkpoint.name}); start it without --resume")
        content = read_torch_file(self.checkpoint, RunError)
        try:
            version = content.pop("format")
            if version == FORMAT:
                return Checkpoint(**content)  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise RunError(f"{self.checkpoint}: not a checkpoint of a run ({in_words(error)})") from error
        raise RunError(f"{self.checkpoint}: format {version!r}, but this rgbt_seg_ros reads {FORMAT}")

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to the log."""
        try:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise RunError(f"{self.log}: cannot be written ({error})") from error

    def forget_after(self, epoch: int) -> None:
        """Drop log lines of epochs that come again: a run killed after its log line and before its checkpoint has one."""
        if not self.log.is_file():
            return
        kept = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["epoch"] <= epoch:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # half a line, the last of a killed run
        write_beside(self.log, lambda path: path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8"))


def resumed_config(asked: TrainingConfig | None, checkpoint: Checkpoint) -> TrainingConfig:
    """Return the configuration a resumed run goes on with.

    Args:
        asked: What is asked for now; None: what the run was started with.
        checkpoint: Where the run stands.

    Raises:
        RunError: Something else than ``MAY_CHANGE`` differs; the sentence names the keys.
    """
    resolved = dict(checkpoint.resolved)
    if asked is not None:
        now = encode(asked)
        # The folder's own config.yaml is the resolved one.
        forbidden, also = (
            [key for key in differences(before, now) if key not in MAY_CHANGE]
            for before in (checkpoint.asked, checkpoint.resolved)
        )
        if forbidden and also:
            raise RunError(
                f"--resume: {', '.join(forbidden)} differ from what the run was started with; "
                f"only {' and '.join(MAY_CHANGE)} may change"
            )
        for key in MAY_CHANGE:
            section, _, name = key.partition(".")
            resolved[section] = {**resolved[section], name: now[section][name]}
    return decode(TrainingConfig, resolved)
