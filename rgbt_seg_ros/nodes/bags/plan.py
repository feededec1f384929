"""What of a bag is played, decided before anything is published."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rclpy.exceptions import NameValidationException

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Bag, BagError, RawMessage, Topic
from rgbt_seg_ros.nodes.bags.qos import is_latched, offered
from rgbt_seg_ros.nodes.bags.types import installed_digest, message_class, same_type
from rgbt_seg_ros.terminal import say

CLOCK = "/clock"

REFUSALS = (NameValidationException, ValueError, RuntimeError)
"""What rclpy raises for a topic that it does not take; RCLError, which it keeps in a private module, is a RuntimeError."""


@dataclass(frozen=True)
class PlaySettings:
    """What to play and how.

    Attributes:
        topics: Only these; none: all.
        start: Seconds into the bag to begin at.
        duration: Seconds of the bag to play; None: to its end.
        rate: Bag seconds per second, above 0.
        loop: Begin again at the end.
        remap: Names to publish topics under, by their names in the bag.
        clock_hz: Rate of ``/clock``; 0: none.
        delay: Seconds between the publishers' creation and the first message.
        wait_for: Subscribers that topics (names in the bag, or ``/clock``) must have before that delay begins.
    """

    topics: tuple[str, ...] = ()
    start: float = 0.0
    duration: float | None = None
    rate: float = 1.0
    loop: bool = False
    remap: Mapping[str, str] = field(default_factory=dict)
    clock_hz: float = 100.0
    delay: float = 1.0
    wait_for: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What of a bag is played.

    Attributes:
        path: The bag.
        topics: Those that are played, by name.
        start: First log time (ns).
        stop: Log time (ns) to stop before; None: play to the end.
        whole: Whether all of the bag is played, so that messages that are missing from it are missed.
        latched: Messages of latched topics from before the start, which a subscriber would have been given.
    """

    path: Path
    topics: Mapping[str, Topic]
    start: int
    stop: int | None
    latched: tuple[RawMessage, ...]
    whole: bool = False

    def messages(self) -> Iterator[RawMessage]:
        """Open the bag and yield what is to be played."""
        with Bag(self.path) as bag:
            yield from bag.messages(tuple(self.topics), None if self.whole else self.start, self.stop)


def make_plan(path: Path, settings: PlaySettings) -> Plan:
    """Return what to play; warns of topics that are left out.

    Raises:
        BagError: The bag cannot be read, has no such topic, or nothing to play, or two topics would be published as one.
    """
    with Bag(path) as bag:
        told = {CLOCK} if settings.clock_hz else set()
        named = {*settings.topics, *settings.remap, *settings.wait_for} - told
        for name in sorted(named):
            bag.require(name)
        topics = _playable(bag, settings)
        _check_names(path, topics, settings)
        unplayed = sorted(named - set(topics))
        if unplayed:
            raise BagError(f"{path}: {', '.join(unplayed)} was named, but is not among the topics that are played")
        start = bag.start + round(settings.start * NANOSECONDS)
        stop = None if settings.duration is None else start + round(settings.duration * NANOSECONDS)
        if next(bag.messages(tuple(topics), start, stop), None) is None:
            length = (bag.end - bag.start) / NANOSECONDS
            raise BagError(f"{path}: no message in the part that was asked for; the bag holds {length:g} s")
        return Plan(path, topics, start, stop, _latched_before(bag, topics, start), start <= bag.start and stop is None)


def _check_names(path: Path, topics: Mapping[str, Topic], settings: PlaySettings) -> None:
    names = {name: settings.remap.get(name, name) for name in topics}
    if settings.clock_hz:
        names["the time"] = CLOCK
    # A relative name is one of the root namespace, where the player is.
    places = {name: place if place.startswith(("/", "~")) else f"/{place}" for name, place in names.items()}
    for place, count in Counter(places.values()).items():
        if count > 1:
            several = " and ".join(name for name in places if places[name] == place)
            raise BagError(f"{path}: {several} would both be published as {place}; expected a name for each")


def _playable(bag: Bag, settings: PlaySettings) -> dict[str, Topic]:
    if settings.clock_hz and set(settings.topics) == {CLOCK}:
        raise BagError(
            f"{bag.path}: {CLOCK} alone was named, whose time the player tells itself; "
            "expected another topic, or --no-clock to play the bag's"
        )
    chosen = {name: topic for name, topic in bag.topics.items() if not settings.topics or name in settings.topics}
    if not chosen:
        raise BagError(f"{bag.path}: no topics")
    clock = chosen.pop(CLOCK, None) if settings.clock_hz else None
    if clock is not None:
        warn(f"{CLOCK} of the bag is left out: the player tells the time itself; see --no-clock")
    missing = sorted(name for name, topic in chosen.items() if message_class(topic.type) is None)
    differing = sorted(
        name
        for name, topic in chosen.items()
        if name not in missing and not same_type(topic.digest, installed_digest(topic.type))
    )
    for names, reason in ((missing, "types are not installed"), (differing, "types are of another version here")):
        if names:
            listing = ", ".join(f"{name} ({chosen[name].type})" for name in names)
            warn(f"left out, since their message {reason}: {listing}")
    kept = {name: topic for name, topic in chosen.items() if name not in {*missing, *differing}}
    if not kept:
        raise BagError(f"{bag.path}: nothing to play; it has {bag.listing()}")
    return kept


def _latched_before(bag: Bag, topics: Mapping[str, Topic], start: int) -> tuple[RawMessage, ...]:
    kept = {name: deque[RawMessage](maxlen=offered(topic).depth) for name, topic in topics.items() if is_latched(topic)}
    if not kept or start <= bag.start:
        return ()
    for message in bag.messages(tuple(kept), None, start):
        kept[message.topic].append(message)
    return tuple(sorted((entry for each in kept.values() for entry in each), key=lambda entry: entry.log_time))


def reason(error: Exception) -> str:
    """Return in one line why ROS refuses a name or a publisher, without the place in its sources."""
    return re.sub(r", at \S+:\d+$", "", str(error).splitlines()[0])


def warn(text: str) -> None:
    """Say something on stderr that does not keep a bag from being played or recorded."""
    say(f"warning: {text}")
