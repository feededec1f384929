"""Write a data set as folders of files that people can look at and ``folder:`` and ``boxes:`` read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from rgbt_seg_ros.data.box_folder import format_boxes
from rgbt_seg_ros.data.class_table import format_classes
from rgbt_seg_ros.data.file_table import group_of
from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.label_files import write_label
from rgbt_seg_ros.data.labelled_folder import CLASSES
from rgbt_seg_ros.data.samples import DataError, Dataset, Sample, iterate
from rgbt_seg_ros.network.spec import ClassInfo


def export(dataset: Dataset, directory: Path) -> None:
    """Write ``rgb/``, ``thermal/``, ``labels/`` (palette PNGs in the classes' colours), ``boxes/`` and ``classes.yaml``.

    Thermal images of floating-point numbers become TIFF, all others PNG. A group that the names of its samples do not tell
    becomes a list, such as ``night.txt``. Shows a progress bar where somebody watches.

    Raises:
        UserError: The directory is there already and not empty, a sample cannot be read (DataError), or a file not written.
    """
    from tqdm import tqdm

    try:
        used = os.path.lexists(directory) and bool(os.listdir(directory))
    except OSError:
        used = True
    if used:
        raise DataError(f"{directory}: exists already; expected a new or an empty directory")
    groups: dict[str, list[str]] = {}
    classes = dataset.convention.classes
    for sample in tqdm(iterate(dataset), total=len(dataset), desc="export", unit="pair", disable=None, leave=False):
        _write(sample, classes, directory)
        if sample.group != group_of(sample.name):
            groups.setdefault(sample.group, []).append(sample.name)
    for group, names in groups.items():
        if group:
            write_text(directory / f"{group}.txt", "".join(f"{name}\n" for name in names))
    write_text(directory / CLASSES, format_classes(classes))


def _write(sample: Sample, classes: tuple[ClassInfo, ...], directory: Path) -> None:
    write_image(directory / "rgb" / f"{sample.name}.png", sample.rgb)
    suffix = ".tiff" if sample.thermal.dtype == np.float32 else ".png"
    write_image(directory / "thermal" / f"{sample.name}{suffix}", sample.thermal)
    if sample.label is not None:
        write_label(directory / "labels" / f"{sample.name}.png", sample.label, classes)
    if sample.boxes is not None:
        write_text(directory / "boxes" / f"{sample.name}.txt", format_boxes(sample.boxes, sample.rgb.shape[:2]))
