"""Plain YAML values as typed ones, each with the file and the key in what is said of a wrong one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError


def load_yaml(path: str | Path, kind: str) -> Any:
    """Return what is in a YAML file.

    Args:
        path: The file.
        kind: What it is, for errors, such as ``calibration file``.

    Raises:
        CalibrationError: The file is not there or not YAML.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        # OpenCV writes a first line that is no YAML 1.1, and so do some calibration tools.
        return yaml.safe_load(text.removeprefix("%YAML:1.0"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise CalibrationError(f"{path}: not a readable {kind} ({reason})") from error


def read_yaml(path: str | Path, kind: str) -> Table:
    """Read a YAML file that holds a table of keys; raises CalibrationError as ``load_yaml``, or where it is no table."""
    return Table(load_yaml(path, kind), str(path), "")


class Table:
    """A mapping of a file. Every method takes a key and raises CalibrationError, naming file and key, for a wrong value."""

    def __init__(self, data: object, path: str, key: str) -> None:
        """Take a value that has to be a mapping with texts as keys."""
        self.path, self.key = path, key
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            raise self.error("", f"expected keys with values, not {shown(data)}")
        self.data: Mapping[str, Any] = data

    def __contains__(self, name: str) -> bool:
        """Return whether the key is there and not null."""
        return self.data.get(name) is not None

    def error(self, name: str, problem: str) -> CalibrationError:
        """Return the error that says what is wrong with a key."""
        where = ".".join(part for part in (self.key, name) if part)
        return CalibrationError(f"{self.path}: {where}: {problem}" if where else f"{self.path}: {problem}")

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
            raise self.error(name, f"{shown(value)} is no text; put quotes around it")
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
            raise self.error(name, f"{shown(value)} is no whole number")
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
            raise self.error(name, f"{shown(value)} is no list of numbers")
        if count is not None and len(value) != count:
            raise self.error(name, f"{len(value)} entries, expected {count}")
        return tuple(self._number(f"{name}[{index}]", entry) for index, entry in enumerate(value))

    def matrix(self, name: str, rows: int, columns: int) -> tuple[float, ...]:
        """Return a list of rows of finite numbers, row by row in one tuple."""
        value = self.value(name)
        whole = isinstance(value, list) and len(value) == rows
        if not whole or not all(isinstance(row, list) and len(row) == columns for row in value):
            raise self.error(name, f"expected {rows} rows of {columns} numbers, not {shown(value)}")
        return tuple(
            self._number(f"{name}[{r}][{c}]", entry) for r, row in enumerate(value) for c, entry in enumerate(row)
        )

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, f"{shown(value)} is no number{exponent_hint(value)}")
        number = as_finite(value)
        if number is None:
            raise self.error(name, f"{shown(value)} is no finite number")
        return number


def as_finite(value: object) -> float | None:
    """Return a finite number as a float, None for anything else: ``true`` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def exponent_hint(value: object) -> str:
    """Return what to say of a text that was meant as a number: YAML 1.1 takes 1e-3 for a text."""
    return "; YAML wants 1.0e-3, with a point" if isinstance(value, str) and "e" in value.lower() else ""


def shown(value: object) -> str:
    """Return a value for a sentence, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
