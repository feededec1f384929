"""Class tables: which id in a label mask is which class, and its colour."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import ClassInfo, classes_from


def read_classes(path: str | Path) -> tuple[ClassInfo, ...]:
    """Read a class table: a YAML list of {id, name, color: [r, g, b]} with the ids 0, 1, 2, … in order.

    Raises:
        DataError: The file is not there, not YAML, or no such list; the sentence names it.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # ValueError: a byte that is no UTF-8, or what YAML takes for a date that no calendar has.
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not a readable class table ({reason})") from error
    try:
        classes = classes_from(content)
    except SettingError as error:
        raise DataError(f"{path}: {error}") from error
    ids = [entry.id for entry in classes]
    if ids != list(range(len(ids))):
        raise DataError(f"{path}: the ids {ids} are not 0, 1, 2, … in order")
    names = [entry.name for entry in classes]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: two classes have one name ({', '.join(names)})")
    return classes


def format_classes(classes: Iterable[ClassInfo]) -> str:
    """Return a class table as the text that ``read_classes`` reads."""
    import yaml

    entries = [{"id": entry.id, "name": entry.name, "color": list(entry.color)} for entry in classes]
    return yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, allow_unicode=True)
