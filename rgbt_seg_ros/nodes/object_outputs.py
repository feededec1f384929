"""Objects of the label mask as vision_msgs has them, in the image and in space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import Float32Array
from rgbt_seg_ros.nodes.frame import Frame
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.objects import FoundObject, Place, find_objects
from rgbt_seg_ros.pipeline.points.temperature import Thermometer


class ObjectOutputs:
    """A ``SideOutput``: the objects of a frame are found once for both topics."""

    def __init__(self, messages: Any, settings: Callable[[], NodeSettings], flat: Any, solid: Any | None) -> None:
        """Take what it publishes with; publishers are closed by the one that created them.

        Args:
            messages: The module vision_msgs.msg.
            settings: Says those of this moment.
            flat: Publisher of Detection2DArray.
            solid: Publisher of Detection3DArray; None where the camera pair takes no depth images.
        """
        self._messages, self._settings = messages, settings
        self._flat, self._solid = flat, solid
        self._thermometer = Thermometer()

    sized = False

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to either."""
        return self._listened(self._flat) or self._listened(self._solid)

    @staticmethod
    def _listened(publisher: Any | None) -> bool:
        return publisher is not None and bool(publisher.get_subscription_count())

    def publish(self, frame: Frame, masks: Segmentation) -> None:
        """Find the objects and publish what somebody subscribes to."""
        settings, classes = self._settings(), frame.segmenter.spec.classes
        calibration = frame.segmenter.aligner.calibration
        camera = calibration.rgb if calibration is not None and calibration.rgb.has_lens else None
        in_space = self._listened(self._solid)
        found = find_objects(
            masks.label,
            masks.confidence,
            settings.min_pixels,
            kelvin=self._kelvin(frame, settings),
            depth=frame.depth if in_space else None,
            camera=camera,
        )
        names = {entry.id: entry.name for entry in classes}
        if self._listened(self._flat):
            self._flat.publish(flat_message(self._messages, frame.header, found, names))
        if in_space:
            assert self._solid is not None
            self._solid.publish(solid_message(self._messages, frame.header, found, names))

    def _kelvin(self, frame: Frame, settings: NodeSettings) -> Float32Array | None:
        """Return the temperatures of the RGB image's pixels; None: the scale, or the thermal image, is not known."""
        scale = settings.segmenter.thermal.kelvin_scale()
        if scale is None:
            return None
        size = frame.prepared.image_size
        return self._thermometer.image(frame.thermal, scale, frame.segmenter.aligner, size, frame.depth)


def flat_message(messages: Any, header: Header, found: Sequence[FoundObject], names: Mapping[int, str]) -> Any:
    """Return the vision_msgs/Detection2DArray of objects; boxes in pixels, (0, 0) the corner of the top left pixel."""
    array = messages.Detection2DArray(header=header)
    for entry in found:
        left, top, right, bottom = entry.box
        box = messages.BoundingBox2D(size_x=float(right - left), size_y=float(bottom - top))
        box.center.position.x, box.center.position.y = (left + right) / 2, (top + bottom) / 2
        result = _result(messages, entry, names)
        array.detections.append(
            messages.Detection2D(header=header, results=[result], bbox=box, id=temperature_text(entry))
        )
    return array


def solid_message(messages: Any, header: Header, found: Sequence[FoundObject], names: Mapping[int, str]) -> Any:
    """Return the vision_msgs/Detection3DArray of the objects that have a place, in the RGB camera's optical frame, in m."""
    array = messages.Detection3DArray(header=header)
    for entry in found:
        if entry.place is None:
            continue
        pose = _pose(entry.place)
        x, y, z = entry.place.extent
        result = _result(messages, entry, names)
        result.pose.pose = pose
        box = messages.BoundingBox3D(center=pose, size=Vector3(x=x, y=y, z=z))
        array.detections.append(
            messages.Detection3D(header=header, results=[result], bbox=box, id=temperature_text(entry))
        )
    return array


def temperature_text(entry: FoundObject) -> str:
    """Return what stands in the id of a detection: vision_msgs has no field for a temperature. Empty: not known."""
    return "" if entry.temperature is None else "mean {:.2f} K, max {:.2f} K".format(*entry.temperature)


def _result(messages: Any, entry: FoundObject, names: Mapping[int, str]) -> Any:
    result = messages.ObjectHypothesisWithPose()
    result.hypothesis.class_id = names.get(entry.class_id, str(entry.class_id))
    result.hypothesis.score = entry.confidence
    return result


def _pose(place: Place) -> Pose:
    x, y, z = place.center
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0))
