"""Data of one's own: pairs with label masks and a class table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rgbt_seg_ros.data.class_table import read_classes
from rgbt_seg_ros.data.folders import SUFFIXES
from rgbt_seg_ros.data.problems import Problems, gathered
from rgbt_seg_ros.data.samples import IGNORED, Sample
from rgbt_seg_ros.data.triplets import find_triplets, read_labelled
from rgbt_seg_ros.network.conventions import MFNET

CLASSES = "classes.yaml"


class LabelledFolder:
    """``rgb/NAME.*``, ``thermal/NAME.*``, ``labels/NAME.*`` and ``classes.yaml`` in one directory.

    Image size and normalisations are those of MFNet.

    Args:
        directory: The directory.
        name_list: A text file with one name a line, relative to the working directory or to ``directory``; empty: all.
        problems: Where given, what is missing is noted in it instead of raised; reading such a sample raises it again.
            Without a usable class table there are no classes, and a label mask may hold any value.

    Raises:
        DataError: Something is missing, or the class table cannot be used.
    """

    def __init__(self, directory: str, name_list: str = "", problems: Problems | None = None) -> None:
        self.spec = f"folder:{directory}:{name_list}" if name_list else f"folder:{directory}"
        with gathered(problems) as noted:
            self._table = find_triplets(Path(directory), "labels", SUFFIXES, name_list, noted)
            classes = noted.attempt(lambda: read_classes(Path(directory, CLASSES))) or ()
        self.convention = replace(MFNET, classes=classes)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._table.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for files that cannot be used."""
        return read_labelled(self._table, index, len(self.convention.classes) or IGNORED)
