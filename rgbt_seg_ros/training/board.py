"""TensorBoard files of a run, where tensorboard is installed (``pip install rgbt_seg_ros[train]``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Board:
    """Scalars and pictures by epoch; does nothing where tensorboard is missing."""

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
        writer = SummaryWriter(str(folder), purge_step=epoch + 1)
        return cls(writer)

    def scalars(self, values: Mapping[str, Any], epoch: int) -> None:
        """Write every number of a log record."""
        if self._writer is None:
            return
        for name, value in values.items():
            if isinstance(value, (int, float)) and name != "epoch":
                self._writer.add_scalar(name, value, epoch)
            elif isinstance(value, Mapping):
                self.scalars({f"{name}/{key}": entry for key, entry in value.items()}, epoch)

    def picture(self, name: str, image: npt.NDArray[np.uint8], epoch: int) -> None:
        """Write an (H, W, 3) uint8 RGB picture."""
        if self._writer is not None:
            self._writer.add_image(name, image, epoch, dataformats="HWC")

    def close(self) -> None:
        """Flush what is written."""
        if self._writer is not None:
            self._writer.close()
