"""Training configurations as YAML files, with values set on the command line over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgbt_seg_ros.decoding import decode, encode
from rgbt_seg_ros.errors import name_settings
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.errors import ConfigError
from rgbt_seg_ros.yaml_text import dump_yaml, parse_yaml, read_yaml


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML configuration.

    Args:
        path: The file; keys it leaves out take their defaults.
        overrides: ``a.b=value`` with YAML values, applied over the file in order.

    Raises:
        ConfigError: The file is not there or not YAML, or a key is unknown, of another type or out of range.
    """
    data = read_yaml(path, "training configuration", ConfigError)
    for words in overrides:
        data = override(data, words)
    with name_settings({}, str(path)):
        return decode(TrainingConfig, data)


def dump_config(config: TrainingConfig) -> str:
    """Return the YAML of a configuration with every key, as ``load_config`` reads it."""
    return dump_yaml(encode(config))


def override(data: Any, words: str) -> Any:
    """Return plain configuration data with ``a.b=value`` (YAML) set in it.

    Raises:
        ConfigError: The words have another form, or walk through what is no table.
    """
    name, equals, text = words.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {words}: expected KEY=VALUE, such as run.epochs=20")
    value = parse_yaml(text, f"--set {words}: the value cannot be read", ConfigError)
    return _set(data, keys, value, words)


def _set(data: Any, keys: Sequence[str], value: Any, words: str) -> Any:
    if not keys:
        return value
    table = {} if data is None else data
    if not isinstance(table, dict):
        raise ConfigError(f"--set {words}: {keys[0]} lies inside a value that is no table")
    return {**table, keys[0]: _set(table.get(keys[0]), keys[1:], value, words)}
