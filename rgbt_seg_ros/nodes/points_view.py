"""What one camera pair knows about points: its lens, its masks, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import AnyArray, ByteArray, FloatArray
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.network.spec import ModelSpec
from rgbt_seg_ros.nodes.frame import Frame
from rgbt_seg_ros.nodes.qos import subscribe
from rgbt_seg_ros.nodes.transforms import Transforms
from rgbt_seg_ros.parameters.table import PARAMETER_OF, NodeSettings
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import Aligner, resize
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.camera_info import camera_from_info
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.points.depth import DepthPoints
from rgbt_seg_ros.pipeline.points.fields import CloudData, Painted, organised_cloud, packed_rgb
from rgbt_seg_ros.pipeline.points.ground import GroundPoints, Plane, plane_of_frame, plane_of_mount
from rgbt_seg_ros.pipeline.points.paint import Paint, PointProjector, Seen
from rgbt_seg_ros.pipeline.points.settings import ClassFilter
from rgbt_seg_ros.pipeline.points.temperature import Thermometer
from rgbt_seg_ros.pipeline.rendering import colourise, thermal_background

_INFO = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Best effort takes every publisher's offer; drivers publish it with each image."""


class PlaceError(UserError):
    """Points that cannot be placed: no lens of the RGB camera, no transform, or no ground."""


@dataclass(frozen=True)
class Labelled:
    """What points need of a frame whose masks are published; nothing of it is changed any more.

    Attributes:
        header: Of the masks.
        masks: Both.
        rgb: (H, W, 3) uint8, or the thermal image in grey where there is no RGB image.
        thermal: (h, w) the camera's values; None: missing.
        depth: The pair's depth image, in alignment mode ``depth``; None: missing.
        aligner: What aligned the thermal image.
        spec: The model.
    """

    header: Header
    masks: Segmentation
    rgb: ByteArray
    thermal: AnyArray | None
    depth: AnyArray | None
    aligner: Aligner
    spec: ModelSpec

    @classmethod
    def of(cls, frame: Frame, masks: Segmentation) -> Labelled:
        """Take it from a frame."""
        rgb = thermal_background(frame.prepared) if frame.rgb is None else frame.rgb
        segmenter = frame.segmenter
        return cls(frame.header, masks, rgb, frame.thermal, frame.depth, segmenter.aligner, segmenter.spec)


