"""The PST900 data set: search and rescue underground.

Source: S. S. Shivakumar et al., "PST900: RGB-Thermal Calibration, Dataset and Segmentation Network", ICRA 2020.
"""

from __future__ import annotations

from pathlib import Path

from rgbt_seg_ros.data.folders import SUFFIXES
from rgbt_seg_ros.data.problems import Problems, gathered
from rgbt_seg_ros.data.samples import DataError, Sample
from rgbt_seg_ros.data.triplets import find_triplets, read_labelled
from rgbt_seg_ros.network.conventions import PST900, Convention

SPLITS = ("train", "test")


class Pst900Dataset:
    """``{train,test}/{rgb,thermal,labels}/NAME.png`` in one directory.

    Args:
        directory: The directory.
        split: ``train`` or ``test``.
        problems: Where given, what is missing is noted in it instead of raised; reading such a sample raises it again.

    Raises:
        DataError: Something is missing.
    """

    convention: Convention = PST900

    def __init__(self, directory: str, split: str, problems: Problems | None = None) -> None:
        self.spec = f"pst900:{directory}:{split}"
        if split not in SPLITS:
            raise DataError(f"{self.spec}: '{split}' is not one of {', '.join(SPLITS)}")
        with gathered(problems) as noted:
            self._table = find_triplets(Path(directory, split), "labels", SUFFIXES, "", noted)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._table.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for files that cannot be used."""
        return read_labelled(self._table, index, len(PST900.classes))
