"""Quality of service between a bag and live topics: what a player offers, what a recorder asks for and notes down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Topic

_DEPTH = 10
_MOST = 1000
# A recorder that is held up for a moment must not lose what came meanwhile.
_RECORDED_DEPTH = 100
# Latched by every tf2 broadcaster; a bag that was converted from elsewhere may hold no profiles.
_STATIC_TRANSFORMS = "tf_static"


def is_latched(topic: Topic) -> bool:
    """Return whether a late subscriber of the topic was given its last messages (transient local)."""
    if not topic.qos:
        return topic.name.rsplit("/", 1)[-1] == _STATIC_TRANSFORMS
    return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in topic.qos)


def offered(topic: Topic) -> QoSProfile:
    """Return what to publish a topic of a bag with: the strongest of what its publishers offered, else reliable, depth 10.

    One publisher stands for all that were recorded: of a latched topic it keeps as many messages as they did together.
    Where the bag does not say how many (most middleware does not tell a recorder), it keeps all that the bag holds,
    at most 1000. Deadline, lifespan and liveliness tell of the process that was recorded, not of the data, and are
    left at their defaults.
    """
    best_effort = bool(topic.qos) and all(entry.reliability == QosReliability.BEST_EFFORT for entry in topic.qos)
    latched = is_latched(topic)
    known = [entry.depth for entry in topic.qos if entry.history == QosHistory.KEEP_LAST and entry.depth > 0]
    # Where nothing is latched, more than was recorded costs nobody anything, and loses less where a subscriber is slow.
    depth = max([_DEPTH, *known])
    if latched:
        depth = sum(known) if known and len(known) == len(topic.qos) else topic.count
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=min(max(depth, 1), _MOST),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def requested(offers: Sequence[QoSProfile]) -> QoSProfile:
    """Return the strictest profile that suits every publisher of a topic; at least one offer is given."""
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_RECORDED_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def weaker(profile: QoSProfile, than: QoSProfile) -> bool:
    """Return whether a requested profile suits publishers that ``than`` does not."""
    return bool(
        (profile.reliability, than.reliability) == (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE)
        or (profile.durability, than.durability) == (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    )


def recorded(offer: QoSProfile) -> Qos:
    """Return an offered profile as a bag holds it; the policies' numbers are those of the middleware interface (rmw)."""
    return Qos(
        history=QosHistory(int(offer.history)),
        depth=offer.depth,
        reliability=QosReliability(int(offer.reliability)),
        durability=QosDurability(int(offer.durability)),
        deadline=_time(offer.deadline),
        lifespan=_time(offer.lifespan),
        liveliness=QosLiveliness(int(offer.liveliness)),
        liveliness_lease_duration=_time(offer.liveliness_lease_duration),
        avoid_ros_namespace_conventions=bool(offer.avoid_ros_namespace_conventions),
    )


def _time(duration: Any) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, NANOSECONDS))
