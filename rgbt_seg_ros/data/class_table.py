"""Class tables: which id in a label mask is which class, and its colour."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import ClassInfo, classes_from
from rgbt_seg_ros.yaml_text import dump_yaml, read_yaml


def read_classes(path: str | Path) -> tuple[ClassInfo, ...]:
    """Read a class table: a YAML list of {id, name, color: [r, g, b]} with the ids 0, 1, 2, … in order.

    Raises:
        DataError: The file cannot be read, is not YAML, or is not such a list; the sentence names it.
    """
    content = read_yaml(path, "class table", DataError)
    try:
        classes = classes_from(content)
    except SettingError as error:
        raise DataError(f"{path}: {error}") from error
    ids = [entry.id for entry in classes]
    if ids != list(range(len(ids))):
        raise DataError(f"{path}: the ids {ids} are not 0, 1, 2, … in order")
    names = [entry.name for entry in classes]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: two classes have the same name ({', '.join(names)})")
    return classes


def format_classes(classes: Iterable[ClassInfo]) -> str:
    """Return a class table as the text that ``read_classes`` reads."""
    return dump_yaml([{"id": entry.id, "name": entry.name, "color": list(entry.color)} for entry in classes])
