"""Plain YAML values as typed ones, each with the file and the key in what is said of a wrong one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError


def read_yaml(path: str | Path, kind: str) -> Table:
    """Read a YAML file that holds a table of keys.

    Args:
        path: The file.
        kind: What it is, for errors, such as ``calibration file``.

    Raises:
        CalibrationError: The file is not there, not YAML, or no table.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        # OpenCV writes a first line that is no YAML 1.1, and so do some calibration tools.
        content = yaml.safe_load(text.removeprefix("%YAML:1.0"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise CalibrationError(f"{path}: not a readable {kind} ({reason})") from error
    return Table(content, str(path), "")


class Table:
    """A mapping of a file. Every method takes a key and raises CalibrationError, naming file and key, for a wrong value."""

    def __init__(self, data: object, path: str, key: str) -> None:
        """Take a value that has to be a mapping with texts as keys."""
        self.path, self.key = path, key
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            raise self.error("", f"expected keys with values, not {_shown(data)}")
        self.data: Mapping[str, Any] = data

    def __contains__(self, name: str) -> bool:
        """Return whether the key is there and not null."""
        return self.data.get(name) is not None

    def error(self, name: str, problem: str) -> CalibrationError:
        """Return the error that says what is wrong with a key."""
        where = ".".join(part for part in (self.key, name) if part)
        return CalibrationError(f"{self.path}: {where}: {problem}" if where else f"{self.path}: {problem}")

    def known(self, names: Sequence[str]) -> None:
        """Refuse any other key, since one that is misspelt would be passed over in silence."""
        for name in self.data:
            if name not in names:
                raise self.error(name, f"not a key of this file (known here: {', '.join(names)})")

    def value(self, name: str) -> Any:
        """Return what is there; null counts as missing."""
        if name not in self:
            raise self.error(name, "missing")
        return self.data[name]

    def table(self, name: str) -> Table:
        """Return a mapping inside this one."""
        return Table(self.value(name), self.path, ".".join(part for part in (self.key, name) if part))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text."""
        if name not in self and default is not None:
            return default
        value = self.value(name)
        if not isinstance(value, str):
            raise self.error(name, f"{_shown(value)} is no text; put quotes around it")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of some texts."""
        value = self.text(name, default)
        if value not in choices:
            raise self.error(name, f"'{value}' is not one of {', '.join(choices)}")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"{_shown(value)} is no whole number")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a finite number."""
        if name not in self and default is not None:
            return default
        return self._number(name, self.value(name))

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...]:
        """Return a list of finite numbers, of a length where one is given."""
        value = self.value(name)
        if not isinstance(value, list):
            raise self.error(name, f"{_shown(value)} is no list of numbers")
        if count is not None and len(value) != count:
            raise self.error(name, f"{len(value)} entries, expected {count}")
        return tuple(self._number(f"{name}[{index}]", entry) for index, entry in enumerate(value))

    def matrix(self, name: str, rows: int, columns: int) -> tuple[float, ...]:
        """Return a list of rows of finite numbers, row by row in one tuple."""
        value = self.value(name)
        whole = isinstance(value, list) and len(value) == rows
        if not whole or not all(isinstance(row, list) and len(row) == columns for row in value):
            raise self.error(name, f"expected {rows} rows of {columns} numbers, not {_shown(value)}")
        return tuple(
            self._number(f"{name}[{r}][{c}]", entry) for r, row in enumerate(value) for c, entry in enumerate(row)
        )

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "; YAML wants 1.0e-3, with a point" if isinstance(value, str) and "e" in value.lower() else ""
            raise self.error(name, f"{_shown(value)} is no number{hint}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(name, f"{_shown(value)} is no finite number")
        return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
