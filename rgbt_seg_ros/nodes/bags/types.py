"""Which message types of a bag or of a topic this machine has, told by name and by hash (REP 2011)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Nodetype
from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from rgbt_seg_ros.optional import optional_module

_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Za-z][A-Za-z0-9]*)")
HASH = "RIHS01_"


@dataclass(frozen=True)
class Definition:
    """What a bag says about a type.

    Attributes:
        text: The ``.msg`` text with those of the types inside it, as rosbag2 stores it.
        digest: ``RIHS01_`` and 64 hexadecimal digits.
    """

    text: str
    digest: str


def message_class(type_: str) -> Any | None:
    """Return the Python class of a type such as ``sensor_msgs/msg/Image``; None where its package is not installed."""
    found = _TYPE.fullmatch(type_)
    # The name comes from a file: only what is a ROS package is imported.
    if found is None or _file(type_, "msg") is None:
        return None
    return getattr(optional_module(f"{found[1]}.msg"), found[2], None)


def installed_digest(type_: str) -> str:
    """Return the hash of the installed type; empty where the install does not say."""
    path = _file(type_, "json")
    if path is None:
        return ""
    for entry in json.loads(path.read_text(encoding="utf-8"))["type_hashes"]:
        if entry["type_name"] == type_:
            return str(entry["hash_string"])
    return ""


def same_type(digest: str, other: str) -> bool:
    """Return whether two hashes tell of one type; one that is not known tells nothing against it."""
    return not (digest.startswith(HASH) and other.startswith(HASH)) or digest == other


def installed_definition(type_: str) -> Definition | None:
    """Return the definition of an installed type.

    Returns:
        None where its ``.msg`` file, or that of a type inside it, is missing or holds what rosbags does not know (wstring).
    """
    try:
        return _definition(type_)
    except (TypesysError, KeyError):
        return None


def _definition(type_: str) -> Definition | None:
    types: Typesdict = {}
    missing = [type_]
    while missing:
        name = missing.pop()
        path = _file(name, "msg")
        if path is None:
            return None
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), name))
        missing += [inner for inner in _inner(types[name]) if inner not in types]
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return Definition(store.generate_msgdef(type_, ros_version=2)[0], store.hash_rihs01(type_))


def _inner(definition: Any) -> list[str]:
    """Return the message types among the fields of one."""
    names = []
    for _, (kind, detail) in definition[1]:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, detail = detail[0]
        if kind == Nodetype.NAME:
            names.append(detail)
    return names


def _file(type_: str, suffix: str) -> Path | None:
    found = _TYPE.fullmatch(type_)
    if found is None:
        return None
    try:
        path = Path(get_package_share_directory(found[1]), "msg", f"{found[2]}.{suffix}")
    except (PackageNotFoundError, LookupError, ValueError):
        return None
    return path if path.is_file() else None
