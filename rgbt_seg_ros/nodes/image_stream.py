"""One image topic: its subscription, the publisher's QoS, and losses that no publisher made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from rgbt_seg_ros.errors import UserError, in_words
from rgbt_seg_ros.nodes.qos import QosError, overrides_reliability, subscribe

# What fits between the callback and one slow spin; older images are of no use.
_DEPTH = 5
# Sequence numbers count from 1; 0 and 2**64-1 are what a middleware without them reports.
_NO_SEQUENCE = (0, 2**64 - 1)


class ImageStream:
    """Subscribe to one image topic and hand on what passes the check; callbacks only store."""

    def __init__(
        self,
        node: LifecycleNode,
        topic: str,
        transport: str,
        qos: str,
        *,
        check: Callable[[Any, str], None],
        store: Callable[[Any], None],
        refuse: Callable[[UserError], None],
        kind: Any = None,
    ) -> None:
        """Subscribe.

        Args:
            node: The node.
            topic: Relative name of the raw topic; ``compressed`` appends ``/compressed``.
            transport: ``raw``, ``compressed``, or ``depth``: what is published, a raw image before compressedDepth.
            qos: ``auto`` (the publisher's offer, else sensor data), ``sensor_data`` or ``reliable``.
            check: Raises UserError for a message that cannot be used.
            store: Takes every other message.
            refuse: Takes the errors of ``check``.
            kind: Type of the messages; None: the image that ``transport`` says.
        """
        self._node = node
        self._type = kind or (CompressedImage if transport == "compressed" else Image)
        self._raw_topic, self._follows_type = topic, transport == "depth"
        self._topic = f"{topic}/compressed" if transport == "compressed" else topic
        self.name = topic.split("/")[-2]
        """``rgb``, ``thermal``, ``depth`` or ``points``."""
        self.topic = node.resolve_topic_name(self._topic)
        self._follow_type()
        self._follows_reliability = qos == "auto"
        self._check, self._store, self._refuse = check, store, refuse
        self._sequence = 0
        self.received = 0
        self.lost = 0
        self._reliability = ReliabilityPolicy.RELIABLE if qos == "reliable" else ReliabilityPolicy.BEST_EFFORT
        if self._auto:
            self._reliability = self._offered() or ReliabilityPolicy.BEST_EFFORT
        self._subscription = self._subscribe()

    @property
    def _auto(self) -> bool:
        """Whether the publisher decides on the reliability: an override may be set for one of two topics only."""
        return self._follows_reliability and not overrides_reliability(self._node, self._topic)

    def _offered(self) -> ReliabilityPolicy | None:
        """Return the reliability that suits every publisher of the topic; None while no publisher is known."""
        offers = {info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)}
        if not offers:
            return None
        return ReliabilityPolicy.RELIABLE if offers == {ReliabilityPolicy.RELIABLE} else ReliabilityPolicy.BEST_EFFORT

    def _follow_type(self) -> bool:
        """Take topic and type of what is published of a depth image; return whether that is another."""
        if not self._follows_type:
            return False
        found = self._published_depth()
        if found is None or found == (self._topic, self._type):
            return False
        self._topic, self._type = found
        self.topic = self._node.resolve_topic_name(self._topic)
        return True

    def _published_depth(self) -> tuple[str, Any] | None:
        """Return topic and type of the depth images that somebody publishes; None while nobody does."""
        # A remapping may lead to the compressed topic.
        for topic in (self._raw_topic, f"{self._raw_topic}/compressedDepth"):
            publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
            types = {info.topic_type for info in publishers}
            for kind in (Image, CompressedImage):
                if f"sensor_msgs/msg/{kind.__name__}" in types:
                    return topic, kind
        return None

    def _subscribe(self) -> Any:
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_DEPTH,
            reliability=self._reliability,
            durability=DurabilityPolicy.VOLATILE,
        )
        self._sequence = 0
        # Jazzy's annotations know only callbacks of one argument.
        callback: Any = self._callback
        subscription = subscribe(self._node, self._type, self._topic, callback, profile)
        self._reliability = profile.reliability
        return subscription

    def _callback(self, message: Any, info: Mapping[str, Any]) -> None:
        self.received += 1
        sequence = info.get("publication_sequence_number") or 0
        if sequence not in _NO_SEQUENCE:
            # A smaller number is another publisher, or the same one started again.
            if self._sequence and sequence > self._sequence + 1 and self._node.count_publishers(self.topic) == 1:
                self.lost += sequence - self._sequence - 1
            self._sequence = sequence
        try:
            self._check(message, self.topic)
        except UserError as error:
            self._refuse(error)
            return
        except Exception as error:
            # Out of a callback it would end the node for one message.
            self._refuse(UserError(f"{self.topic}: {in_words(error)}"))
            return
        self._store(message)

    @property
    def reliability(self) -> str:
        """Return the subscription's reliability in words."""
        return "reliable" if self._reliability == ReliabilityPolicy.RELIABLE else "best effort"

    def absence(self) -> str:
        """Return why no images arrive, as far as ROS knows who publishes."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            raw = self._type is Image
            other = f"{self.topic}/compressed" if raw else self.topic.removesuffix("/compressed")
            if self.name == "depth" or not self._node.count_publishers(other):
                return "no publisher"
            return f"no publisher, but {other} has one: set {self.name}.transport to {'compressed' if raw else 'raw'}"
        wanted = f"sensor_msgs/msg/{self._type.__name__}"
        types = {info.topic_type for info in publishers}
        if wanted not in types:
            return f"its publisher sends {', '.join(sorted(types))}, expected {wanted}"
        best_effort = all(info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for info in publishers)
        if best_effort and self._reliability == ReliabilityPolicy.RELIABLE:
            return (
                f"its publisher offers best effort, and the subscription asks for reliable: set {self.name}.qos to auto"
            )
        return f"{len(publishers)} publisher(s), nothing arrives"

    def follow_publisher(self) -> None:
        """Subscribe again where the publisher that has appeared offers another reliability or, of depth, another type."""
        before = self._topic, self._type
        other = self._follow_type()
        offered = self._offered() if self._auto else None
        if other or (offered is not None and offered != self._reliability):
            self._reliability = offered or self._reliability
            self._node.destroy_subscription(self._subscription)
            try:
                self._subscription = self._subscribe()
            except QosError as error:
                if not other:
                    raise
                # Out of a timer it would end the node: the topic of before stays.
                self._refuse(error)
                self._follows_type = False
                (self._topic, self._type), self.topic = before, self._node.resolve_topic_name(before[0])
                self._subscription = self._subscribe()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
