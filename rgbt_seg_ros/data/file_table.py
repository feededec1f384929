"""Find the files of every sample: the same name in several folders, all there are or those a list names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rgbt_seg_ros.data.folders import files_in
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import DataError


@dataclass(frozen=True)
class Folder:
    """One folder of a data set.

    Attributes:
        path: Where it is.
        suffixes: What its files may end with.
        files: The file that belongs to each name.
        absent: A sentence on why it cannot be listed; empty: it can.
    """

    path: Path
    suffixes: Collection[str]
    files: dict[str, str]
    absent: str = ""


@dataclass(frozen=True)
class FileTable:
    """The samples of a data set on disk, each with one file in every folder.

    Attributes:
        names: Name of each sample.
        folders: The folders.
        files: For each folder the file name of each sample; empty where it is missing.
        missing: A sentence for each file that is, by sample and folder.
    """

    names: tuple[str, ...]
    folders: tuple[Path, ...]
    files: tuple[tuple[str, ...], ...]
    missing: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def path(self, index: int, folder: int) -> Path:
        """Return the file of a sample in a folder; raises DataError where it is missing, IndexError past the end."""
        if (index, folder) in self.missing:
            raise DataError(self.missing[index, folder])
        return self.folders[folder] / self.files[folder][index]


def group_of(name: str) -> str:
    """Return ``D`` (day) or ``N`` (night) where the name ends with that letter as those of MFNet do; else nothing.

    After another capital it is part of a word. ``_flip``, which ends the names of mirrored copies, is left out.
    """
    match = re.search(r"(?<![A-Z])[DN]$", name.removesuffix("_flip"))
    return match[0] if match else ""


def read_names(path: Path, problems: Problems) -> dict[str, int]:
    """Return the names of a list file and the line (from 1) each stands on, in the order of the file.

    Blank lines, and what follows a ``#``, are skipped. A name listed twice is noted in ``problems`` and taken once.

    Raises:
        DataError: The file cannot be read, or lists nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable list of names ({error})") from error
    names: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name = line.partition("#")[0].strip()
        if name in names:
            problems.found.append(f"{path}:{number}: {name} is listed on line {names[name]} already")
        elif name:
            names[name] = number
    if not names:
        raise DataError(f"{path}: lists no names; expected one a line")
    return names


def find_list(text: str, *candidates: Path) -> Path:
    """Return the first of the candidates that is a file.

    Raises:
        DataError: None is; the sentence names them.
    """
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise DataError(f"no list of names '{text}'; looked for {', '.join(map(str, candidates))}")


def wanted_names(text: str, problems: Problems, *candidates: Path) -> tuple[Path, dict[str, int]]:
    """Return a list file and its names, as ``find_list`` and ``read_names``; where there are none, that is noted."""
    path = problems.attempt(lambda: find_list(text, *candidates))
    if path is None:
        return candidates[0], {}
    return path, problems.attempt(lambda: read_names(path, problems)) or {}


def scan(directory: Path, folders: Mapping[str, Collection[str]], problems: Problems) -> list[Folder]:
    """Look for the files in some folders of a directory.

    Args:
        directory: Where the folders are.
        folders: Name of each folder and the suffixes its files may have.
        problems: Gets a sentence for each missing folder, and for each two files of the same name.

    Raises:
        DataError: The directory does not exist.
    """
    expected = ", ".join(f"{folder}/" for folder in folders)
    if not os.path.isdir(directory):
        raise DataError(f"{directory}: no such folder; expected one with {expected}")

    def look(name: str, suffixes: Collection[str]) -> Folder:
        path = directory / name
        try:
            if not os.path.isdir(path):
                raise DataError(f"{directory}: no folder {name}/ in it; expected {expected}")
            return Folder(path, suffixes, files_in(path, suffixes, problems))
        except DataError as error:
            problems.found.append(str(error))
            return Folder(path, suffixes, {}, str(error))

    return [look(name, suffixes) for name, suffixes in folders.items()]


def tabulate(
    folders: list[Folder], names: Mapping[str, int] | None, list_path: Path | None, problems: Problems
) -> FileTable:
    """Return the samples with what they have in every folder.

    Args:
        folders: What ``scan`` gave.
        names: The names wanted, with their lines in ``list_path``; None: all there are, sorted.
        list_path: Where the names come from.
        problems: Gets a sentence for each file that is missing, and where there is not one file.
    """
    wanted = sorted(set().union(*(folder.files for folder in folders))) if names is None else list(names)
    if names is None and not wanted and not any(folder.absent for folder in folders):
        problems.found.append(f"{folders[0].path}: no images in it ({', '.join(sorted(folders[0].suffixes))})")
    missing = {}
    for index, name in enumerate(wanted):
        place = "" if names is None else f"{list_path}:{names[name]}: "
        for number, folder in enumerate(folders):
            if name not in folder.files:
                suffix = next(iter(folder.suffixes)) if len(folder.suffixes) == 1 else ".*"
                missing[index, number] = folder.absent or f"{place}{folder.path / name}{suffix} is missing"
                if not folder.absent:
                    problems.found.append(missing[index, number])
    files = tuple(tuple(folder.files.get(name, "") for name in wanted) for folder in folders)
    return FileTable(tuple(wanted), tuple(folder.path for folder in folders), files, missing)
