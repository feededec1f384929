"""The build commands that put the generated ROS messages into a pip install.

They run the CMakeLists.txt that colcon runs, into a temporary prefix, and carry from there the Python
messages into the package, and libraries, share files and executables into the environment's prefix, where a
sourced workspace has them.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

from ros_tooling import ROOT, Tooling, find_compiler, find_tooling, messages_mode
from setuptools import Command, Distribution
from setuptools.command.build import build as _build

PACKAGE = "rgbt_seg_ros"


def shared_files(root: Path) -> list[tuple[str, list[str]]]:
    """Return what every install puts under its prefix: configuration, launch files, definitions, and the ament mark."""
    share = f"share/{PACKAGE}"
    files = [(share, ["package.xml"])]
    # msg too: bags are written without ROS. A build that generates the messages installs the same files once more.
    for folder in ("config", "launch", "msg"):
        files += [(f"{share}/{target}", paths) for target, paths in _by_folder(root, root / folder)]
    mark = _temporary_folder() / PACKAGE
    mark.touch()
    files.append(("share/ament_index/resource_index/packages", [str(mark)]))
    files.append((f"lib/{PACKAGE}", ["scripts/segmentation_node", "scripts/rgbt-seg"]))
    return files


class RosDistribution(Distribution):
    """A distribution that holds compiled messages wherever they can be generated."""

    def has_ext_modules(self) -> bool:
        """Return whether the wheel is bound to this platform."""
        return self.tooling() is not None

    def has_data(self) -> bool:
        """Return whether there are data files; editable installs ask, and skip them without an answer."""
        return self.has_data_files()

    def tooling(self) -> Tooling | None:
        """Return the message generators to use, None to build without messages."""
        mode = messages_mode()
        found = find_tooling() if mode != "off" else None
        if mode == "on" and found is None:
            raise SystemExit(
                "no ROS message generators found; expected a sourced ROS 2 or the wheels of constraints-jazzy.txt"
            )
        return found


class build(_build):
    """Build in a folder of its own: what an earlier build left behind must not reach this one's wheel."""

    sub_commands: ClassVar = [*_build.sub_commands, ("build_ros_messages", None)]

    def finalize_options(self) -> None:
        """Move the build out of the checkout unless a folder was asked for."""
        if self.build_base == "build":
            self.build_base = str(_temporary_folder())
        super().finalize_options()


class build_ros_messages(Command):
    """Generate and compile the messages with CMake."""

    description = "generate the ROS messages"
    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        """Start with nothing known."""
        self.build_lib: str | None = None
        self._outputs: list[str] = []

    def finalize_options(self) -> None:
        """Take the target folder from the build."""
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Generate the messages, or say in one line why this install has none."""
        tooling = self.distribution.tooling()
        if tooling is None:
            self._say_without("no message generators here (source a ROS 2, or install its wheels first)")
            return
        try:
            prefix = _run_cmake(tooling)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            # Generators that were there must work; those lent to the build must not stand in the way.
            if messages_mode() == "on" or not tooling.lent:
                raise
            self._say_without(str(error))
            return
        self._carry(prefix)

    def get_outputs(self) -> list[str]:
        """Return the files put into the wheel."""
        return self._outputs

    def get_source_files(self) -> list[str]:
        """Return the files a source distribution needs for this command."""
        return [
            "CMakeLists.txt",
            "package.xml",
            *(str(path.relative_to(ROOT)) for path in ROOT.glob("msg/*.msg")),
        ]

    def _say_without(self, reason: str) -> None:
        print(f"{PACKAGE}: built without its ROS messages and so without the node: {reason}", file=sys.stderr)

    def _carry(self, prefix: Path) -> None:
        generated = prefix / "python" / PACKAGE
        # An editable install imports from the sources, so the generated modules go there; git ignores them.
        target = ROOT / PACKAGE if self.editable_mode else Path(str(self.build_lib)) / PACKAGE
        shutil.rmtree(target / "msg", ignore_errors=True)
        shutil.copytree(generated / "msg", target / "msg", ignore=shutil.ignore_patterns("__pycache__", "*.c"))
        for library in generated.glob("*.so"):
            shutil.copy2(library, target / library.name)
        if not self.editable_mode:
            paths = [*(target / "msg").rglob("*"), *target.glob("*.so")]
            self._outputs = [str(path) for path in paths if path.is_file()]
        # The scripts that a workspace is sourced with describe colcon's layout, not this one.
        share = prefix / "share" / PACKAGE
        shutil.rmtree(share / "environment")
        for script in (*share.glob("local_setup.*"), share / "package.dsv"):
            script.unlink()
        self.distribution.data_files = [
            entry for part in ("include", "lib", "share") for entry in _by_folder(prefix, prefix / part)
        ]


def _run_cmake(tooling: Tooling) -> Path:
    """Configure, build and install CMakeLists.txt with the generators given, and return the prefix."""
    cmake = tooling.program("cmake")
    if cmake is None:
        raise FileNotFoundError("cmake is missing; expected it on PATH or in the Python environment")
    if find_compiler() is None:
        raise FileNotFoundError("a C++ compiler is missing; expected g++ or clang++ on PATH")
    folder = _temporary_folder()
    environment = tooling.environment()
    configure = [
        *(cmake, "-S", str(_copied_sources(folder / "source")), "-B", str(folder / "build")),
        *(["-G", "Ninja"] if tooling.program("ninja") else []),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        f"-DCMAKE_INSTALL_PREFIX={folder / 'prefix'}",
        "-DPYTHON_INSTALL_DIR=python",
        f"-DPython3_EXECUTABLE={sys.executable}",
        # Nothing to do for a sourced distribution, whose folders all exist.
        f"-DCMAKE_PROJECT_INCLUDE={ROOT / 'cmake' / 'ros_wheels.cmake'}",
    ]
    # CMake's output goes to stderr and so into pip's record: shown with -v, and when the build fails.
    install = [cmake, "--build", str(folder / "build"), "--parallel", "--target", "install"]
    for command in (configure, install):
        subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
    return folder / "prefix"


def _copied_sources(folder: Path) -> Path:
    """Copy what CMakeLists.txt reads into a folder of its own, and return it.

    CMake refuses to install targets whose include folders lie below the sources, as those of a virtual
    environment inside the checkout do.
    """
    folder.mkdir()
    for name in ("CMakeLists.txt", "package.xml"):
        shutil.copy2(ROOT / name, folder / name)
    for name in ("msg", "scripts", "config", "launch", PACKAGE):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return folder


def _by_folder(root: Path, folder: Path) -> list[tuple[str, list[str]]]:
    """Return setuptools' data_files for everything under a folder, keeping its layout relative to root."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[str(path.parent.relative_to(root))].append(str(path))
    return list(files.items())


def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix=f"{PACKAGE}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
