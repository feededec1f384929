"""The MFNet data set: urban streets by day and night, colour and thermal in one file of four channels.

Source: Q. Ha et al., "MFNet: Towards real-time semantic segmentation for autonomous vehicles with multi-spectral scenes",
IROS 2017.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.file_table import group_of, scan, tabulate, wanted_names
from rgbt_seg_ros.data.folders import ImageFileError, read_image
from rgbt_seg_ros.data.label_files import read_label
from rgbt_seg_ros.data.problems import Problems, gathered
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.network.conventions import MFNET, Convention

LISTS = ("train", "val", "test", "test_day", "test_night")
_FOLDERS = {"images": (".png",), "labels": (".png",)}
_FLIP = "_flip"


class MfnetDataset:
    """``images/NAME.png``, ``labels/NAME.png`` and ``LIST.txt`` in one directory.

    The data set's own train.txt also lists ``NAME_flip``: a mirrored copy that its script make_flip.py would write. Where
    that file is missing and ``NAME`` is not, the sample is ``NAME``, mirrored here.

    Args:
        directory: The directory.
        name_list: ``train``, ``val``, ``test``, ``test_day``, ``test_night``, or a text file with one name a line, relative
            to the working directory or to ``directory``.
        problems: Where given, what is missing is noted in it instead of raised; reading such a sample raises it again.

    Raises:
        DataError: Something is missing.
    """

    convention: Convention = MFNET

    def __init__(self, directory: str, name_list: str, problems: Problems | None = None) -> None:
        self.spec = f"mfnet:{directory}:{name_list}"
        root = Path(directory)
        with gathered(problems) as noted:
            folders = scan(root, _FOLDERS, noted)
            candidates = (root / f"{name_list}.txt", Path(name_list), root / name_list)
            path, names = wanted_names(name_list, noted, *candidates)
            for name in names:
                original = name.removesuffix(_FLIP)
                if original != name and not any(name in folder.files for folder in folders):
                    for folder in folders:
                        if original in folder.files:
                            folder.files[name] = folder.files[original]
            self._table = tabulate(folders, names, path, noted)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._table.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for files that cannot be used."""
        name = self._table.names[index]
        problems = Problems()
        pair = problems.attempt(lambda: read_rgbt(self._table.path(index, 0)))
        shape = pair[0].shape[:2] if pair else None
        label = problems.attempt(lambda: read_label(self._table.path(index, 1), len(MFNET.classes), shape))
        problems.raise_found()
        assert pair is not None
        assert label is not None
        rgb, thermal = pair
        if self._table.path(index, 0).stem != name:
            rgb, thermal, label = (np.ascontiguousarray(image[:, ::-1]) for image in (rgb, thermal, label))
        return Sample(name, group_of(name), rgb, thermal, label)


def read_rgbt(path: Path) -> tuple[ByteArray, ByteArray]:
    """Read an MFNet image as (H, W, 3) uint8 RGB and (H, W) uint8 thermal, which the file has as its alpha channel.

    Raises:
        ImageFileError: The file cannot be read, or has not four channels of 8 bits.
    """
    image: AnyArray = read_image(path)
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels != 4 or image.dtype != np.uint8:
        bits = 8 * image.dtype.itemsize
        raise ImageFileError(f"{path}: {channels} channels of {bits} bits; expected 4 of 8 bits (RGB and thermal)")
    return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])
