"""Find the files of every sample: the same name in several folders, all there are or those a list names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rgbt_seg_ros.data.folders import files_in
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import DataError


@dataclass(frozen=True)
class FileTable:
    """The samples of a data set on disk, each with one file in every folder.

    Attributes:
        names: Name of each sample.
        folders: The folders.
        files: For each folder the file name of each sample.
    """

    names: tuple[str, ...]
    folders: tuple[Path, ...]
    files: tuple[tuple[str, ...], ...]

    def paths(self, index: int) -> list[Path]:
        """Return the file of sample ``index`` in each folder; raises IndexError past the end."""
        return [folder / files[index] for folder, files in zip(self.folders, self.files, strict=True)]


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
        if candidate.is_file():
            return candidate
    raise DataError(f"no list of names '{text}'; looked for {', '.join(map(str, candidates))}")


def scan(directory: Path, folders: Mapping[str, Collection[str]]) -> list[dict[str, str]]:
    """Return, for each of some folders of a directory, the file name that belongs to each name.

    Args:
        directory: Where the folders are.
        folders: Name of each folder and the suffixes its files may have.

    Raises:
        DataError: A folder is not there, or has two files of one name.
    """
    expected = ", ".join(f"{folder}/" for folder in folders)
    if not directory.is_dir():
        raise DataError(f"{directory}: no such folder; expected one with {expected}")
    for folder in folders:
        if not (directory / folder).is_dir():
            raise DataError(f"{directory}: no folder {folder}/ in it; expected {expected}")
    return [files_in(directory / folder, suffixes) for folder, suffixes in folders.items()]


def tabulate(
    directory: Path,
    folders: Mapping[str, Collection[str]],
    found: list[dict[str, str]],
    names: Mapping[str, int] | None,
    list_path: Path | None,
    problems: Problems,
) -> FileTable:
    """Keep the samples that have a file in every folder.

    Args:
        directory: Where the folders are.
        folders: Name of each folder and the suffixes its files may have.
        found: What ``scan`` gave.
        names: The names wanted, with their lines in ``list_path``; None: all there are, sorted.
        list_path: Where the names come from.
        problems: Gets a sentence for each missing file; its sample is left out.

    Raises:
        DataError: There is not one file.
    """
    wanted = sorted(set().union(*found)) if names is None else list(names)
    if not wanted:
        suffixes = sorted(next(iter(folders.values())))
        raise DataError(f"{directory}: no images in {next(iter(folders))}/ ({', '.join(suffixes)})")
    complete = []
    for name in wanted:
        place = "" if names is None else f"{list_path}:{names[name]}: "
        absent = [folder for folder, files in zip(folders, found, strict=True) if name not in files]
        for folder in absent:
            suffix = next(iter(folders[folder])) if len(folders[folder]) == 1 else ".*"
            problems.found.append(f"{place}{directory / folder / name}{suffix} is missing")
        if not absent:
            complete.append(name)
    files = tuple(tuple(files[name] for name in complete) for files in found)
    return FileTable(tuple(complete), tuple(directory / folder for folder in folders), files)
