"""The build backend: setuptools', which in an isolated build also asks for what generates the ROS messages.

pip builds the package before it installs any of its dependencies, so `pip install '.[ros]'` in an empty
environment has no generators at hand when they are needed. Where no ROS is sourced or installed they are lent
to the build.
"""

from __future__ import annotations

from typing import Any

from ros_tooling import build_tools, find_tooling, lendable_wheels, messages_mode
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403


def _requirements() -> list[str]:
    if messages_mode() == "off":
        return []
    wheels = [] if find_tooling() else lendable_wheels()
    return [*wheels, *build_tools()] if wheels or find_tooling() else []


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Return setuptools' requirements and those of the messages (PEP 517)."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_requirements()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """Return setuptools' requirements and those of the messages (PEP 660)."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *_requirements()]
