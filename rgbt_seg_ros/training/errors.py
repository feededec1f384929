"""The error of a training configuration."""

from __future__ import annotations

from rgbt_seg_ros.errors import UserError


class ConfigError(UserError):
    """A training configuration that cannot be used; the sentence names the file and the key."""
