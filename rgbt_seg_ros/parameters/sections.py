"""Which part of a ROS parameter file is for which node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

KEY = "ros__parameters"


def sections(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name of each section of a parameter file and what it holds, in order; namespaces may be keys, or parts of one."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key == KEY:
            yield prefix or "/", value
        else:
            yield from sections(value, f"{prefix}/{str(key).strip('/')}")


def matches(section: str, node: str) -> bool:
    """Return whether a section is for a node, given by its full name: ``*`` is one part of the name, ``**`` any number."""
    return _match_parts(section.strip("/").split("/"), node.strip("/").split("/"))


def _match_parts(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_match_parts(pattern[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and pattern[0] in ("*", parts[0]) and _match_parts(pattern[1:], parts[1:])
