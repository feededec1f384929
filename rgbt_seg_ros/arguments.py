"""What commands share: parsers for ``type=`` of argparse, which say in one sentence what was expected, and ``--params``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any

LONGEST = 1e9
"""Seconds, 31 years: no time on a command line is longer, so that no number of nanoseconds leaves its 64 bits."""


def positive(text: str) -> int:
    """Parse a whole number from 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def number(low: float, high: float, above: bool = False) -> Callable[[str], float]:
    """Return a parser of numbers from ``low`` to ``high``; with ``above``, of those above ``low``.

    The parser raises ArgumentTypeError for anything else.
    """
    expected = f"a number above {low:g}, at most {high:g}" if above else f"a number from {low:g} to {high:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
        return value

    return parse


seconds = number(0.0, LONGEST)
"""Parse a time (s), which may be 0."""

seconds_above_zero = number(0.0, LONGEST, above=True)
"""Parse a time (s) above 0."""


def node_parameters(path: str | None, node: str | None = None) -> dict[str, Any]:
    """Return every parameter of the node by name: the defaults, or what a parameter file says in place of them.

    Names in the file that are no parameters are told on stderr: ROS would pass over them in silence.

    Args:
        path: Of the file; None or empty: there is none.
        node: Full name of the node whose sections count; None: that of a node without a namespace.

    Raises:
        ParameterError: As ``read_parameter_file``.
    """
    from rgbt_seg_ros.parameters.file import NODE, defaults, read_parameter_file

    if not path:
        return defaults()
    found = read_parameter_file(path, node or f"/{NODE}")
    if found.unknown:
        print(f"{path}: no parameters of the node: {', '.join(found.unknown)}", file=sys.stderr)
    return dict(found.values)


def option_names(args: argparse.Namespace) -> dict[str, str]:
    """Return the option that each value of a command line came from: ``input_size``: ``--input-size``.

    With them ``errors.name_settings`` turns the field that a lower layer refuses into the option that was typed.
    """
    return {name: f"--{name.replace('_', '-')}" for name in vars(args)}
