"""Data of one's own: pairs with label masks and a class table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rgbt_seg_ros.data.class_table import read_classes
from rgbt_seg_ros.data.folders import SUFFIXES
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.data.triplets import find_triplets, read_labelled
from rgbt_seg_ros.network.conventions import MFNET

CLASSES = "classes.yaml"


class LabelledFolder:
    """``rgb/NAME.*``, ``thermal/NAME.*``, ``labels/NAME.*`` and ``classes.yaml`` in one directory.

    Image size and normalisations are those of MFNet.

    Args:
        directory: The directory.
        name_list: A text file with one name a line, relative to the working directory or to ``directory``; empty: all.
        problems: Where given, files that are missing are noted in it and their samples left out, instead of raised.

    Raises:
        UserError: Something is missing (DataError), or the class table cannot be used.
    """

    def __init__(self, directory: str, name_list: str = "", problems: Problems | None = None) -> None:
        self.spec = f"folder:{directory}:{name_list}" if name_list else f"folder:{directory}"
        self._table = find_triplets(Path(directory), "labels", SUFFIXES, name_list, problems)
        self.convention = replace(MFNET, classes=read_classes(Path(directory, CLASSES)))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._table.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for files that cannot be used."""
        return read_labelled(self._table, index, len(self.convention.classes))
