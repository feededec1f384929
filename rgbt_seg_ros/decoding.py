"""The one strict decoder: plain values of YAML or JSON into frozen dataclasses, each key checked.

A key that is unknown, missing, of another type or out of its range is a ``SettingError`` whose key is the dotted path; the reader
of the file puts the file's name before it (``errors.name_settings``).
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rgbt_seg_ros.errors import SettingError

_CHECK = "check"

_EXPONENT = re.compile(r"[+-]?\d+e[+-]?\d+", re.IGNORECASE)

_LARGEST = 2**63
"""Of whole numbers: beyond it they fit neither a float nor the libraries that take them."""

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """What a number, or every number of a list or table, may be: ``low <= value <= high``; open ends are ``above``, ``below``."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def __str__(self) -> str:
        """Return the range in words."""
        if self.high == math.inf:
            return f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        if not self.above and not self.below:
            return f"{self.low:g} to {self.high:g}"
        low, high = "above" if self.above else "at least", "below" if self.below else "at most"
        return f"{low} {self.low:g} and {high} {self.high:g}"

    def holds(self, value: float) -> bool:
        """Return whether a number lies in the range."""
        high_enough = self.low < value if self.above else self.low <= value
        return high_enough and (value < self.high if self.below else value <= self.high)


def limits(
    low: float = -math.inf, high: float = math.inf, above: bool = False, below: bool = False
) -> dict[str, Range]:
    """Return the metadata of a dataclass field whose numbers lie in a range."""
    return {_CHECK: Range(low, high, above, below)}


def option(
    default: Any, low: float = -math.inf, high: float = math.inf, above: bool = False, below: bool = False
) -> Any:
    """Return a dataclass field with a default that cannot change, and a range."""
    return field(default=default, metadata=limits(low, high, above, below))


def decode(kind: type[T], data: object, key: str = "") -> T:
    """Build a dataclass from a plain mapping; keys that are left out take their defaults.

    Args:
        kind: A frozen dataclass whose fields are bool, int, float, str, tuples, dicts with str keys, Literals, unions of
            these, or dataclasses of them.
        data: What YAML gave.
        key: Where the mapping lies, for errors; empty at the top.

    Raises:
        SettingError: An unknown key, a missing one without a default, a wrong type, a number out of its range.
    """
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise SettingError(key, f"{shown(data)} is not a table of keys")
    prefix = f"{key}." if key else ""
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise SettingError(f"{prefix}{shown_key(name)}", "not a known key", f"one of {', '.join(known)}")
    hints = get_type_hints(kind)
    values = {}
    for name, entry in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], f"{prefix}{name}", entry.metadata.get(_CHECK))
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise SettingError(f"{prefix}{name}", "missing")
    try:
        return kind(**values)
    except SettingError as error:
        raise error.named(f"{prefix}{error.key}") from error


def _value(kind: Any, data: object, key: str, bounds: Range | None) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return decode(kind, data, key)
    if origin is Literal:
        for choice in arguments:
            if type(data) is type(choice) and data == choice:  # 4.0 is not 4, nor true 1
                return choice
        raise SettingError(key, f"{shown(data)} is not one of {', '.join(map(str, arguments))}")
    if origin in (Union, types.UnionType):
        return _union(arguments, data, key, bounds)
    if origin is tuple:
        return _tuple(arguments, data, key, bounds)
    if origin is dict:
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            raise SettingError(key, f"{shown(data)} is not a table of names")
        return {name: _value(arguments[1], entry, f"{key}.{name}", bounds) for name, entry in data.items()}
    return _scalar(kind, data, key, bounds)


def _scalar(kind: Any, data: object, key: str, bounds: Range | None) -> Any:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
    if kind is float and isinstance(data, str) and _EXPONENT.fullmatch(data):
        # YAML 1.1 reads 3e-4, without a point, as text.
        data = float(data)
    number = isinstance(data, (int, float)) and not isinstance(data, bool)
    if number and isinstance(data, int) and abs(data) > _LARGEST:
        raise SettingError(key, f"a number of {int(data.bit_length() * 0.30103) + 1} digits is too large")
    if kind is float:
        good = number and math.isfinite(data)  # type: ignore[arg-type]
    elif kind is int:
        good = number and isinstance(data, int)
    else:
        good = isinstance(data, kind)
    if not good:
        raise SettingError(key, f"{shown(data)} is not {words}")
    if bounds is not None and number and not bounds.holds(float(data)):  # type: ignore[arg-type]
        raise SettingError(key, f"{shown(data)} is not {bounds}")
    return float(data) if kind is float else data  # type: ignore[arg-type]


def _tuple(arguments: tuple[Any, ...], data: object, key: str, bounds: Range | None) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise SettingError(key, f"{shown(data)} is not a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        kinds = (arguments[0],) * len(data)
    elif len(data) != len(arguments):
        raise SettingError(key, f"{shown(list(data))} does not have {len(arguments)} entries")
    else:
        kinds = arguments
    return tuple(
        _value(kind, entry, f"{key}[{i}]", bounds) for i, (kind, entry) in enumerate(zip(kinds, data, strict=True))
    )


def _union(arguments: tuple[Any, ...], data: object, key: str, bounds: Range | None) -> Any:
    if data is None and type(None) in arguments:
        return None
    kinds = [kind for kind in arguments if kind is not type(None)]
    problems = []
    for kind in kinds:
        try:
            return _value(kind, data, key, bounds)
        except SettingError as error:
            if len(kinds) == 1:
                raise  # its key may lie deeper
            problems.append(error.problem)
    raise SettingError(key, "; and ".join(problems))


def encode(value: Any) -> Any:
    """Return plain tables, lists, strings and numbers of a configuration, as YAML writes them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: encode(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {name: encode(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(entry) for entry in value]
    return value


def differences(one: Any, other: Any, key: str = "") -> list[str]:
    """Return the keys at which two encoded configurations differ, dotted, in order."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = [*one, *(name for name in other if name not in one)]
        missing = object()
        found = []
        for name in names:
            where = f"{key}.{name}" if key else str(name)
            found += differences(one.get(name, missing), other.get(name, missing), where)
        return found
    return [] if one == other else [key]


def shown(value: object) -> str:
    """Return a value for a sentence, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def shown_key(key: object) -> str:
    """Return a key for a sentence: as it is where it is a plain name."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else shown(key)
