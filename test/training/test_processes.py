"""Runs as processes of their own: killed, interrupted, and several together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rgbt_seg_ros.training.run_folder import RunFolder

LONG = ["run.epochs=50", "data.workers=1"]

SHARED = """
import os, sys
from pathlib import Path
import torch
from rgbt_seg_ros.training import trainer
from rgbt_seg_ros.training.config_file import load_config

kept = []
build = trainer.Stepper
trainer.Stepper = lambda *arguments: kept.append(build(*arguments)) or kept[0]
config = load_config(sys.argv[1], sys.argv[3:])
trainer.train(trainer.Job(Path(sys.argv[2]), config))
state = {"network": kept[0].network.state_dict(), "ema": kept[0].ema.network.state_dict()}
torch.save(state, Path(sys.argv[2]).parent / f"rank{os.environ['RANK']}.pt")
"""


def start(tiny: Path, folder: Path, *words: str) -> subprocess.Popen[str]:
    sets = [part for word in words for part in ("--set", word)]
    return subprocess.Popen(
        [sys.executable, "-m", "rgbt_seg_ros.cli", "train", "--config", str(tiny), "-o", str(folder), *sets],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_epoch(process: subprocess.Popen[str], folder: Path, epoch: int) -> None:
    log = folder / "log.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if log.is_file() and len(log.read_text().splitlines()) >= epoch:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"no epoch {epoch} in time")


def resume(folder: Path, epochs: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rgbt_seg_ros.cli", "train", "-o", str(folder), "--resume"]
    config = folder / "config.yaml"
    return subprocess.run(
        [*command, "--config", str(config), "--epochs", str(epochs)], capture_output=True, text=True, timeout=300
    )


def epochs_of(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.nightly
def test_a_kill_in_an_epoch_loses_at_most_that_epoch(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tiny, folder, *LONG)
    try:
        wait_for_epoch(process, folder, 2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    # The second epoch is in the log, and its checkpoint follows at once.
    saved = RunFolder(folder).read_checkpoint().epoch
    assert saved >= 1
    finished = resume(folder, saved + 1)
    assert finished.returncode == 0, finished.stderr
    assert epochs_of(folder) == list(range(1, saved + 2))
    assert RunFolder(folder).read_checkpoint().epoch == saved + 1


@pytest.mark.parametrize(
    ("send", "number"),
    [
        (os.kill, signal.SIGINT),
        pytest.param(os.kill, signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param(os.killpg, signal.SIGTERM, marks=pytest.mark.nightly),
    ],
)
def test_an_interrupted_run_ends_in_order_and_says_how_to_go_on(
    tiny: Path, tmp_path: Path, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = start(tiny, folder, *LONG)
    try:
        wait_for_epoch(process, folder, 1)
        send(process.pid, number)
        _, errors = process.communicate(timeout=180)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    whole = RunFolder(folder).read_checkpoint().epoch
    assert f"interrupted after {whole} whole epochs; go on with: rgbt-seg train -o {folder} --resume" in errors
    assert "Traceback" not in errors
    assert "cannot be written" not in errors
    assert epochs_of(folder) == list(range(1, whole + 1))
    assert not list(folder.glob(".*"))


@pytest.mark.nightly
def test_two_processes_train_one_model(tiny: Path, tmp_path: Path) -> None:
    import torch

    script = tmp_path / "shared.py"
    script.write_text(SHARED)
    folder = tmp_path / "run"
    # Port 0: one that is free, and is not somebody else's by the time it is used.
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    finished = subprocess.run(
        [
            sys.executable,
            *launch,
            str(script),
            str(tiny),
            str(folder),
            "run.epochs=1",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert epochs_of(folder) == [1]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    saved = RunFolder(folder).read_checkpoint().state["network"]
    parameters = {key for key in first["network"] if "running_" not in key and "num_batches" not in key}
    for part in ("network", "ema"):
        assert all(torch.equal(first[part][key], second[part][key]) for key in parameters)
    assert all(torch.equal(first["network"][key], saved[key]) for key in saved)
    assert finished.stdout.count("epoch 1/1") == 1
