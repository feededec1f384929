"""Text of strangers made safe to print: names of classes, topics and files, and whatever a file says of itself."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO

# C0 and C1 controls, of which a terminal obeys many; separators of lines; and what turns the direction of text around.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return a text whose control characters, less tab and newline, are written as ``\u001b``, which JSON reads too.

    >>> printable("\x1b[2Jcar")
    '\\u001b[2Jcar'
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(sentence: str) -> None:
    """Print a sentence on stderr at once, as ``printable`` makes it: notes, warnings and errors may quote strangers."""
    print(printable(sentence), file=sys.stderr, flush=True)


class PrintableStream:
    """A text stream that writes every text as ``printable`` makes it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        return self._stream.write(printable(text))

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self._stream, name)


class PrintableFormatter(logging.Formatter):
    """Formats log lines so that no text in them reaches the terminal as a control."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))
