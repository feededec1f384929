"""The bond that Nav2's lifecycle manager expects of a node it manages, where bondpy is installed."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode

from rgbt_seg_ros.errors import in_words
from rgbt_seg_ros.optional import optional_module

TOPIC = "bond"
_PERIOD, _TIMEOUT = 0.1, 4.0
"""s between heartbeats, and s without one after which the other side is dead, as Nav2's own nodes have them."""


class LifecycleBond:
    """One bond while the node is active; none where bondpy is missing, which is logged once."""

    def __init__(self, node: LifecycleNode) -> None:
        """Begin without a bond."""
        self._node = node
        self._bond: Any = None
        self._told = False

    def start(self) -> None:
        """Begin the bond, unless there is one."""
        if self._bond is not None:
            return
        module = optional_module("bondpy.bondpy")
        if module is None:
            if not self._told:
                self._told = True
                self._node.get_logger().info(
                    "bondpy is not installed, so this node makes no bond: a lifecycle manager of Nav2 that manages it needs "
                    "bond_timeout: 0.0, or takes it down after 4 s"
                )
            return
        try:
            bond = module.Bond(self._node, TOPIC, self._node.get_name())
            bond.heartbeat_period, bond.heartbeat_timeout = _PERIOD, _TIMEOUT
            bond.start()
        except Exception as error:
            # The masks do not depend on it.
            self._node.get_logger().error(f"no bond: {in_words(error)}")
            return
        self._bond = bond

    def end(self) -> None:
        """Break the bond: the other side is told that the node is no longer active."""
        bond, self._bond = self._bond, None
        if bond is None:
            return
        try:
            bond.shutdown()
        except Exception as error:
            self._node.get_logger().warning(f"the bond was not ended cleanly: {in_words(error)}")
