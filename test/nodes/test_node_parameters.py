"""Parameters of camera pairs on a real rclpy node, while the names of the pairs change."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from rgbt_seg_ros.nodes.lifecycle import SegmentationNode
from rgbt_seg_ros.nodes.parameters import NodeParameters, node_value


@pytest.fixture
def make():
    """Return what makes a node with parameters, as of a command line."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def node(kind=Node, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        names = () if issubclass(kind, SegmentationNode) else ("parameters_of_pairs",)
        nodes.append(kind(*names, context=context, parameter_overrides=given, start_parameter_services=False))
        return nodes[-1]

    yield node
    for entry in nodes:
        entry.destroy_node()
    context.try_shutdown()


def put(node, name, value):
    return node.set_parameters([Parameter(name, value=value)])[0].successful


def accepting(node, own):
    """Take note of what is set, as the lifecycle node does."""
    from rcl_interfaces.msg import SetParametersResult

    def on_set(changes):
        if not own.setting:
            own.accepted(change.name for change in changes)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


def test_a_pair_has_its_parameters_from_the_moment_it_has_a_name(make):
    node = make()
    if not hasattr(node, "add_post_set_parameters_callback"):
        pytest.skip("no callback after a change in this ROS")
    own = NodeParameters(node)
    accepting(node, own)
    assert put(node, "pairs", ["left", "right"])
    assert put(node, "left.sync.slop", 0.2)
    assert put(node, "sync.slop", 0.1)
    slops = {name: settings.pairing.slop for name, settings in own.read().items()}
    assert slops == {"left": 0.2, "right": 0.1}
    assert node_value(node, "right.sync.slop") == 0.1


class WithoutCallback:
    """A node as in Humble."""

    def __getattribute__(self, name):
        if name == "add_post_set_parameters_callback":
            raise AttributeError(name)
        return super().__getattribute__(name)


def test_without_such_a_callback_following_does_it(make):
    node = make(type("Old", (WithoutCallback, Node), {}))
    own = NodeParameters(node)
    assert put(node, "pairs", ["left"])
    assert not node.has_parameter("left.sync.slop")
    own.follow()
    assert put(node, "left.sync.slop", 0.2)


def test_without_such_a_callback_the_unconfigured_node_follows_every_second(make):
    node = make(type("Old", (WithoutCallback, SegmentationNode), {}), autostart=False)
    assert put(node, "pairs", ["left"])
    assert not node.has_parameter("left.sync.slop")
    node._tick()
    assert put(node, "left.sync.slop", 0.2)
    assert put(node, "pairs", [""])
    node._tick()
    assert not node.has_parameter("left.sync.slop")


def test_parameters_of_a_pair_that_is_gone_are_gone(make):
    node = make(**{"pairs": ["front", "rear"], "rear.sync.slop": 0.3})
    own = NodeParameters(node)
    accepting(node, own)
    assert put(node, "rear.sync.slop", 0.4)
    assert put(node, "pairs", ["front"])
    own.follow()
    assert node.has_parameter("front.sync.slop")
    assert not node.get_parameters_by_prefix("rear")
    assert not own.owns("rear.sync.slop")
    with pytest.raises(ParameterNotDeclaredException):
        put(node, "rear.sync.slop", 0.3)
    # A pair that comes back has what it was started with.
    assert put(node, "pairs", ["front", "rear"])
    own.follow()
    assert own.read()["rear"].pairing.slop == 0.3


def test_a_value_that_was_refused_goes_with_its_pair(make):
    node = make(**{"pairs": ["front", "rear"], "rear.sync.slop": "wide"})
    own = NodeParameters(node)
    assert list(own.refused) == ["rear.sync.slop"]
    assert put(node, "pairs", ["front"])
    own.follow()
    assert not own.refused


@pytest.mark.parametrize("names", [["front", "front"], ["thermal"], ["front", "a b"]], ids=str)
def test_names_that_are_not_legal_take_nothing_away(make, names):
    node = make(pairs=["front", "rear"])
    own = NodeParameters(node)
    accepting(node, own)
    assert put(node, "rear.sync.slop", 0.4)
    assert put(node, "pairs", names)
    own.follow()
    assert put(node, "front.sync.slop", 0.2)
    assert put(node, "pairs", ["front", "rear"])
    own.follow()
    assert {name: settings.pairing.slop for name, settings in own.read().items()} == {"front": 0.2, "rear": 0.4}
