"""Training configurations as YAML files, with values set on the command line over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rgbt_seg_ros.decoding import decode, encode, shown_key
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.yaml_text import dump_yaml, parse_yaml, read_yaml


@contextmanager
def keys_as_typed(path: str | Path, options: Mapping[str, str], sets: Sequence[str]) -> Iterator[None]:
    """Name the keys that are refused in this block as they were typed: an option, ``--set KEY``, or the file and the key.

    Args:
        path: The file that gives what nothing else does.
        options: The option that was given for a key, such as ``--device`` for ``run.device``.
        sets: What was given to ``--set``; it holds over an option.

    Raises:
        SettingError: Of the block, renamed.
    """
    typed = {**options, **{words.partition("=")[0].strip(): "" for words in sets}}
    try:
        yield
    except SettingError as error:
        if error.prefix:
            raise
        for key, option in reversed(typed.items()):
            if error.key == key or error.key.startswith((f"{key}.", f"{key}[")):
                raise error.named(option or f"--set {error.key}") from error
        raise error.named(error.key, str(path)) from error


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML configuration, as ``load_config``, and name what is refused by its key alone."""
    data = read_yaml(path, "training configuration")
    for words in overrides:
        data = override(data, words)
    return decode(TrainingConfig, data)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML configuration.

    Args:
        path: The file; keys it leaves out take their defaults.
        overrides: ``a.b=value`` with YAML values, applied over the file in order.

    Raises:
        UserError: The file does not exist or is not YAML, or a key is unknown, of another type or out of range.
    """
    with keys_as_typed(path, {}, overrides):
        return read_config(path, overrides)


def dump_config(config: TrainingConfig) -> str:
    """Return the YAML of a configuration with every key, as ``load_config`` reads it."""
    return dump_yaml(encode(config))


def override(data: Any, words: str) -> Any:
    """Return plain configuration data with ``a.b=value`` (YAML) set in it.

    Raises:
        UserError: The words have another form, or name a key inside a value that is not a table.
    """
    name, equals, text = words.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {shown_key(words)}: expected KEY=VALUE, such as run.epochs=20")
    value = parse_yaml(text, f"--set {shown_key(name)}: the value cannot be read")
    return _set(data, keys, value, words)


def _set(data: Any, keys: Sequence[str], value: Any, words: str) -> Any:
    if not keys:
        return value
    table = {} if data is None else data
    if not isinstance(table, dict):
        raise UserError(f"--set {shown_key(words)}: {shown_key(keys[0])} lies inside a value that is not a table")
    return {**table, keys[0]: _set(table.get(keys[0]), keys[1:], value, words)}
