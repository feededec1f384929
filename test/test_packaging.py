from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

import rgbt_seg_ros

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = sorted((ROOT / "msg").glob("*.msg"))

# What an import is called by pip and by rosdep. A ROS package is called by its own name, and only in package.xml.
LIBRARIES = {
    "PIL": ("Pillow", "python3-pil"),
    "backports": ("rosbags", "python3-rosbags-pip"),  # backports.zstd, which rosbags requires and brings
    "cv2": ("opencv-python", "python3-opencv"),
    "jinja2": ("jinja2", "python3-jinja2"),
    "lz4": ("rosbags", "python3-rosbags-pip"),  # likewise
    "numpy": ("numpy", "python3-numpy"),
    "rosbags": ("rosbags", "python3-rosbags-pip"),
    "safetensors": ("safetensors", "python3-timm-pip"),  # no key of its own: timm brings it
    "timm": ("timm", "python3-timm-pip"),
    "torch": ("torch", "python3-torch"),
    "torchvision": ("torchvision", "python3-torchvision"),
    "tqdm": ("tqdm", "python3-tqdm"),
    "yaml": ("PyYAML", "python3-yaml"),
}
# What rosdep has no key for: README.md says to install it with pip, and everything that needs no bag works without it.
PIP_ONLY = {  # name and extra
    "ray": ("ray", "ray"),
    "openvino": ("openvino", "openvino"),
    "nncf": ("nncf", "int8"),
    "onnx": ("onnx", "onnxruntime"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "tensorrt": ("tensorrt", "tensorrt"),
}
NOT_PINNED = {"nncf", "tensorrt"}  # constraints.txt says why


def _declared_to_ros(*kinds: str) -> set[str]:
    root = ElementTree.parse(ROOT / "package.xml").getroot()
    return {str(element.text) for kind in kinds for element in root.iterfind(kind)}


def _declared_to_pip() -> dict[str, list[str]]:
    """Return the requirements of the package and of each extra (of the package: the extra '')."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def _third_party_imports(folder: str) -> Iterator[tuple[str, str]]:
    """Yield each module imported from outside the package and the standard library, and where."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        # rgbt_seg_ros/msg/ is generated.
        if path.is_relative_to(ROOT / "rgbt_seg_ros" / "msg"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            else:
                continue
            for name in {name.split(".")[0] for name in names}:
                # _typeshed is there for type checkers alone; compression is part of Python from 3.14 on.
                if name not in ("rgbt_seg_ros", "_typeshed", "compression", *sys.stdlib_module_names):
                    yield name, f"{path.relative_to(ROOT)}:{node.lineno}"


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match, requirement
    return match[0]


def _fields(path: Path) -> list[tuple[str, str, str, str]]:
    """Return type, name, constant value and comment of each line of a .msg file; a comment may go on below."""
    fields: list[tuple[str, str, str, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        content, _, comment = line.partition("#")
        if content.strip():
            kind, name, value = re.fullmatch(r"(\S+)\s+(\w+)\s*=?\s*(\S*)\s*", content).groups()  # type: ignore[union-attr]
            fields.append((kind, name, value, comment.strip()))
    return fields


def test_the_version_is_the_same_everywhere() -> None:
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == rgbt_seg_ros.__version__


def test_the_installed_version_is_that_of_the_sources() -> None:
    try:
        installed = importlib.metadata.version("rgbt_seg_ros")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed by pip")

    assert installed == rgbt_seg_ros.__version__


def test_every_import_is_declared_to_ros() -> None:
    declared = _declared_to_ros("depend", "exec_depend")
    imports = [*_third_party_imports("rgbt_seg_ros"), *_third_party_imports("launch")]

    missing = {
        f"{module} ({place})"
        for module, place in imports
        if module not in PIP_ONLY and LIBRARIES.get(module, ("", module))[1] not in declared
    }

    assert len(imports) > 20
    assert not missing


def test_what_only_pip_has_is_declared_to_it() -> None:
    requirements = _declared_to_pip()
    for name, extra in PIP_ONLY.values():
        assert name in {_name(requirement) for requirement in requirements[extra]}
    assert "pip install torch timm safetensors rosbags" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_library_imported_is_declared_to_pip() -> None:
    declared = {_name(requirement) for requirement in _declared_to_pip()[""]}

    missing = {
        f"{module} ({place})"
        for module, place in _third_party_imports("rgbt_seg_ros")
        if module in LIBRARIES and LIBRARIES[module][0] not in declared
    }

    assert not missing


def test_a_headless_robot_needs_no_rviz() -> None:
    assert "rviz2" not in _declared_to_ros("depend", "exec_depend", "build_depend", "test_depend")


def test_colcon_runs_every_folder_of_tests_with_a_limit_of_its_own() -> None:
    found = re.search(r"foreach\(room ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert found
    folders = {path.name for path in (ROOT / "test").iterdir() if any(path.rglob("test_*.py"))}
    assert set(found[1].split()) == folders


def test_only_nodes_import_ros() -> None:
    ros = _declared_to_ros("depend", "exec_depend")

    strays = {
        f"{module} ({place})"
        for module, place in _third_party_imports("rgbt_seg_ros")
        if module in ros and not place.startswith("rgbt_seg_ros/nodes/")
    }

    assert not strays


def test_the_packages_of_message_fields_are_declared() -> None:
    used = {kind.split("/")[0] for path in MESSAGES for kind, *_ in _fields(path) if "/" in kind}

    assert used
    assert used <= _declared_to_ros("depend")


def test_package_xml_is_valid_and_of_an_interface_package() -> None:
    catkin_pkg = pytest.importorskip("catkin_pkg.package")

    warnings: list[str] = []
    package = catkin_pkg.parse_package(str(ROOT / "package.xml"), warnings=warnings)

    assert warnings == []
    assert package.package_format == 3
    assert package.get_build_type() == "ament_cmake"
    assert [group.name for group in package.member_of_groups] == ["rosidl_interface_packages"]
    assert (ROOT / package.licenses[0].file).is_file()


def test_constraints_pin_every_direct_dependency_to_a_version_that_does() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    lines = [line for path in ROOT.glob("constraints*.txt") for line in path.read_text(encoding="utf-8").splitlines()]
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))

    unmet = [
        requirement
        for group in _declared_to_pip().values()
        for requirement in map(requirements.Requirement, group)
        if requirement.name != "rgbt_seg_ros"
        and requirement.name not in NOT_PINNED
        and (
            requirement.name not in pins or not requirement.specifier.contains(pins[requirement.name], prereleases=True)
        )
    ]

    assert not unmet


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_field_of_a_message_is_explained(path: Path) -> None:
    assert _fields(path)
    assert [name for _, name, _, comment in _fields(path) if len(comment) < 10] == []


@pytest.mark.ros
@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_the_installed_message_is_the_one_in_the_sources(path: Path) -> None:
    message = getattr(pytest.importorskip("rgbt_seg_ros.msg", reason="no messages were built"), path.stem)
    basic = {"float64": "double", "float32": "float"}

    def generated(kind: str) -> str:
        element = kind.removesuffix("[]")
        element = basic.get(element, element)
        return f"sequence<{element}>" if kind.endswith("[]") else element

    fields = {name: generated(kind) for kind, name, value, _ in _fields(path) if not value}
    constants = {name: int(value) for _, name, value, _ in _fields(path) if value}

    assert message.get_fields_and_field_types() == fields
    assert {name: getattr(message, name) for name in constants} == constants


def test_nothing_that_is_generated_is_tracked() -> None:
    git = ["git", "-C", str(ROOT)]
    if subprocess.run([*git, "rev-parse", "--git-dir"], capture_output=True).returncode != 0:
        pytest.skip("not a git checkout")

    ignored = subprocess.run(
        [*git, "ls-files", "--cached", "--ignored", "--exclude-standard"], capture_output=True, text=True, check=True
    )

    assert ignored.stdout == ""
