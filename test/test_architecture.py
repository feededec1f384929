"""The rooms of docs/architecture.md are the folders of the package, and imports between them run the way its table allows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rgbt_seg_ros"
PAGE = (ROOT / "docs" / "architecture.md").read_text()

ROS = [
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "message_filters",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_ros",
    "vision_msgs",
]
GROUND = set(re.findall(r"`(\w+)`", PAGE.partition("serve all of them:")[2].partition("on the ground")[0]))
# Single modules that are no part of the ground, and the generated messages: who may import them.
SPECIAL = {
    "arguments": {"cli", "commands"},
    "cli": set(),
    "msg": {"nodes", "nodes/bags", "nodes/demo"},
    "__version__": {"cli", "commands", "evaluation", "training", "benchmark"},
}


def rooms() -> dict[str, set[str]]:
    """Return what each room may import, from the table."""
    table = PAGE.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", table, re.MULTILINE)
    found = {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in rows}
    found["commands"] = set(found) - {"commands"}
    extra = {room: set(re.findall(r"`(\w+)`", text)) for room, text in EXTRA.findall(table)}
    for room, more in extra.items():
        found[room] = found["nodes"] | {"nodes"} | more
    return found


EXTRA = re.compile(r"`(nodes/\w+)` may also import ((?:`\w+`(?: and )?)+)")


def modules() -> Iterator[tuple[Path, str, list[str]]]:
    """Yield every module of the package, its room, and the dotted names that it imports, wherever in it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if parts[0] == "msg":
            continue
        room = "/".join(parts[:-1][:2]) if parts[0] == "nodes" else parts[0].removesuffix(".py")
        names = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                names += [f"{node.module}.{alias.name}" for alias in node.names]
        yield path, room, names


def test_the_table_names_the_folders_of_the_package():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} - {"msg"}

    assert {room for room in rooms() if "/" not in room} == folders


def test_the_page_names_the_modules_beside_the_rooms():
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}

    assert beside == (GROUND | SPECIAL.keys()) - {"msg", "__version__"}
    assert [name for name in beside if f"`{name}`" not in PAGE] == []


def test_the_rooms_allow_no_circle():
    assert list(TopologicalSorter(rooms()).static_order())


@pytest.mark.parametrize("ground", sorted(GROUND))
def test_the_ground_stands_on_nothing_but_the_ground(ground):
    (names,) = [names for path, _, names in modules() if path == PACKAGE / f"{ground}.py"]

    assert {name.split(".")[1] for name in names if name.startswith("rgbt_seg_ros.")} <= GROUND


def test_imports_run_downward_only():
    allowed = rooms()
    wrong = []
    for path, room, names in modules():
        if room not in allowed:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package != "rgbt_seg_ros" or not rest:
                continue
            target = "/".join(rest[:2]) if "/".join(rest[:2]) in allowed else rest[0]
            fine = target in GROUND or target == room or target in allowed[room] or room in SPECIAL.get(target, ())
            if not fine and not (room == "commands" and target.startswith("nodes/")):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_only_the_nodes_import_ros():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, room, names in modules()
        if not room.startswith("nodes")
        for name in names
        if name.split(".")[0] in ROS
    ]
    assert wrong == []


def test_what_is_printed_on_stderr_passes_through_say():
    """Else text of strangers reaches the terminal as it is."""

    def prints_there(node):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        return named and any(k.arg == "file" and ast.unparse(k.value) == "sys.stderr" for k in node.keywords)

    direct = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(prints_there, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    ]
    assert direct == ["terminal.py"]
