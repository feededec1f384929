"""TensorBoard files of a run, where tensorboard is installed (``pip install rgbt_seg_ros[train]``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Board:
    """Scalars and pictures by epoch; does nothing where tensorboard is missing, nor after its files could not be written."""

    def __init__(self, writer: Any) -> None:
        """Wrap a SummaryWriter, or None."""
        self._writer = writer

    @classmethod
    def open(cls, folder: Path, epoch: int) -> Board:
        """Start or go on writing; what an earlier run wrote after ``epoch`` is hidden."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print("tensorboard is not installed (extra 'train'); the run goes on without its files", flush=True)
            return cls(None)
        board = cls(None)
        board._attempt(lambda: setattr(board, "_writer", SummaryWriter(str(folder), purge_step=epoch + 1)))
        return board

    def _attempt(self, write: Callable[[], object]) -> None:
        """Call ``write``; a full disk must not end a run for the sake of its curves."""
        try:
            write()
        except (OSError, ValueError) as error:  # ValueError: a file that an earlier error has closed
            self._writer = None
            print(f"TensorBoard's files cannot be written ({error}); the run goes on without them", flush=True)

    def scalars(self, values: Mapping[str, Any], epoch: int) -> None:
        """Write every number of a log record."""
        for name, value in values.items():
            if isinstance(value, Mapping):
                self.scalars({f"{name}/{key}": entry for key, entry in value.items()}, epoch)
            elif isinstance(value, (int, float)) and name != "epoch":
                self._write("add_scalar", name, value, epoch)

    def picture(self, name: str, image: npt.NDArray[np.uint8], epoch: int) -> None:
        """Write an (H, W, 3) uint8 RGB picture."""
        self._write("add_image", name, image, epoch, dataformats="HWC")

    def close(self) -> None:
        """Flush what is written."""
        self._write("close")
        self._writer = None

    def _write(self, method: str, *arguments: Any, **options: Any) -> None:
        if self._writer is not None:
            self._attempt(lambda: getattr(self._writer, method)(*arguments, **options))
