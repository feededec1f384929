"""Parameters of several camera pairs in one node: which there are for each pair, and the settings they make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rgbt_seg_ros.errors import name_settings
from rgbt_seg_ros.parameters.table import PARAMETERS, NodeSettings, ParameterError, settings_of

_GROUPS = ("sync", "rgb", "thermal", "alignment", "points")

PAIR_PARAMETERS = tuple(parameter for parameter in PARAMETERS if parameter.name.split(".")[0] in _GROUPS)
"""Parameters that each named pair has for itself too, as ``PAIR.NAME``; what is not set for a pair is what all have."""

LARGEST = 64
"""Camera pairs of one node, as many as may share a run."""

_RESERVED = {*(parameter.name.split(".")[0] for parameter in PARAMETERS), "depth", "segmentation"}


def check_pairs(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the camera pairs.

    Args:
        names: Value of the parameter ``pairs``; one empty name stands for a single pair without a namespace of its own.

    Raises:
        ParameterError: A name is not a ROS name, is given twice, or means something else to the node.
    """
    if list(names) == [""]:
        return ("",)
    expected = "expected names of letters, digits and _, each once, such as [front, rear]"
    if not names:
        raise ParameterError(f"pairs: empty; {expected}")
    if len(names) > LARGEST:
        raise ParameterError(f"pairs: {len(names)} names; expected at most {LARGEST}")
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name):
            raise ParameterError(f"pairs: '{name}' is not a name; {expected}")
        if name in _RESERVED:
            raise ParameterError(f"pairs: '{name}' names topics or parameters of every pair; expected another name")
        if list(names).count(name) > 1:
            raise ParameterError(f"pairs: '{name}' is given twice; {expected}")
    return tuple(names)


def settings_of_pairs(values: Mapping[str, Any]) -> dict[str, NodeSettings]:
    """Return the settings of each pair, by name.

    Args:
        values: Of every parameter, and of those ``PAIR.NAME`` that differ from what all pairs have.

    Raises:
        UserError: A value is not legal; the sentence names the parameter as it was set (``PAIR.NAME``), and what is legal.
    """
    settings = {}
    for pair in check_pairs(values["pairs"]):
        own = {p.name: f"{pair}.{p.name}" for p in PAIR_PARAMETERS if f"{pair}.{p.name}" in values}
        with name_settings(own):
            settings[pair] = settings_of({**values, **{name: values[typed] for name, typed in own.items()}})
    return settings
