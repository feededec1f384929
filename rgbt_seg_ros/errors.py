"""The error a person can do something about."""

from __future__ import annotations


class UserError(Exception):
    """Something a user gave that cannot be used, said in one sentence: what, where, and what was expected."""
