"""Training configurations as YAML files, with values set on the command line over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.schema import ConfigError, decode, encode


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML configuration.

    Args:
        path: The file; keys it leaves out take their defaults.
        overrides: ``a.b=value`` with YAML values, applied over the file in order.

    Raises:
        ConfigError: The file is not there or not YAML, or a key is unknown, of another type or out of range.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not UTF-8, a number of thousands of digits
        raise ConfigError(f"{path}: not a readable YAML file ({' '.join(str(error).split())})") from error
    for words in overrides:
        data = override(data, words)
    try:
        return decode(TrainingConfig, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def dump_config(config: TrainingConfig) -> str:
    """Return the YAML of a configuration with every key, as ``load_config`` reads it."""
    return yaml.safe_dump(encode(config), sort_keys=False, allow_unicode=True, width=120)


def override(data: Any, words: str) -> Any:
    """Return plain configuration data with ``a.b=value`` (YAML) set in it.

    Raises:
        ConfigError: The words have another form, or walk through what is no table.
    """
    name, equals, text = words.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {words}: expected KEY=VALUE, such as run.epochs=20")
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--set {words}: the value is not YAML ({str(error).splitlines()[0]})") from error
    return _set(data, keys, value, words)


def _set(data: Any, keys: Sequence[str], value: Any, words: str) -> Any:
    if not keys:
        return value
    table = {} if data is None else data
    if not isinstance(table, dict):
        raise ConfigError(f"--set {words}: {keys[0]} lies inside a value that is no table")
    return {**table, keys[0]: _set(table.get(keys[0]), keys[1:], value, words)}
