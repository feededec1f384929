"""Record live topics into a bag: what ``rgbt-seg bag record`` does, for machines without rosbag2."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rgbt_seg_ros.data.bags.reader import BagError, RawMessage, Topic
from rgbt_seg_ros.data.bags.types import typestore
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.nodes.bags.stopping import StopSignals
from rgbt_seg_ros.resources import prepare_image_transport
from rgbt_seg_ros.words import counted

# Before the first import of rclpy.
prepare_image_transport()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402

from rgbt_seg_ros.nodes.bags.plan import CLOCK, REFUSALS, reason, warn  # noqa: E402
from rgbt_seg_ros.nodes.bags.qos import recorded, requested, weaker  # noqa: E402
from rgbt_seg_ros.nodes.bags.types import (  # noqa: E402
    Definition,
    installed_definition,
    message_class,
    same_type,
)

NODE = "rgbt_seg_bag_recorder"
_LOOK = 0.1
_DRAIN = 1.0
_FLUSH = 1.0
"""Seconds of messages that are lost where the recorder is killed."""
_HELD = 64 << 20
"""Bytes of messages that may wait for the first time on ``/clock``, which then is theirs."""


@dataclass(frozen=True)
class RecordSettings:
    """What to record.

    Attributes:
        topics: Names, relative ones in the root namespace.
        everything: Every topic but hidden ones, and ``/clock`` with ``use_sim_time``.
        duration: Seconds of the machine's time; None: until a signal.
        use_sim_time: Log times are those of ``/clock``.
        storage: ``mcap`` or ``sqlite3``.
    """

    topics: tuple[str, ...] = ()
    everything: bool = False
    duration: float | None = None
    use_sim_time: bool = False
    storage: str = "mcap"


@dataclass
class _Recorded:
    """A topic that is subscribed; it enters the bag with its first message."""

    topic: Topic
    profile: QoSProfile
    subscription: Any
    count: int = 0


class BagRecorder:
    """Subscribes topics as they appear, and writes what comes on them."""

    def __init__(self, node: Any, writer: BagWriter, settings: RecordSettings) -> None:
        """Hold a recorder; ``look`` subscribes.

        Raises:
            BagError: A topic has a name that ROS does not allow.
        """
        self._node = node
        self._writer = writer
        self._settings = settings
        self._topics: dict[str, _Recorded] = {}
        self._refused: set[str] = set()
        self._held: list[RawMessage] = []
        self._held_bytes = 0
        self._last = self._flushed = 0
        self.names = [_resolved(node, name) for name in settings.topics]
        self.early = 0
        self.jumps = 0

    @property
    def counts(self) -> dict[str, int]:
        """Return the messages of each topic that was named or that any came on."""
        came = {name: topic.count for name, topic in self._topics.items() if topic.count}
        return {**dict.fromkeys(self.names, 0), **came}

    @property
    def total(self) -> int:
        """Return the messages of all topics."""
        return sum(topic.count for topic in self._topics.values())

    def look(self) -> None:
        """Subscribe to new topics, and again to those with a new publisher that the subscription does not match."""
        for name, types in self._node.get_topic_names_and_types():
            if name not in self._refused and self._wanted(name):
                publishers = self._node.get_publishers_info_by_topic(name)
                if publishers:
                    self._subscribe(name, types, publishers)

    def _wanted(self, name: str) -> bool:
        if name in self.names:
            return True
        hidden = any(part.startswith("_") for part in name.split("/"))
        clock = self._settings.use_sim_time and name == CLOCK
        return self._settings.everything and not hidden and not clock

    def _subscribe(self, name: str, types: list[str], publishers: list[Any]) -> None:
        profile = requested([publisher.qos_profile for publisher in publishers])
        known = self._topics.get(name)
        if known is not None:
            if weaker(profile, known.profile):
                self._node.destroy_subscription(known.subscription)
                known.profile, known.subscription = profile, self._listen(known.topic, profile)
            return
        # Humble knows no hashes of types.
        definition = find_definition(types[0], str(getattr(publishers[0], "topic_type_hash", "")))
        problem = None
        if len(types) > 1:
            problem = f"its publishers disagree on its type ({', '.join(types)})"
        elif message_class(types[0]) is None:
            problem = f"{types[0]} is not installed"
        elif definition is None:
            problem = f"no definition of its {types[0]} is at hand"
        if problem is not None or definition is None:
            self._refused.add(name)
            warn(f"{name} is not recorded: {problem}")
            return
        offers = tuple(recorded(publisher.qos_profile) for publisher in publishers)
        topic = Topic(name, types[0], 0, offers, definition.text, definition.digest)
        self._topics[name] = _Recorded(topic, profile, None)
        self._topics[name].subscription = self._listen(topic, profile)

    def _listen(self, topic: Topic, profile: QoSProfile) -> Any:
        store = partial(self._store, topic.name)
        return self._node.create_subscription(message_class(topic.type), topic.name, store, profile, raw=True)

    def _store(self, name: str, data: bytes) -> None:
        now = self._node.get_clock().now().nanoseconds
        message = RawMessage(name, self._topics[name].topic.type, now, data)
        if now:
            self._flush(now)
            self._write(message)
        elif self._held_bytes + len(data) <= _HELD:
            # Latched messages come once, often before the first /clock does; discovery of /clock may trail others'.
            self._held.append(message)
            self._held_bytes += len(data)
        else:
            self.early += 1

    def _flush(self, now: int) -> None:
        held, self._held = self._held, []
        for message in held:
            self._write(RawMessage(message.topic, message.type, now, message.data))

    def _write(self, message: RawMessage) -> None:
        self.jumps += message.log_time < self._last
        self._last = message.log_time
        into = self._topics[message.topic]
        if not into.count:
            self._writer.copy_topic(into.topic)
        self._writer.write_raw(message)
        into.count += 1

    def flush(self) -> None:
        """Hand over to the disk what was written since the last time; raises BagError where it refuses."""
        if self.total != self._flushed:
            self._writer.flush()
            self._flushed = self.total

    def finish(self) -> None:
        """Write what waited for a time; without one, it is lost and counted."""
        now = self._node.get_clock().now().nanoseconds
        if now:
            self._flush(now)
        self.early += len(self._held)
        self._held = []


def _resolved(node: Any, name: str) -> str:
    try:
        return str(node.resolve_topic_name(name))
    except REFUSALS as error:
        raise BagError(f"'{name}' is not a topic name ({reason(error)})") from error


def find_definition(type_: str, digest: str) -> Definition | None:
    """Return the definition of a type with a hash, ours or the installed one; None where neither is at hand.

    Args:
        type_: Such as ``sensor_msgs/msg/Image``.
        digest: What the publisher says its type's hash is; of another form than ``RIHS01_...``: not known.
    """
    store = typestore()
    if type_ in store.fielddefs:
        ours = Definition(store.generate_msgdef(type_, ros_version=2)[0], store.hash_rihs01(type_))
        if same_type(digest, ours.digest):
            return ours
    installed = installed_definition(type_)
    return installed if installed is not None and same_type(digest, installed.digest) else None


def record(output: Path, settings: RecordSettings, stop: StopSignals) -> int:
    """Record until a signal, or for the duration, and say what was recorded.

    Args:
        output: The new bag.
        settings: What to record.
        stop: Ends it where it has received a signal.

    Returns:
        0.

    Raises:
        BagError: A topic has no legal name, or nothing came, and nothing is left of the bag; or the bag cannot be written, and
            what was recorded before is kept.
    """
    with BagWriter(output, settings.storage, keep=True) as writer:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = rclpy.create_node(
                NODE,
                start_parameter_services=False,
                enable_rosout=False,
                parameter_overrides=[Parameter("use_sim_time", value=settings.use_sim_time)],
            )
            try:
                recorder = BagRecorder(node, writer, settings)
                print(f"recording to {output}; Ctrl-C ends it", flush=True)
                _spin(node, recorder, settings, stop)
            finally:
                node.destroy_node()
        finally:
            rclpy.try_shutdown()
        if not recorder.total:
            raise BagError(_nothing(output, recorder, settings))
    print("\n".join(_summary(output, recorder)), flush=True)
    return 0


def _spin(node: Any, recorder: BagRecorder, settings: RecordSettings, stop: StopSignals) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _record_with(executor, recorder, settings, stop)
    finally:
        executor.shutdown()


def _record_with(
    executor: SingleThreadedExecutor, recorder: BagRecorder, settings: RecordSettings, stop: StopSignals
) -> None:
    begin = time.monotonic()
    look = flush = begin
    while not stop.received and (settings.duration is None or time.monotonic() < begin + settings.duration):
        if time.monotonic() >= look:
            recorder.look()
            look = time.monotonic() + _LOOK
        if time.monotonic() >= flush:
            recorder.flush()
            flush = time.monotonic() + _FLUSH
        executor.spin_once(timeout_sec=_LOOK / 2)
    # What has arrived already belongs to the bag.
    end, quiet = time.monotonic() + _DRAIN, 0
    while quiet < 3 and time.monotonic() < end:
        before = recorder.total
        executor.spin_once(timeout_sec=0.02)
        quiet = quiet + 1 if recorder.total == before else 0
    recorder.finish()


def _nothing(output: Path, recorder: BagRecorder, settings: RecordSettings) -> str:
    if recorder.early:
        return f"{output}: not written, since nothing came on {CLOCK}, whose time the messages should have been given"
    missing: Iterable[str] = ["any topic"] if settings.everything else recorder.names
    return f"{output}: not written, since no message came on {', '.join(missing)}"


def _summary(output: Path, recorder: BagRecorder) -> list[str]:
    lines = [f"recorded {counted(recorder.total, 'message')} to {output}"]
    width = max(map(len, recorder.counts))
    lines += [f"  {name:<{width}}  {count}" for name, count in sorted(recorder.counts.items())]
    if recorder.early:
        lines.append(f"{counted(recorder.early, 'message')} came before the first time on {CLOCK}: not recorded")
    if recorder.jumps:
        lines.append(f"{CLOCK} jumped back {counted(recorder.jumps, 'time')}: a reader finds the passes interleaved")
    return lines
