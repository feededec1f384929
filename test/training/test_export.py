from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.export import commit, spec_of


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    ).stdout


def test_the_commit_of_a_checkout_says_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    try:
        git(tmp_path, "init", "-q")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "a")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    assert commit(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{head}+changes"


def test_a_model_file_says_what_its_seed_and_its_metrics_are() -> None:
    plain = spec_of(TrainingConfig(), MFNET, "random weights", ["a", "b c"], "abc").provenance
    assert plain.source == "trained by rgbt-seg train for 80 epochs, from random weights, seed 0"
    assert (plain.command, plain.commit) == ("a 'b c'", "abc")
    weak = spec_of(TrainingConfig(), MFNET, "random weights", [], grown_val=["boxes:x"]).provenance
    assert weak.source.endswith(
        "; its metrics compare with label masks grown in boxes (boxes:x), not with annotated ones"
    )
