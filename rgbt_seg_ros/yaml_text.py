"""The one way to read YAML: plain values only, within bounds, and never a word of a file that is not what was expected.

PyYAML's safe loader builds nothing but plain values; but anchors can make a few bytes into gigabytes or into a value that holds
itself, nesting can exhaust the stack, and tags and long numbers raise exceptions that are no YAMLError. So the events are
counted first, and only what is within the bounds is built.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import Failure, read_bounded

MOST_BYTES = 4 << 20
"""Of a file; a calibration has 2 KB, and 1,000 parameters have 100 KB."""
MOST_DEPTH = 50
MOST_VALUES = 500_000
"""Values and keys, those that an alias repeats counted each time."""
MOST_DIGITS = 1000
"""Characters of a number; a float has at most 17 significant digits and an exponent of three."""


class Dialect(Enum):
    """Which plain words are numbers, truth values or text."""

    YAML = "yaml"
    """YAML 1.1 as PyYAML reads it; OpenCV's first line and matrices too."""
    ROS = "ros"
    """As rcl_yaml_param_parser reads parameter files: no dates, no sexagesimal numbers, ``5e-2`` is a number."""


class _Loader(yaml.SafeLoader):
    """The safe loader with numbers of a bounded length, OpenCV's matrices as tables, and no key twice in a table."""


class _RosLoader(yaml.SafeLoader):
    """The safe loader with the words of rcl. A later key of the same name wins, as there."""


def _bounded(loader: Any, node: Any) -> str:
    text = str(loader.construct_scalar(node))
    if len(text) > MOST_DIGITS:
        raise ValueError("a number that is too long")
    return text


def _whole(loader: Any, node: Any) -> int:
    _bounded(loader, node)
    return int(loader.construct_yaml_int(node))


def _float(loader: Any, node: Any) -> float:
    _bounded(loader, node)
    return float(loader.construct_yaml_float(node))


def _table(loader: Any, node: Any) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
    if len(keys) != len(set(keys)):
        raise yaml.constructor.ConstructorError(None, None, "a key stands twice in one table", node.start_mark)
    loader.flatten_mapping(node)
    table: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return table


def _truth(loader: Any, node: Any) -> bool:
    word = str(loader.construct_scalar(node)).lower()
    if word not in _TRUTH:
        raise ValueError("neither true nor false")
    return word in _TRUTH[:4]


_TRUTH = ("y", "yes", "true", "on", "n", "no", "false", "off")
# A table of its own: add_implicit_resolver would otherwise add to the parent's words.
_RosLoader.yaml_implicit_resolvers = {}

_WORDS_OF_ROS = (
    ("tag:yaml.org,2002:bool", r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF"),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0x[0-9a-fA-F]+|0[0-7]+|[0-9]+)"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    ("tag:yaml.org,2002:merge", r"<<"),
)
for _tag, _pattern in _WORDS_OF_ROS:
    _RosLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), None)
_RosLoader.add_constructor("tag:yaml.org,2002:bool", _truth)
for _loader in (_Loader, _RosLoader):
    _loader.add_constructor("tag:yaml.org,2002:int", _whole)
    _loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _table)
_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _table)

_LOADERS = {Dialect.YAML: _Loader, Dialect.ROS: _RosLoader}
# What PyYAML's constructors raise beside YAMLError for `!!bool foo`, `!!int ""`, `!!timestamp x` and the like.
_RAISED = (yaml.YAMLError, ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, RecursionError)


def read_yaml(path: str | Path, kind: str, failure: Failure = UserError, dialect: Dialect = Dialect.YAML) -> Any:
    """Return what a YAML file holds: dicts, lists, strings, numbers, truth values, None, dates (not in ``Dialect.ROS``).

    Args:
        path: A regular file of at most ``MOST_BYTES``.
        kind: What was expected, for errors, such as ``calibration file``.
        failure: Makes the error.
        dialect: Which words are numbers.

    Raises:
        UserError: As ``failure`` makes it: the file cannot be read, is not YAML or is out of bounds. The sentence names the file
            and the place in it, and quotes nothing: it may have been a file that its reader must not see.
    """
    content = read_bounded(path, kind, MOST_BYTES, failure)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise failure(f"{path}: not a readable {kind} (not UTF-8 text)") from error
    return parse_yaml(text, f"{path}: not a readable {kind}", failure, dialect)


def parse_yaml(text: str, problem: str, failure: Failure = UserError, dialect: Dialect = Dialect.YAML) -> Any:
    """Return what YAML text holds, as ``read_yaml``.

    Args:
        text: One document.
        problem: The sentence to which the reason is added in brackets where it cannot be read.
        failure: Makes the error.
        dialect: Which words are numbers.

    Raises:
        UserError: As ``failure`` makes it.
    """
    if len(text) > MOST_BYTES:
        raise failure(f"{problem} (larger than {MOST_BYTES} bytes)")
    if text.startswith("%YAML:1.0"):
        # OpenCV's FileStorage writes a first line that is not YAML 1.1.
        text = text.removeprefix("%YAML:1.0").lstrip()
    try:
        reason = _out_of_bounds(text)
        if not reason:
            return yaml.load(text, _LOADERS[dialect])  # a SafeLoader: builds nothing but plain values
        cause: BaseException | None = None
    except _RAISED as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        reason, cause = f"not YAML{place}", error
    raise failure(f"{problem} ({reason})") from cause


def _out_of_bounds(text: str) -> str:
    """Return why the text must not be built, or nothing; raises YAMLError where it is not YAML."""
    sizes: dict[str, int] = {}
    """Values below each anchor, aliases counted as what they stand for."""
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                return "an alias of a value that is not complete before it"
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
            # An anchor that is given again counts only once it is complete.
            sizes.pop(event.anchor or "", None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if len(opened) > MOST_DEPTH:
            return f"nested more than {MOST_DEPTH} deep"
        if total > MOST_VALUES:
            return f"more than {MOST_VALUES} values"
    return ""


def dump_yaml(content: Any) -> str:
    """Return plain values as YAML: block style, short lists in one line, keys in their order."""
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
