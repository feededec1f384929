"""QoS overrides of a topic, as ROS has them: parameters ``qos_overrides.TOPIC.publisher.depth`` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from rgbt_seg_ros.errors import UserError, in_words

PREFIX = "qos_overrides."

_ALWAYS = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH)


class QosError(UserError):
    """A QoS override that cannot be used."""


def given_overrides(node: LifecycleNode) -> Mapping[str, Any]:
    """Return the QoS overrides of parameter files and of the command line, by name of the parameter."""
    given: Mapping[str, Any] = getattr(node, "_parameter_overrides", {})
    return {name: value for name, value in given.items() if name.startswith(PREFIX)}


def overrides_reliability(node: LifecycleNode, topic: str) -> bool:
    """Return whether somebody has set the reliability of the subscription to a topic."""
    return f"{PREFIX}{node.resolve_topic_name(topic)}.subscription.reliability" in given_overrides(node)


def publish(node: LifecycleNode, kind: Any, topic: str, profile: QoSProfile) -> Any:
    """Create a lifecycle publisher whose history, depth and reliability may be overridden; raises QosError."""
    options = QoSOverridingOptions((*_ALWAYS, QoSPolicyKind.RELIABILITY))
    # rclpy writes the overrides into the profile.
    profile = copy(profile)
    try:
        return node.create_lifecycle_publisher(kind, topic, profile, qos_overriding_options=options)
    except (ParameterException, RuntimeError) as error:
        raise _refused(node, topic, "publisher", error) from error


def subscribe(node: LifecycleNode, kind: Any, topic: str, callback: Any, profile: QoSProfile) -> Any:
    """Subscribe; history and depth may be overridden, and reliability where it is set, since it else follows the publisher.

    Args:
        node: The node.
        kind: Type of the messages.
        topic: Relative name.
        callback: Takes each message.
        profile: What counts where nothing is overridden; holds the overrides afterwards.

    Raises:
        QosError: An override cannot be used.
    """
    policies = (*_ALWAYS, QoSPolicyKind.RELIABILITY) if overrides_reliability(node, topic) else _ALWAYS
    options = QoSOverridingOptions(policies)
    try:
        return node.create_subscription(kind, topic, callback, profile, qos_overriding_options=options)
    except (ParameterException, RuntimeError) as error:
        raise _refused(node, topic, "subscription", error) from error


def unused_overrides(node: LifecycleNode) -> list[str]:
    """Return a sentence for each QoS override that no topic of the node has taken so far."""
    return [
        f"{name}: no topic of this node takes it, so it has no effect; expected "
        f"{PREFIX}/TOPIC.publisher|subscription.history|depth|reliability"
        for name in sorted(given_overrides(node))
        if not node.has_parameter(name)
    ]


def _refused(node: LifecycleNode, topic: str, side: str, error: Exception) -> Exception:
    start = f"{PREFIX}{node.resolve_topic_name(topic)}.{side}."
    if not any(name.startswith(start) for name in given_overrides(node)):
        return error
    return QosError(
        f"{start}*: {in_words(error)}; expected history keep_last or keep_all, depth a whole number, "
        "reliability reliable or best_effort"
    )