class PairView:
    """The points of one camera pair; for one thread at a time, but for ``subscribe`` and ``close``."""

    def __init__(self, prefix: str, settings: Callable[[], NodeSettings], transforms: Transforms) -> None:
        """Take the pair.

        Args:
            prefix: What stands before its topics.
            settings: Returns the parameters of this moment.
            transforms: Asked where the settings leave it to TF.
        """
        self._prefix, self._settings, self._transforms = prefix, settings, transforms
        self._subscription: Any = None
        self._camera: CameraModel | None = None
        self._unusable = ""
        # What is worked out for a lens and a size stays until they change.
        self._depth_points = lru_cache(maxsize=1)(DepthPoints)
        self._ground_points = lru_cache(maxsize=1)(GroundPoints)
        self._projector = lru_cache(maxsize=1)(PointProjector)
        self._thermometer = Thermometer()
        self._topic = f"{prefix}rgb/camera_info"

    @property
    def settings(self) -> NodeSettings:
        """The parameters of this moment."""
        return self._settings()

    def subscribe(self, node: LifecycleNode, aligner: Aligner) -> None:
        """Subscribe to the RGB camera's camera_info, unless the calibration holds its lens or will."""
        held = aligner.waiting_for or (aligner.calibration is not None and aligner.calibration.rgb.has_lens)
        if not held:
            self._topic = node.resolve_topic_name(f"{self._prefix}rgb/camera_info")
            self._subscription = subscribe(
                node, CameraInfo, f"{self._prefix}rgb/camera_info", self._on_info, copy(_INFO)
            )

    def close(self, node: LifecycleNode) -> None:
        """Unsubscribe; the lens is kept."""
        if self._subscription is not None:
            node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_info(self, info: Any) -> None:
        try:
            self._camera = camera_from_info(info, self._topic, self.settings.rectified)
        except UserError as error:
            self._unusable = str(error)

    def classes(self, spec: ModelSpec) -> ClassFilter:
        """Return which labels are published; raises SettingError for names that the model does not have."""
        with name_settings(PARAMETER_OF):
            return ClassFilter.of(self.settings.points, spec.classes)

    def camera(self, frame: Labelled) -> CameraModel:
        """Return the RGB camera, as large as its images.

        Raises:
            PlaceError: Its lens is not known, or is that of images of another shape.
        """
        calibration = frame.aligner.calibration
        camera = self._camera if calibration is None or not calibration.rgb.has_lens else calibration.rgb
        if camera is None:
            why = self._unusable or f"nothing has come on {self._topic}"
            raise PlaceError(f"the lens of the RGB camera is not known: no calibration file has it, and {why}")
        height, width = frame.rgb.shape[:2]
        if camera.size != (height, width):
            raise PlaceError(
                f"camera_info or calibration of images of {camera.size[0]}x{camera.size[1]} (HxW), the RGB image has "
                f"{height}x{width}"
            )
        return camera

    def paint(self, frame: Labelled, depth: AnyArray | None) -> Paint:
        """Return what the pixels of a frame give to points, in the size of its masks."""
        label = frame.masks.label
        size = (label.shape[0], label.shape[1])
        points = self.settings.points
        rgb = colourise(label, frame.spec.classes) if points.color == "class" else resize(frame.rgb, size)
        return Paint(label, frame.masks.confidence, packed_rgb(rgb), self._temperature(frame, size, depth))

    @property
    def knows_temperature(self) -> bool:
        """Whether the thermal camera's values mean temperatures."""
        return self.settings.segmenter.thermal.kelvin_scale() is not None

    def _temperature(self, frame: Labelled, size: tuple[int, int], depth: AnyArray | None) -> Any:
        scale = self.settings.segmenter.thermal.kelvin_scale()
        if scale is None:
            return None
        kelvin = self._thermometer.image(frame.thermal, scale, frame.aligner, size, depth)
        return np.full(size, np.nan, np.float32) if kelvin is None else kelvin

    def depth_cloud(self, frame: Labelled, depth: AnyArray) -> CloudData:
        """Return the organised cloud of a depth image, in the RGB camera's optical frame.

        Raises:
            UserError: The lens is not known, or the depth image is not of the RGB camera's size.
        """
        camera, label = self.camera(frame), frame.masks.label
        calibration = frame.aligner.calibration
        pixels = "rectified" if calibration is None else calibration.depth_pixels
        points = self._depth_points(camera, pixels, (label.shape[0], label.shape[1]))
        return self._organised(frame, points.planes(depth, label), depth)

    def ground_cloud(self, frame: Labelled) -> CloudData:
        """Return the organised cloud of the ground and of the feet of obstacles, in the RGB camera's optical frame.

        Raises:
            UserError: The lens is not known, there is no transform, or the camera is not above the ground.
        """
        label = frame.masks.label
        camera = self.camera(frame).scaled((label.shape[0], label.shape[1]))
        points = self._ground_points(camera)
        planes = points.planes(label, self.classes(frame.spec).ground, self._plane(frame.header))
        return self._organised(frame, planes, frame.depth)

    def _plane(self, header: Header) -> Plane:
        points = self.settings.points
        if not points.ground_frame:
            return plane_of_mount(points.ground_height, points.ground_pitch)
        plane = plane_of_frame(self._transforms.between(header.frame_id, points.ground_frame, header.stamp))
        if plane is None:
            raise PlaceError(
                f"points.ground_frame: the RGB camera is not above the plane z = 0 of '{points.ground_frame}'; "
                "expected a frame on the ground whose z axis points up"
            )
        return plane

    def _organised(self, frame: Labelled, planes: tuple[Any, ...], depth: AnyArray | None) -> CloudData:
        paint, classes = self.paint(frame, depth), self.classes(frame.spec)
        without = ~classes.wanted
        # Without a label they are not unseen: the camera sees every pixel.
        without[UNLABELED] &= bool(self.settings.points.classes)
        if without.any():
            left_out = without[paint.label]
            planes = tuple(np.where(left_out, np.float32(np.nan), plane) for plane in planes)
        return organised_cloud(planes, Painted(paint.label, paint.confidence, paint.rgb, paint.temperature))

    def see(self, frame: Labelled, header: Header, points: tuple[AnyArray, AnyArray, AnyArray]) -> Seen:
        """Return which points of a cloud the RGB camera sees.

        Args:
            frame: Whose masks paint it.
            header: Of the cloud.
            points: x, y, z, each (N,), in the frame of the cloud.

        Raises:
            UserError: The lens is not known, or there is no transform.
        """
        label = frame.masks.label
        camera = self.camera(frame).scaled((label.shape[0], label.shape[1]))
        return self._projector(camera).see(*points, self._extrinsic(frame.header, header), label)

    def _extrinsic(self, rgb: Header, cloud: Header) -> FloatArray:
        given = self.settings.points.t_rgb_cloud
        if given is not None:
            return given
        if rgb.frame_id.lstrip("/") == cloud.frame_id.lstrip("/"):
            return np.eye(4)
        return self._transforms.between(rgb.frame_id, cloud.frame_id, cloud.stamp)
