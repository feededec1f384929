"""The errors a person can do something about, and foreign exceptions in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class UserError(Exception):
    """Something a user gave that cannot be used, said in one sentence: what, where, and what was expected."""


class SettingError(UserError):
    """A setting that cannot be used.

    Low layers raise it with the name of the field, such as ``device``. They cannot know under which name a user gave the
    value: a parameter of the node, an option of a command, a key of a training file. The face that took the value puts
    that name in place of the field's, with ``name_settings``.

    Attributes:
        key: The setting: the field's name, or the name that its user typed.
        problem: What is wrong with it, with the value.
        expected: What would be legal; empty where the problem says so already.
        prefix: What stands before the sentence: the file that the value came from, or nothing.
    """

    def __init__(self, key: str, problem: str, expected: str = "", prefix: str = "") -> None:
        super().__init__(key, problem, expected, prefix)
        self.key, self.problem, self.expected, self.prefix = key, problem, expected, prefix

    def __str__(self) -> str:
        """Return the sentence: ``KEY: PROBLEM; expected EXPECTED``."""
        sentence = ": ".join(part for part in (self.prefix, self.key, self.problem) if part)
        return f"{sentence}; expected {self.expected}" if self.expected else sentence

    def named(self, key: str, prefix: str = "") -> SettingError:
        """Return the same error, of the same class, under another name of the setting."""
        return type(self)(key, self.problem, self.expected, prefix or self.prefix)


@contextmanager
def name_settings(names: Mapping[str, str], prefix: str = "") -> Iterator[None]:
    """Name the settings that are refused in this block as their user typed them.

    Args:
        names: For the field's name in the low layer, such as ``device``, what the user typed, such as ``--device``. A field
            that is not in it keeps its name, and so does a setting that already has a file before it.
        prefix: The file that the values came from; empty: none.

    Raises:
        SettingError: Of the block, renamed.

    >>> with name_settings({"device": "--device"}):
    ...     raise SettingError("device", "'tpu' is not a device", "auto, cpu, cuda or cuda:N")
    Traceback (most recent call last):
    rgbt_seg_ros.errors.SettingError: --device: 'tpu' is not a device; expected auto, cpu, cuda or cuda:N
    """
    try:
        yield
    except SettingError as error:
        name = names.get(error.key, error.key)
        if error.prefix or (name == error.key and not prefix):
            raise
        raise error.named(name, prefix) from error


def in_words(error: BaseException) -> str:
    """Return what an exception says: a UserError's sentence, and for a foreign one ``ClassName: message`` in one line."""
    if isinstance(error, UserError):
        return str(error)
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
