from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rgbt_seg_ros.training.board import Board


def test_without_tensorboard_a_run_says_so_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    board = Board.open(tmp_path / "board", 0)
    board.scalars({"loss": 1.0}, 1)
    board.picture("grid", np.zeros((4, 4, 3), np.uint8), 1)
    board.close()
    assert capsys.readouterr().out.count("tensorboard is not installed") == 1
    assert not (tmp_path / "board").exists()


def test_curves_and_pictures_can_be_read_back(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = Board.open(tmp_path, 0)
    board.scalars({"epoch": 3, "loss": 0.5, "miou": None, "iou": {"car": 0.25}}, 3)
    board.picture("grid", np.zeros((4, 6, 3), np.uint8), 3)
    board.close()
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["iou/car", "loss"]
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(3, 0.5)]
    assert (events.Images("grid")[0].height, events.Images("grid")[0].width) == (4, 6)


def test_a_folder_that_cannot_be_written_is_said_once_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    board = Board.open(tmp_path / "file" / "board", 0)
    board.scalars({"loss": 1.0}, 1)
    board.close()
    assert capsys.readouterr().out.count("TensorBoard's files cannot be written") == 1


class FullDisk:
    def add_scalar(self, *_: object) -> None:
        raise OSError("No space left on device")

    def close(self) -> None:
        raise OSError("No space left on device")


def test_a_disk_that_fills_up_is_said_once_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(FullDisk())
    board.scalars({"loss": 1.0, "iou": {"car": 0.5}}, 1)
    board.scalars({"loss": 1.0}, 2)
    board.close()
    assert capsys.readouterr().out.count("(No space left on device); the run goes on without them") == 1
    Board(FullDisk()).close()
