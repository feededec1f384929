"""Samples of three files of one name: ``rgb/``, ``thermal/`` and what is known of the pair, a label mask or boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from rgbt_seg_ros.data.file_table import FileTable, find_list, group_of, read_names, scan, tabulate
from rgbt_seg_ros.data.folders import SUFFIXES, read_rgb, read_thermal
from rgbt_seg_ros.data.label_files import read_label
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import Box, Sample


def find_triplets(
    root: Path, third: str, suffixes: Collection[str], name_list: str, problems: Problems | None
) -> FileTable:
    """Find the samples of a directory.

    Args:
        root: The directory with ``rgb/``, ``thermal/`` and the third folder.
        third: Name of the third folder.
        suffixes: What its files end with.
        name_list: A text file with one name a line, relative to the working directory or to ``root``; empty: all there are.
        problems: Where given, missing files are noted in it and their samples left out, instead of raised.

    Raises:
        DataError: Something is missing.
    """
    noted = Problems() if problems is None else problems
    folders = {"rgb": SUFFIXES, "thermal": SUFFIXES, third: suffixes}
    found = scan(root, folders)
    path = find_list(name_list, Path(name_list), root / name_list) if name_list else None
    names = read_names(path, noted) if path else None
    table = tabulate(root, folders, found, names, path, noted)
    if problems is None:
        noted.raise_found()
    return table


def read_labelled(table: FileTable, index: int, num_classes: int) -> Sample:
    """Read a sample whose third file is a label mask; raises DataError, IndexError past the end."""
    rgb_path, thermal_path, label_path = table.paths(index)
    problems = Problems()
    rgb = problems.attempt(lambda: read_rgb(rgb_path))
    thermal = problems.attempt(lambda: read_thermal(thermal_path))
    shape = None if rgb is None else rgb.shape[:2]
    label = problems.attempt(lambda: read_label(label_path, num_classes, shape))
    problems.raise_found()
    assert rgb is not None
    assert thermal is not None
    name = table.names[index]
    return Sample(name, group_of(name), rgb, thermal, label)


def read_boxed(table: FileTable, index: int, read: Callable[[Path, tuple[int, ...]], tuple[Box, ...]]) -> Sample:
    """Read a sample whose third file holds boxes; raises DataError, IndexError past the end.

    Args:
        table: The samples.
        index: Which.
        read: Turns the third file, given (H, W) of the RGB image, into boxes.
    """
    rgb_path, thermal_path, boxes_path = table.paths(index)
    problems = Problems()
    rgb = problems.attempt(lambda: read_rgb(rgb_path))
    thermal = problems.attempt(lambda: read_thermal(thermal_path))
    shape = (1, 1) if rgb is None else rgb.shape[:2]
    boxes = problems.attempt(lambda: read(boxes_path, shape))
    problems.raise_found()
    assert rgb is not None
    assert thermal is not None
    name = table.names[index]
    return Sample(name, group_of(name), rgb, thermal, boxes=boxes)
