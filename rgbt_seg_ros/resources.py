"""Where the files of this package lie: configuration, launch files, message definitions, the Fast DDS profile. Needs no ROS.

The same layout, ``share/rgbt_seg_ros/{config,launch,msg,package.xml}``, is found above the package after ``colcon
build`` and after ``pip install``; in a checkout (editable install, or no install at all) its own files are
used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from glob import escape, glob
from pathlib import Path

from rgbt_seg_ros.errors import UserError

FASTDDS_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
FASTRTPS_PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"

_PACKAGE = "rgbt_seg_ros"
# Fast DDS 3 renamed its library together with the variable.
_PROFILE_VARIABLES = {"libfastdds": FASTDDS_PROFILE, "libfastrtps": FASTRTPS_PROFILE}
_FAST_DDS_2_DISTRIBUTIONS = ("foxy", "galactic", "humble", "iron", "jazzy")


def share_dir(module_file: str | Path = __file__) -> Path:
    """Return the folder that holds ``config/`` and ``launch/``.

    ``module_file`` is a file of the package, by default this one; the search goes from it towards the root,
    so that it ends in the prefix the package itself is installed in. Raises UserError where the package was
    copied without its files.
    """
    # absolute(), not resolve(): `colcon build --symlink-install` links files of the prefix to their source.
    folders = Path(module_file).absolute().parents
    checkout = folders[1] if len(folders) > 1 else folders[0]
    if _is_share(checkout):
        return checkout
    for folder in folders:
        if _is_share(folder / "share" / _PACKAGE):
            return folder / "share" / _PACKAGE
    raise UserError(
        f"no share/{_PACKAGE} folder above {folders[0]}; expected one with package.xml and config/, "
        "as `pip install` and `colcon build` make it"
    )


def _is_share(folder: Path) -> bool:
    return (folder / "package.xml").is_file() and (folder / "config").is_dir()


def config_file(*parts: str) -> Path:
    """Return a file under ``config/``, given as path parts. Raises UserError where it is missing."""
    path = share_dir().joinpath("config", *parts)
    if not path.is_file():
        raise UserError(f"{path} is missing; expected it in an installed {_PACKAGE}")
    return path


def classes_names() -> tuple[str, ...]:
    """Return the names of the class tables that come with the package, sorted."""
    return tuple(sorted(path.stem for path in (share_dir() / "config" / "classes").glob("*.yaml")))


def classes_file(name_or_path: str | Path) -> Path:
    """Return the YAML file of a class table, given a path or the name of one that comes with the package.

    The file holds a list of ``{id: 0..254, name: str, color: [red, green, blue]}``, colours 0..255.
    Raises UserError, naming the known tables, where there is no such file.
    """
    known = classes_names()
    if str(name_or_path) in known:
        return share_dir() / "config" / "classes" / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.is_file():
        raise UserError(f"no class table {str(name_or_path)!r}; expected a YAML file or one of: {', '.join(known)}")
    return path


def message_definition(name: str) -> str:
    """Return the text of ``msg/NAME.msg``. Raises UserError where it is missing."""
    path = share_dir() / "msg" / f"{name}.msg"
    if not path.is_file():
        raise UserError(f"{path} is missing; expected it in an installed {_PACKAGE}")
    return path.read_text(encoding="utf-8")


def fastdds_profile() -> Path:
    """Return the Fast DDS profile with shared memory large enough for images.

    Processes that exchange images start with it in the variable that ``fastdds_variable`` names: over the
    default transport best-effort images are lost. It has no effect on other middleware.
    """
    return config_file("fastdds.xml")


def fastdds_variable(environment: Mapping[str, str] | None = None) -> str:
    """Return the environment variable from which the installed Fast DDS reads its profile.

    Fast DDS 3 (Kilted and later) reads ``FASTDDS_DEFAULT_PROFILES_FILE``, and warns where the older name is
    set too; Fast DDS 2 (Jazzy and earlier) reads ``FASTRTPS_DEFAULT_PROFILES_FILE`` alone. The version is told
    by the name of its library in the first prefix of ``AMENT_PREFIX_PATH`` that has one; where none has,
    by ``ROS_DISTRO``.

    ``environment`` is that of the processes to be started, by default this one's.
    """
    environment = os.environ if environment is None else environment
    prefixes = [prefix for prefix in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    # Where a workspace is not merged each of its packages has a prefix of its own: all of them are searched in order.
    for prefix in prefixes or [sys.prefix]:
        for library, variable in _PROFILE_VARIABLES.items():
            if any(glob(f"{escape(prefix)}/lib/{folder}{library}.so*") for folder in ("", "*-linux-gnu*/")):
                return variable
    return FASTRTPS_PROFILE if environment.get("ROS_DISTRO") in _FAST_DDS_2_DISTRIBUTIONS else FASTDDS_PROFILE


def fastdds_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variable that makes Fast DDS use this package's profile; nothing where the user has set a profile.

    Fast DDS 3 reads the older variable as well, Fast DDS 2 ignores the newer one: only what the installed version
    reads counts as set. ``environment`` is as in ``fastdds_variable``.
    """
    environment = os.environ if environment is None else environment
    variable = fastdds_variable(environment)
    if environment.get(variable) or environment.get(FASTRTPS_PROFILE):
        return {}
    return {variable: str(fastdds_profile())}


def prepare_ros_environment() -> None:
    """Let ROS find the packages of this Python environment; call before the first import of a ROS module.

    A sourced ROS sets ``AMENT_PREFIX_PATH`` and is left as it is. ROS wheels that pip installed set nothing: for them
    the prefix of the running Python is what a sourced prefix would be.
    """
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)


def prepare_image_transport() -> None:
    """Prepare the environment, and let Fast DDS carry images; call before the first import of rclpy.

    The middleware reads its profile when it is loaded. A profile that the user has set is kept.
    """
    prepare_ros_environment()
    os.environ.update(fastdds_environment())
