"""Read the node's parameters from a ROS parameter file, without ROS: the file that a robot launches with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rgbt_seg_ros.parameters.pairs import PAIR_PARAMETERS
from rgbt_seg_ros.parameters.sections import KEY, matches, sections
from rgbt_seg_ros.parameters.table import PARAMETERS, Parameter, ParameterError
from rgbt_seg_ros.yaml_text import Dialect, read_yaml

NODE = "rgbt_segmentation"
_OF_ROS = ("use_sim_time", "qos_overrides")
"""Parameters that every node has; they mean nothing here."""


@dataclass(frozen=True)
class ParameterValues:
    """What a file says.

    Attributes:
        values: Every parameter of the node: what the file says, else its default; and ``PAIR.NAME`` where the file says
            something for one of its ``pairs`` alone.
        unknown: Names in the file that are no parameter of the node; ROS passes over them in silence.
    """

    values: Mapping[str, Any]
    unknown: tuple[str, ...] = ()


def defaults() -> dict[str, Any]:
    """Return every parameter with its default."""
    return {parameter.name: parameter.default for parameter in PARAMETERS}


def read_parameter_file(path: str | Path, node: str = f"/{NODE}") -> ParameterValues:
    """Read what a file sets for a node.

    Sections are matched and nested as ROS does: ``/**``, ``/*``, a full name, or namespaces as keys; a later section wins.

    Args:
        path: YAML; relative paths in it are relative to the working directory, as for the node.
        node: Full name of the node.

    Raises:
        ParameterError: The file is not there, no such YAML, has no section of the node, or a value of another type or out of
            its range; the sentence names file, parameter and what was expected.
    """
    content = read_yaml(path, "parameter file", ParameterError, Dialect.ROS)
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: expected sections such as /**: with {KEY}: below them")
    values, unknown, matched = defaults(), [], False
    known = {parameter.name: parameter for parameter in PARAMETERS}
    of_pairs = {parameter.name: parameter for parameter in PAIR_PARAMETERS}
    for name, section in sections(content):
        if not isinstance(section, dict):
            raise ParameterError(f"{path}: {name}: {KEY} holds no names with values")
        if not matches(name, node):
            continue
        matched = True
        for key, value in _flat(section, ""):
            if key in known:
                values[key] = _checked(known[key], value, path)
            elif (name_of_pair := key.partition(".")[2]) in of_pairs:
                values[key] = _checked(replace(of_pairs[name_of_pair], name=key), value, path)
            elif key.split(".")[0] not in _OF_ROS:
                unknown.append(key)
    if not matched:
        raise ParameterError(
            f"{path}: no section is for the node {node}; expected /**: or {node}: with {KEY}: below it"
        )
    pairs = set(values["pairs"])
    strangers = [key for key in values if key not in known and key.partition(".")[0] not in pairs]
    for key in strangers:
        del values[key]
    return ParameterValues(values, (*unknown, *strangers))


def _flat(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _checked(parameter: Parameter, value: Any, path: str | Path) -> Any:
    """Return the value; refuse another type, as ROS does, and one out of its range."""
    legal = type(value) is type(parameter.default)
    if isinstance(value, list):
        legal = legal and bool(value) and all(isinstance(entry, str) for entry in value)
    if legal and parameter.low is not None and parameter.high is not None:
        legal = parameter.low <= value <= parameter.high
    if not legal:
        raise ParameterError(f"{path}: {parameter.name}: {value!r} is not {parameter.legal()}")
    return value
