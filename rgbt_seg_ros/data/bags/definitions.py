"""How the messages of one topic are read: by the definition that the recording carries, else as a type of ROS 2."""

from __future__ import annotations

from typing import Any

from rosbags.interfaces import Nodetype, Qos
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from rgbt_seg_ros.data.bags.storage import Channel, StorageError
from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.errors import UserError, in_words
from rgbt_seg_ros.yaml_text import parse_yaml

_IDL_SEPARATOR = "=" * 80 + "\n"
_NO_TIME = {"sec": 0, "nsec": 0}
_QOS: dict[str, Any] = {
    "history": "unknown",
    "depth": 0,
    "reliability": "unknown",
    "durability": "unknown",
    "deadline": _NO_TIME,
    "lifespan": _NO_TIME,
    "liveliness": "unknown",
    "liveliness_lease_duration": _NO_TIME,
    "avoid_ros_namespace_conventions": False,
}


def types_of(channel: Channel) -> Typestore:
    """Return the types that the messages of a channel are read with.

    Raises:
        StorageError: Its messages cannot be read; the sentence says why.
    """
    if channel.serialization != "cdr":
        raise StorageError(f"messages are serialised as '{channel.serialization}'; expected cdr, as ROS 2 writes them")
    known = typestore()
    problem = "the recording has no definition of it"
    if channel.definition and channel.encoding in ("ros2msg", "ros2idl"):
        try:
            return _registered(_parsed(channel))
        except (
            Exception
        ) as error:  # the parser of rosbags raises many kinds of exception for text that is no definition
            problem = f"its definition in the recording cannot be read ({in_words(error)[:200]})"
    elif channel.definition:
        problem = f"the recording defines it in '{channel.encoding}'; expected ros2msg or ros2idl"
    if channel.type in known.fielddefs:
        return known
    raise StorageError(f"messages of type '{channel.type}' cannot be read: {problem}")


def _parsed(channel: Channel) -> dict[str, Any]:
    text = channel.definition.replace("\r\n", "\n")
    if channel.encoding == "ros2msg":
        return dict(get_types_from_msg(text, channel.type))
    if not text.startswith(f"{_IDL_SEPARATOR}IDL: "):
        return dict(get_types_from_idl(text))
    types: dict[str, Any] = {}
    for part in text.split(_IDL_SEPARATOR)[1:]:
        types |= get_types_from_idl(part.split("\n", 1)[1])
    return types


def _registered(types: dict[str, Any]) -> Typestore:
    """Return a store of the types, completed by those of ROS 2 where the definition leaves one out."""
    known, wanted = typestore().fielddefs, list(types)
    while wanted:
        for name in _names(types[wanted.pop()]):
            if name not in types and name in known:
                types[name] = known[name]
                wanted.append(name)
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


def _names(definition: Any) -> set[str]:
    """Return the types that a parsed definition names, arrays of them included."""
    if not isinstance(definition, tuple | list):
        return set()
    if len(definition) == 2 and definition[0] == Nodetype.NAME:
        return {definition[1]}
    return {name for part in definition for name in _names(part)}


def digest_of(channel: Channel) -> str:
    """Return the hash of a channel's type; by its definition where the recording carries no hash; empty: unknown."""
    if channel.digest or not channel.definition:
        return channel.digest
    try:
        return _registered(_parsed(channel)).hash_rihs01(channel.type)
    except Exception:  # as in types_of
        return ""


def qos_of(text: str | list[Any]) -> tuple[Qos, ...]:
    """Return the offered QoS profiles that rosbag2 wrote, with defaults for keys that are missing; none if it is not readable.

    Args:
        text: YAML, or what YAML gave.
    """
    try:
        profiles = parse_yaml(text, "QoS") if isinstance(text, str) else text
        complete: Any = [{**_QOS, **profile} for profile in profiles or ()]
        return tuple(parse_qos(complete))
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return ()
