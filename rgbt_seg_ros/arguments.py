"""Numbers on the command line: parsers for ``type=`` of argparse, which say in one sentence what was expected."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

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
