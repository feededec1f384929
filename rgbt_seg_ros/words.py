"""Words that many modules use: counts with their nouns, and terms that carry their meaning."""

from __future__ import annotations

from enum import Enum


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in s: ``1 message``, ``2 messages``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Term(str, Enum):
    """A fixed word that is published or reported, with its meaning: ``NAME = "value", "meaning"``."""

    meaning: str
    """One phrase for the table in the documentation."""

    def __new__(cls, value: str, meaning: str) -> Term:
        """Make a member from its value and its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    def __str__(self) -> str:
        """Return the value, as plain text on every version of Python."""
        return str(self.value)
