"""What the node publishes, and what it computes only while somebody listens."""

from __future__ import annotations

import importlib
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.msg import FrameReport
from rgbt_seg_ros.msg import Segmentation as SegmentationMessage
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.nodes.conversions import compressed_message, image_message
from rgbt_seg_ros.nodes.frame import Frame
from rgbt_seg_ros.nodes.object_outputs import ObjectOutputs
from rgbt_seg_ros.nodes.qos import publish
from rgbt_seg_ros.nodes.side_outputs import OnDemand, SideOutput
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.encoding import label_png, picture_jpeg
from rgbt_seg_ros.pipeline.preparation import Prepared
from rgbt_seg_ros.pipeline.reduction import fixed_size, reduce_masks
from rgbt_seg_ros.pipeline.rendering import colourise, overlay, thermal_background, with_badge
from rgbt_seg_ros.pipeline.report import MODALITIES, FrameFacts, report_fields

IMAGES = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
_LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def vision_msgs() -> Any:
    """Return vision_msgs.msg where it is installed, else None."""
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None


class Outputs:
    """The publishers of one camera pair of a configured node. What a model's classes are comes with each call: it may change."""

    def __init__(self, node: LifecycleNode, settings: NodeSettings, prefix: str = "") -> None:
        """Create the publishers; they stay silent until the node is active.

        Args:
            node: The node.
            settings: Of the camera pair.
            prefix: What stands before the topics, such as ``front/``.
        """
        self._node = node
        self.settings = settings
        """Of this moment: those that are live may change from frame to frame."""
        self._size = fixed_size(settings.output_size)

        def create(kind: Any, topic: str, qos: QoSProfile) -> Any:
            return publish(node, kind, prefix + topic, qos)

        self._mask = create(Image, "segmentation/mask", IMAGES)
        self._confidence = create(Image, "segmentation/confidence", IMAGES)
        self._overlay = create(Image, "segmentation/overlay", IMAGES)
        self._result = create(SegmentationMessage, "segmentation/result", IMAGES)
        self._thermal = create(Image, "segmentation/thermal_aligned", IMAGES)
        self._report = create(FrameReport, "segmentation/report", IMAGES)
        color_mask = create(Image, "segmentation/color_mask", IMAGES)
        mask_png = create(CompressedImage, "segmentation/mask/compressed", IMAGES)
        overlay_jpeg = create(CompressedImage, "segmentation/overlay/compressed", IMAGES)
        self.side: list[SideOutput] = [
            OnDemand(color_mask, self._color_mask),
            OnDemand(mask_png, self._mask_png),
            OnDemand(overlay_jpeg, self._overlay_jpeg, sized=False),
        ]
        """What is made beside, of ``Session``'s thread for it."""
        self._publishers = [self._mask, self._confidence, self._overlay, self._result, self._thermal, self._report]
        self._publishers += [color_mask, mask_png, overlay_jpeg]
        messages = vision_msgs()
        self._labels: Any = None
        if messages is not None:
            self._labels = create(messages.LabelInfo, "segmentation/label_info", _LATCHED)
            flat = create(messages.Detection2DArray, "segmentation/objects", IMAGES)
            solid = None
            if settings.segmenter.alignment.mode == "depth":
                solid = create(messages.Detection3DArray, "segmentation/objects_3d", IMAGES)
            self.side.append(ObjectOutputs(messages, lambda: self.settings, flat, solid))
            self._publishers += [publisher for publisher in (self._labels, flat, solid) if publisher is not None]

    @property
    def listened(self) -> bool:
        """Whether somebody subscribes to anything that is made of a frame."""
        taken = (publisher for publisher in self._publishers if publisher is not self._labels)
        return any(publisher.get_subscription_count() for publisher in taken) or any(side.wanted for side in self.side)

    def publish_labels(self, stamp: Time, spec: ModelSpec, threshold: float) -> None:
        """Publish every class of a model, where vision_msgs is installed (vision_msgs/LabelInfo).

        ``threshold``: the probability below which pixels are unlabeled.
        """
        if self._labels is None:
            return
        messages = vision_msgs()
        info = messages.LabelInfo(threshold=threshold)
        info.header.stamp = stamp
        info.class_map = [messages.VisionClass(class_id=entry.id, class_name=entry.name) for entry in spec.classes]
        self._labels.publish(info)

    def sized(self, frame: Frame, masks: Segmentation) -> Segmentation:
        """Return the masks of a frame in the size that ``output.size`` says: the same ones where that is the image's."""
        size = self._size
        if self.settings.output_size == "cloud" and frame.depth is not None:
            # Kept for masks of the RGB image alone, whose pairs have no depth image.
            size = self._size = (frame.depth.shape[0], frame.depth.shape[1])
        if size is None or size == masks.label.shape:
            return masks
        return Segmentation(*reduce_masks(masks.label, masks.confidence, size), masks.durations)

    def publish_masks(self, header: Header, sized: Segmentation) -> None:
        """Publish both masks first: they are what the robot waits for."""
        self._mask.publish(image_message(header, sized.label))
        self._confidence.publish(image_message(header, sized.confidence))

    def publish_extras(
        self, frame: Frame, masks: Segmentation, sized: Segmentation, thermal_stamp: Time, spec: ModelSpec
    ) -> None:
        """Publish overlay and result, each only while somebody subscribes; ``sized``: the masks as they were published."""
        header = frame.header
        if self._overlay.get_subscription_count():
            self._overlay.publish(image_message(header, self._picture(frame, masks)))
        if self._result.get_subscription_count():
            message = SegmentationMessage(header=header, thermal_stamp=thermal_stamp, model=spec.title)
            message.modality = MODALITIES[frame.prepared.modality]
            message.mask = image_message(header, sized.label)
            message.confidence = image_message(header, sized.confidence)
            message.class_id = [entry.id for entry in spec.classes]
            message.class_name = [entry.name for entry in spec.classes]
            message.class_color = [
                ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=1.0) for r, g, b in (e.color for e in spec.classes)
            ]
            self._result.publish(message)

    def _picture(self, frame: Frame, masks: Segmentation) -> ByteArray:
        """Return the overlay of a frame."""
        background = thermal_background(frame.prepared) if frame.rgb is None else frame.rgb
        picture = overlay(background, masks.label, frame.segmenter.spec.classes, self.settings.overlay_alpha)
        modality = frame.prepared.modality
        return with_badge(picture, f"{modality} only") if self.settings.badge and modality != "rgbt" else picture

    def _color_mask(self, frame: Frame, masks: Segmentation) -> Image:
        return image_message(frame.header, colourise(masks.label, frame.segmenter.spec.classes))

    def _mask_png(self, frame: Frame, masks: Segmentation) -> CompressedImage:
        return compressed_message(frame.header, label_png(masks.label), "mono8; png compressed ")

    def _overlay_jpeg(self, frame: Frame, masks: Segmentation) -> CompressedImage:
        return compressed_message(frame.header, picture_jpeg(self._picture(frame, masks)), "rgb8; jpeg compressed bgr8")

    def publish_thermal(self, header: Header, prepared: Prepared) -> None:
        """Publish the thermal image as the network saw it, in the RGB image's size, while somebody subscribes."""
        if self._thermal.get_subscription_count():
            self._thermal.publish(image_message(header, resize(prepared.thermal, prepared.image_size)))

    def publish_report(
        self,
        header: Header,
        thermal_stamp: Time,
        masks: Segmentation,
        prepared: Prepared,
        facts: FrameFacts,
        spec: ModelSpec,
    ) -> None:
        """Publish the frame's report while somebody subscribes."""
        if not self._report.get_subscription_count():
            return
        fields = report_fields(facts, masks.label, masks.confidence, prepared.facts, spec)
        self._report.publish(FrameReport(header=header, thermal_stamp=thermal_stamp, **fields))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
