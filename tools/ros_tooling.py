"""Finds what generates ROS messages: a sourced ROS 2 distribution, or the ROS wheels of a Python environment.

Used by the build only. The environment variable RGBT_SEG_ROS_MESSAGES decides what happens where there is
none: `auto` (default) builds the package without messages, `on` fails, `off` does not look.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_GENERATORS = ("ament_cmake", "rosidl_default_generators", "sensor_msgs")
# Of the wheels of a distribution those that the messages need besides the generators.
_FIELDS = ("sensor-msgs",)


@dataclass(frozen=True)
class Tooling:
    """A complete set of message generators: where it lies, and whether it is only lent to this build."""

    prefixes: tuple[Path, ...]
    lent: bool

    def environment(self) -> dict[str, str]:
        """Return the environment for CMake: this one with the prefixes, less what is meant for pip itself."""
        environment = dict(os.environ)
        # pip's isolated build hides the environment's packages, the generators among them, with PYTHONPATH.
        packages = [path for prefix in self.prefixes for path in _site_packages(prefix)]
        environment["PYTHONPATH"] = os.pathsep.join(map(str, packages))
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(map(str, self.prefixes))
        prefixes = [*map(str, self.prefixes), *filter(None, [os.environ.get("CMAKE_PREFIX_PATH")])]
        environment["CMAKE_PREFIX_PATH"] = os.pathsep.join(prefixes)
        environment["PATH"] = _search_path(self.prefixes)
        return environment

    def program(self, name: str) -> str | None:
        """Return the path of a program on PATH or in one of the environments, else None."""
        return shutil.which(name, path=_search_path(self.prefixes))


def messages_mode() -> str:
    """Return `auto`, `on` or `off`."""
    mode = os.environ.get("RGBT_SEG_ROS_MESSAGES", "auto")
    if mode not in ("auto", "on", "off"):
        raise SystemExit(f"RGBT_SEG_ROS_MESSAGES is {mode!r}; expected auto, on or off")
    return mode


def find_tooling() -> Tooling | None:
    """Return the generators to use: those sourced, else the environment's, else those lent to the build."""
    sourced = tuple(Path(path) for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path)
    own = Path(sys.prefix)
    lent = (Path(path).parents[2] for path in sys.path if Path(path).name == "site-packages")
    for prefixes in (sourced, (own,), *((prefix,) for prefix in lent)):
        if prefixes and all(any(_has(prefix, name) for prefix in prefixes) for name in _GENERATORS):
            return Tooling(prefixes, lent=prefixes not in (sourced, (own,)))
    return None


def lendable_wheels() -> list[str]:
    """Return the requirements that bring the message generators, none where no such wheels exist.

    None either without a C++ compiler, because they would be of no use.
    """
    supported = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
    if not supported or find_compiler() is None:
        return []
    distribution = distribution_of_wheels()
    generators = constraints(f"constraints-{distribution}.txt", "# message generation")
    fields = [
        line
        for line in constraints(f"constraints-{distribution}.txt")
        if line.split("==")[0].removeprefix(f"ros-{distribution}-") in _FIELDS
    ]
    return [*generators, *fields, *(line for line in constraints() if line.startswith("catkin_pkg=="))]


def distribution_of_wheels() -> str:
    """Return whose wheels to use, ``jazzy`` (default, the one with long-term support) or ``kilted``: ROS_WHEELS."""
    name = os.environ.get("ROS_WHEELS") or "jazzy"
    if not (ROOT / f"constraints-{name}.txt").is_file():
        raise SystemExit(f"ROS_WHEELS is {name!r}; expected jazzy or kilted")
    return name


def build_tools() -> list[str]:
    """Return the requirements that bring the build programs this machine lacks."""
    return [
        line
        for line in constraints()
        if line.split("==")[0] in ("cmake", "ninja") and not shutil.which(line.split("==")[0])
    ]


def constraints(file: str = "constraints.txt", heading: str = "") -> list[str]:
    """Return the pinned requirements of a file, or those below the comment that begins with a heading."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if heading:
        text = text.partition(heading)[2].partition("\n")[2]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def find_compiler() -> str | None:
    """Return the C++ compiler CMake will take, else None."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "c++", "g++", "clang++"))), None)


def _has(prefix: Path, package: str) -> bool:
    return (prefix / "share" / package / "cmake" / f"{package}Config.cmake").is_file()


def _site_packages(prefix: Path) -> list[Path]:
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = (prefix / "lib" / python / "site-packages", prefix / "local" / "lib" / python / "dist-packages")
    return [folder for folder in folders if folder.is_dir()]


def _search_path(prefixes: tuple[Path, ...]) -> str:
    folders = [Path(sys.prefix) / "bin", *(prefix / "bin" for prefix in prefixes)]
    return os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
