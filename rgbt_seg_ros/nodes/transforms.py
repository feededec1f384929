"""Transforms of TF at the stamp of a message, where tf2_ros is installed."""

from __future__ import annotations

from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.optional import optional_module
from rgbt_seg_ros.pipeline.calibration.camera_info import extrinsic_from_transform

_WAIT = 0.1
"""s that a transform which is still to come is waited for; the thread of callbacks takes it meanwhile."""


class TransformError(UserError):
    """A transform that nobody has published, or not for this time."""


class Transforms:
    """What TF says while the node is active; for threads other than that of callbacks."""

    def __init__(self) -> None:
        """Begin without a subscription."""
        self._buffer: Any = None
        self._listener: Any = None

    def subscribe(self, node: LifecycleNode) -> None:
        """Subscribe to TF, where tf2_ros is installed."""
        module = optional_module("tf2_ros")
        if module is not None and self._listener is None:
            self._buffer = module.Buffer()
            self._listener = module.TransformListener(self._buffer, node)

    def close(self) -> None:
        """Unsubscribe."""
        if self._listener is not None:
            self._listener.unregister()
        self._buffer = self._listener = None

    def between(self, target: str, source: str, stamp: Any) -> FloatArray:
        """Return T_target_source (4, 4): it takes points of the frame ``source`` into the frame ``target``.

        Args:
            target: Frame.
            source: Frame.
            stamp: builtin_interfaces/Time at which the transform is wanted.

        Raises:
            UserError: There is none, or it is not rigid.
        """
        # As tf2 has it, and old bags.
        target, source = target.lstrip("/"), source.lstrip("/")
        named = f"no transform from '{source}' to '{target}'"
        if not (target and source):
            raise TransformError(f"{named}: a header without a frame_id; expected the frame of the sensor")
        buffer = self._buffer
        if buffer is None:
            raise TransformError(f"{named}: tf2_ros is not installed; install ros-$ROS_DISTRO-tf2-ros-py")
        try:
            found = buffer.lookup_transform(target, source, Time.from_msg(stamp), Duration(seconds=_WAIT))
        except optional_module("tf2_ros").TransformException as error:  # type: ignore[union-attr]
            raise TransformError(f"{named}: {error}") from error
        return extrinsic_from_transform(found, target, source)
