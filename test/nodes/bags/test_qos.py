"""What a player offers and a recorder asks for."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosHistory, QosTime

from rgbt_seg_ros.data.bags.reader import Topic
from rgbt_seg_ros.data.bags.writer import qos
from rgbt_seg_ros.nodes.bags.qos import is_latched, offered, recorded, requested, weaker

pytestmark = pytest.mark.ros
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE


def topic(*profiles, name="/topic", count=7):
    return Topic(name, "std_msgs/msg/String", count, profiles)


def profile(reliability=RELIABLE, durability=VOLATILE):
    return QoSProfile(depth=1, reliability=reliability, durability=durability)


def policies(of):
    return of.reliability, of.durability, of.depth


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        (topic(), (RELIABLE, VOLATILE, 10)),
        (topic(qos(depth=5)), (RELIABLE, VOLATILE, 10)),
        (topic(qos(depth=50)), (RELIABLE, VOLATILE, 50)),
        (topic(qos(reliable=False, depth=5)), (BEST_EFFORT, VOLATILE, 10)),
        (topic(qos(reliable=False), qos(reliable=True)), (RELIABLE, VOLATILE, 10)),
        (topic(qos(latched=True, depth=1)), (RELIABLE, LATCHED, 1)),
        # One publisher stands for three of a message each, as of /tf_static.
        (topic(*[qos(latched=True, depth=1)] * 3), (RELIABLE, LATCHED, 3)),
        (topic(qos(latched=True)._replace(history=QosHistory.UNKNOWN, depth=0)), (RELIABLE, LATCHED, 7)),
        (topic(qos(latched=True)._replace(history=QosHistory.KEEP_ALL), count=10**6), (RELIABLE, LATCHED, 1000)),
        (topic(name="/robot/tf_static"), (RELIABLE, LATCHED, 7)),
        (topic(name="/robot/not_tf_static"), (RELIABLE, VOLATILE, 10)),
    ],
)
def test_the_player_offers_the_strongest_of_what_was_recorded(recording, expected):
    assert policies(offered(recording)) == expected
    assert is_latched(recording) == (expected[1] == LATCHED)


def test_the_recorder_asks_for_what_every_publisher_gives():
    assert policies(requested([profile(), profile(durability=LATCHED)]))[:2] == (RELIABLE, VOLATILE)
    assert policies(requested([profile(durability=LATCHED)] * 2))[:2] == (RELIABLE, LATCHED)
    assert policies(requested([profile(), profile(BEST_EFFORT)]))[:2] == (BEST_EFFORT, VOLATILE)


def test_a_subscription_is_made_anew_only_where_it_has_become_too_strict():
    assert weaker(profile(BEST_EFFORT), profile(RELIABLE))
    assert weaker(profile(durability=VOLATILE), profile(durability=LATCHED))
    assert not weaker(profile(RELIABLE), profile(BEST_EFFORT))
    assert not weaker(profile(), profile())


def test_a_live_profile_becomes_that_of_a_bag():
    live = QoSProfile(depth=4, reliability=BEST_EFFORT, durability=LATCHED, deadline=Duration(seconds=1.5))
    assert recorded(live)[:5] == (*qos(reliable=False, latched=True, depth=4)[:4], QosTime(1, 500_000_000))
