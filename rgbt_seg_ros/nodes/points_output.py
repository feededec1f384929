"""``segmentation/points``: who publishes which cloud of a configured node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

# clock_type is a module of its own only since Kilted.
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from rgbt_seg_ros.errors import SettingError, UserError, in_words
from rgbt_seg_ros.network.spec import ModelSpec
from rgbt_seg_ros.nodes.conversions import cloud_message
from rgbt_seg_ros.nodes.frame import Frame
from rgbt_seg_ros.nodes.points_input import PointsInput
from rgbt_seg_ros.nodes.points_view import Labelled, PairView
from rgbt_seg_ros.nodes.qos import publish
from rgbt_seg_ros.nodes.transforms import Transforms
from rgbt_seg_ros.optional import optional_module
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.points.settings import ClassFilter
from rgbt_seg_ros.serving.throttle import Throttle, with_count

_PERIOD = 0.5
"""s between two looks whether somebody subscribes."""

_AGAIN = 60.0
"""s until the log says the same again."""

_STOP_TIMEOUT = 2.0


def check_points(settings: Mapping[str, NodeSettings], spec: ModelSpec) -> None:
    """Refuse names of classes that the model does not have, and a ground frame without tf2_ros.

    Raises:
        SettingError: By its field.
    """
    for entry in settings.values():
        ClassFilter.of(entry.points, spec.classes)
        if entry.points.source == "ground" and entry.points.ground_frame and optional_module("tf2_ros") is None:
            raise SettingError(
                "ground_frame",
                f"'{entry.points.ground_frame}', for which tf2_ros has to be installed",
                "ros-$ROS_DISTRO-tf2-ros-py, or points.ground_height",
            )


class PointsOutput:
    """The points of one camera pair; a ``SideOutput``."""

    def __init__(self, node: LifecycleNode, source: str, view: PairView, publisher: Any) -> None:
        """Take what makes them and what publishes them; ``input`` is there while the node is active."""
        self._node, self._source, self._view, self._publisher = node, source, view, publisher
        self._throttle = Throttle(_AGAIN)
        self.input: PointsInput | None = None
        self.dropped: Counter[str] = Counter()
        """Clouds that could not be made of a frame, by reason."""

    @property
    def sized(self) -> bool:
        """Whether the cloud has a point for each pixel of the mask as it is published; any other is painted in full size."""
        return self._source != "cloud"

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def publish(self, frame: Frame, masks: Segmentation) -> None:
        """Publish the points of a frame, or keep its masks for a cloud."""
        labelled, waiting = Labelled.of(frame, masks), self.input
        try:
            if self._source == "ground":
                cloud = self._view.ground_cloud(labelled)
            elif self._source == "depth" and labelled.depth is not None:
                cloud = self._view.depth_cloud(labelled, labelled.depth)
            else:
                if waiting is not None:
                    waiting.add(self._view, labelled)
                return
        except UserError as error:
            self.dropped[DropReason.NOT_PLACED.of("points")] += 1
            held = self._throttle.passes(str(error)[:60])
            if held is not None:
                self._node.get_logger().warning(with_count(f"{self._publisher.topic_name}: {in_words(error)}", held))
            return
        self._publisher.publish(cloud_message(labelled.header, cloud))


class Points:
    """All points of a configured node: clouds of depth and ground belong to a camera pair, a cloud that comes in to the robot."""

    def __init__(
        self,
        node: LifecycleNode,
        qos: QoSProfile,
        prefixes: Mapping[str, str],
        settings: Callable[[str], NodeSettings],
        aligner: Callable[[str], Aligner],
    ) -> None:
        """Create the publishers.

        Args:
            node: The node.
            qos: Of the publishers.
            prefixes: What stands before the topics of each camera pair, by its name.
            settings: Returns the parameters of a pair at this moment.
            aligner: Returns what aligns the thermal images of a pair at this moment.
        """
        self._node, self._aligner = node, aligner
        self._transforms = Transforms()
        self._timer: Any = None
        self._inputs: list[PointsInput] = []
        self._publishers: dict[str, Any] = {}
        self._groups: dict[str, list[str]] = {}
        """Names of the pairs that a topic of clouds or depth images is for."""
        self._of: dict[str, PointsInput] = {}
        self._settings = settings
        self.views: dict[str, PairView] = {}
        self.outputs: dict[str, PointsOutput] = {}
        """The ``SideOutput`` of each pair that has points."""
        self._needs_tf = False
        for name, prefix in prefixes.items():
            points = settings(name).points
            if points.source == "none":
                continue
            # One cloud for all that paint it; what each camera measures or sees by itself is its own.
            mine = "" if points.source == "cloud" else prefix
            if mine not in self._publishers:
                self._publishers[mine] = publish(node, PointCloud2, f"{mine}segmentation/points", qos)
            self._needs_tf |= points.source == "cloud" and points.t_rgb_cloud is None
            self._needs_tf |= points.source == "ground" and bool(points.ground_frame)
            view = PairView(prefix, lambda name=name: settings(name), self._transforms)  # type: ignore[misc]
            self.views[name] = view
            self.outputs[name] = PointsOutput(node, points.source, view, self._publishers[mine])
            if points.source == "cloud":
                self._groups.setdefault("points/input", []).append(name)
            elif points.source == "depth":
                self._groups[f"{prefix}depth/image"] = [name]

    def subscribe(self) -> None:
        """Begin to look whether somebody subscribes to the points; what they are made of is subscribed to then."""
        if not self.views:
            return
        if self._needs_tf:
            self._transforms.subscribe(self._node)
        for name, view in self.views.items():
            view.subscribe(self._node, self._aligner(name))
        for topic, names in self._groups.items():
            if topic.endswith("depth/image") and self._aligner(names[0]).mode == "depth":
                # The pair has the depth image already.
                continue
            views = [self.views[name] for name in names]
            publisher = self._publishers["" if topic == "points/input" else topic.removesuffix("depth/image")]
            slop = self._settings(names[0]).points.cloud_slop
            taken = PointsInput(self._node, topic, views, publisher, slop)
            self._inputs.append(taken)
            self._of[names[0]] = taken
            for name in names:
                self.outputs[name].input = taken
        # Steady, as with use_sim_time the clock may stand still.
        self._timer = self._node.create_timer(_PERIOD, self._follow, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _follow(self) -> None:
        for taken in self._inputs:
            taken.follow()

    def dropped(self, name: str) -> Counter[str]:
        """Return how many clouds were dropped since activation, by reason; those of a shared cloud at the first pair."""
        taken = self._of.get(name)
        return self.outputs[name].dropped + (Counter() if taken is None else taken.dropped())

    def unsubscribe(self) -> None:
        """End it; counters start again at the next activation."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        for output in self.outputs.values():
            output.input = None
            output.dropped.clear()
        for taken in self._inputs:
            taken.close(_STOP_TIMEOUT)
        self._inputs.clear()
        self._of.clear()
        for view in self.views.values():
            view.close(self._node)
        self._transforms.close()

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
