"""Samples of three files of one name: ``rgb/``, ``thermal/`` and what is known of the pair, a label mask or boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rgbt_seg_ros.data.file_table import FileTable, group_of, scan, tabulate, wanted_names
from rgbt_seg_ros.data.folders import SUFFIXES, read_rgb, read_thermal
from rgbt_seg_ros.data.label_files import read_label
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import Box, Sample
from rgbt_seg_ros.pipeline.content import Finding, aspect_problem

_Third = TypeVar("_Third")


def find_triplets(root: Path, third: str, suffixes: Collection[str], name_list: str, problems: Problems) -> FileTable:
    """Find the samples of a directory.

    Args:
        root: The directory with ``rgb/``, ``thermal/`` and the third folder.
        third: Name of the third folder.
        suffixes: What its files end with.
        name_list: A text file with one name a line, relative to the working directory or to ``root``; empty: all there are.
        problems: Gets a sentence for everything that is missing.

    Raises:
        DataError: The directory does not exist.
    """
    folders = scan(root, {"rgb": SUFFIXES, "thermal": SUFFIXES, third: suffixes}, problems)
    if not name_list:
        return tabulate(folders, None, None, problems)
    path, names = wanted_names(name_list, problems, Path(name_list), root / name_list)
    return tabulate(folders, names, path, problems)


def read_labelled(table: FileTable, index: int, num_classes: int) -> Sample:
    """Read a sample whose third file is a label mask; raises DataError, IndexError past the end."""
    sample, label = _read(table, index, lambda path, shape: read_label(path, num_classes, shape))
    return sample.with_label(label)


def read_boxed(table: FileTable, index: int, read: Callable[[Path, tuple[int, ...]], tuple[Box, ...]]) -> Sample:
    """Read a sample whose third file holds boxes; raises DataError, IndexError past the end.

    Args:
        table: The samples.
        index: Which.
        read: Turns the third file, given (H, W) of the RGB image, into boxes.
    """
    sample, boxes = _read(table, index, lambda path, shape: read(path, shape or (1, 1)))
    return replace(sample, boxes=boxes)


def _read(
    table: FileTable, index: int, read: Callable[[Path, tuple[int, ...] | None], _Third]
) -> tuple[Sample, _Third]:
    """Return the pair of a sample and its third file; a DataError has everything that is wrong with any of them."""
    name = table.names[index]
    problems = Problems()
    noted: list[Finding] = []
    rgb = problems.attempt(lambda: read_rgb(table.path(index, 0), noted.append))
    thermal = problems.attempt(lambda: read_thermal(table.path(index, 1), noted.append))
    if rgb is not None and thermal is not None:
        problem = aspect_problem(rgb.shape, thermal.shape)
        if problem:
            problems.found.append(f"{table.path(index, 1)}: {problem}")
    shape = None if rgb is None else rgb.shape[:2]
    third = problems.attempt(lambda: read(table.path(index, 2), shape))
    problems.raise_found()
    assert rgb is not None
    assert thermal is not None
    assert third is not None
    return Sample(name, group_of(name), rgb, thermal, notes=tuple(map(str, noted))), third
