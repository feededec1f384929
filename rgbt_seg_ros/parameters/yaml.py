"""YAML as ROS reads its parameter files (rcl_yaml_param_parser): which plain words are numbers, truth values or texts."""

from __future__ import annotations

import re
from typing import Any

import yaml


class RosLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the words of rcl: no dates, no sexagesimal numbers, ``5e-2`` is a number."""


# A table of its own: add_implicit_resolver would otherwise add to the parent's words.
RosLoader.yaml_implicit_resolvers = {}

_WORDS = (
    ("tag:yaml.org,2002:bool", r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF"),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0x[0-9a-fA-F]+|0[0-7]+|[0-9]+)"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    ("tag:yaml.org,2002:merge", r"<<"),
)
for _tag, _pattern in _WORDS:
    RosLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), None)


def _truth(loader: RosLoader, node: Any) -> bool:
    return str(loader.construct_scalar(node)).lower() in ("y", "yes", "true", "on")


RosLoader.add_constructor("tag:yaml.org,2002:bool", _truth)


def load(text: str) -> Any:
    """Return what a parameter file holds; raises yaml.YAMLError, or ValueError for a number that is none."""
    return yaml.load(text, RosLoader)  # a SafeLoader: builds nothing but plain values
