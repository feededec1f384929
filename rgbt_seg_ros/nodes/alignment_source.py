"""Calibrations that no file holds completely: what is missing comes from camera_info topics and TF."""

from __future__ import annotations

import importlib
import time
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes.qos import subscribe
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentError, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, read_calibration
from rgbt_seg_ros.pipeline.calibration.camera import within
from rgbt_seg_ros.pipeline.calibration.camera_info import calibration_of, camera_from_info

_TOPICS = {"rgb": "rgb/camera_info", "thermal": "thermal/camera_info"}
_RECENT = 1.0
"""s; a camera_info that has not come again within this time is no longer in use. Cameras publish it with each image."""
_REMEMBERED = 10.0
"""s for which diagnostics tell of a camera_info that cannot be used."""
TF = "the extrinsic in TF"

# Best effort takes every publisher's offer; drivers publish it with each image.
_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)


def tf2_ros() -> Any:
    """Return the module tf2_ros where it is installed, else None."""
    try:
        return importlib.import_module("tf2_ros")
    except ImportError:
        return None


def wanted(settings: AlignmentSettings, file: Calibration | None) -> tuple[str, ...]:
    """Return which of ``rgb``, ``thermal`` and ``tf`` the file does not hold, so that topics and TF must."""
    if settings.mode not in ("plane", "depth"):
        return ()
    if file is None:
        return ("rgb", "thermal", "tf")
    cameras = (("rgb", file.rgb), ("thermal", file.thermal))
    lenses = [name for name, camera in cameras if not camera.has_lens]
    return (*lenses, *(("tf",) if file.t_rgb_thermal is None else ()))


class AlignerTaker(Protocol):
    """Who uses the aligners that a source makes."""

    def take(self, aligner: Aligner) -> None:
        """Align by this one from the next frame on."""

    def complain(self, problem: str) -> None:
        """Log a sentence on what cannot be used."""


@dataclass(frozen=True)
class _Unusable:
    """A camera_info that was refused while a usable one was known: what it says, the log's sentence, when it came last (s)."""

    content: tuple[Any, ...]
    sentence: str
    when: float


class AlignmentSource:
    """Makes the aligner: at once from the file, or as soon as camera_info and TF have supplied what it lacks.

    A camera_info that changes (another zoom or binning) makes another aligner; one that cannot be used does not displace one
    that can. The transform between two cameras on one robot does not change: it is looked up when an aligner is made.
    """

    def __init__(self, settings: NodeSettings, prefix: str = "") -> None:
        """Read the file of ``alignment.calibration``, if there is one.

        Args:
            settings: The parameters of the camera pair.
            prefix: What stands before its topics, such as ``front/``.

        Raises:
            UserError: The file cannot be used for the mode, or tf2_ros is needed and not installed.
        """
        self._node_settings, self._prefix = settings, prefix
        self.settings = settings.segmenter.alignment
        self.file = read_calibration(self.settings.calibration) if self.settings.calibration else None
        self.wanted = wanted(self.settings, self.file)
        if "tf" in self.wanted and tf2_ros() is None:
            lacks = "is empty" if self.file is None else "holds no extrinsic"
            raise AlignmentError(
                f"alignment.calibration: {lacks}, and mode '{self.settings.mode}' then takes the extrinsic from TF, for which "
                "tf2_ros has to be installed; expected a calibration file with an extrinsic, or ros-$ROS_DISTRO-tf2-ros-py"
            )
        if self.settings.mode == "plane" and not (
            self.settings.plane_distance or (self.file is not None and self.file.plane_distance)
        ):
            raise AlignmentError(
                "alignment.plane_distance: 0, and no calibration file says it; mode 'plane' needs the distance in m"
            )
        self._infos: dict[str, Any] = {}
        self._seen: dict[str, dict[tuple[Any, ...], float]] = {}
        self._unusable: dict[str, _Unusable] = {}
        self.frames = ("", "")
        """frame_id of the RGB and the thermal image that came last; empty: none yet."""
        self.problem = ""
        """Why the aligner that was made last could not be one of a calibration; empty: nothing was wrong."""
        self.waiting_for = self._missing() if self.wanted else ""
        """What the aligner that was made last still waits for; empty: nothing."""
        self._taker: AlignerTaker | None = None
        self._subscriptions: list[Any] = []
        self._buffer: Any = None
        self._listener: Any = None

    def _topic(self, name: str) -> str:
        return self._prefix + _TOPICS[name]

    def _missing(self) -> str:
        topics = [self._topic(name) for name in self.wanted if name in _TOPICS and name not in self._infos]
        return ", ".join(topics) or TF

    def changed(self, settings: NodeSettings) -> tuple[AlignmentSource, Aligner]:
        """Return the source that other settings make, and its aligner from what the topics have said so far.

        Raises:
            UserError: The file cannot be used, is for other cameras than those whose images arrive, or lacks something else than
                what is subscribed to now.
        """
        other = AlignmentSource(settings, self._prefix)
        if other.wanted != self.wanted:
            raise AlignmentError(
                f"alignment.calibration: '{settings.segmenter.alignment.calibration}' leaves "
                f"{', '.join(other.wanted) or 'nothing'} to camera_info and TF, where it was "
                f"{', '.join(self.wanted) or 'nothing'}; deactivate and cleanup the node first"
            )
        if other.wanted:
            other._infos, other._buffer = self._infos, self._buffer
        aligner = other.make()
        if other.problem:
            raise AlignmentError(other.problem)
        # Otherwise every pair would be dropped from now on.
        with within(settings.segmenter.alignment.calibration):
            aligner.check_cameras(*self.frames)
        return other, aligner

    def take_over(self, other: AlignmentSource) -> None:
        """Go on with the settings of a source that ``changed`` has made; subscriptions stay."""
        self._node_settings, self.settings, self.file = other._node_settings, other.settings, other.file
        self.waiting_for, self.problem = other.waiting_for, other.problem
        self._unusable.clear()

    def subscribe(self, node: LifecycleNode, taker: AlignerTaker) -> None:
        """Subscribe to what the file does not hold.

        Args:
            node: The node.
            taker: Uses each aligner that results.
        """
        self._taker = taker
        for name in self.wanted:
            if name == "tf":
                module = tf2_ros()
                self._buffer = module.Buffer()
                self._listener = module.TransformListener(self._buffer, node)
            else:
                take = partial(self._on_info, node, name)
                self._subscriptions.append(subscribe(node, CameraInfo, self._topic(name), take, copy(_QOS)))

    def close(self, node: LifecycleNode) -> None:
        """Unsubscribe; what was received is kept."""
        for subscription in self._subscriptions:
            node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._listener is not None:
            self._listener.unregister()
        self._listener = self._buffer = None

    def _on_info(self, node: LifecycleNode, name: str, info: Any) -> None:
        assert self._taker is not None
        topic = node.resolve_topic_name(self._topic(name))
        content = _content(info)
        refused = self._unusable.get(name)
        if refused is not None and content == refused.content:
            self._unusable[name] = replace(refused, when=time.monotonic())
            return
        known = self._note(name, content)
        before = self._infos.get(name)
        if before is not None and content == before[0]:
            return
        good = None if self.problem else before
        self._infos[name] = (content, info, topic)
        if good is not None and (problem := self._judge()):
            self._infos[name] = good
            sentence = f"{problem}; the last camera_info that can be used stays in use"
            self._unusable[name] = _Unusable(content, sentence, time.monotonic())
            self._taker.complain(sentence)
            return
        if known and good is not None and good[0] in self._seen[name]:
            # Each in its turn would make new tables for every message, and masks that jump.
            self._taker.complain(
                f"{topic}: different calibrations alternate, from {node.count_publishers(topic)} publisher(s); the newest "
                "one is used; expected one publisher"
            )
            self._infos[name] = good
            return
        self._renew()

    def _judge(self) -> str:
        """Return why what is known now cannot be used, without making an aligner of it; empty: it can."""
        self._make()
        problem, self.problem = self.problem, ""
        return problem

    @property
    def unusable(self) -> str:
        """Which camera_info was refused within the last ``_REMEMBERED`` seconds and why; empty: none."""
        now = time.monotonic()
        recent = [refused.sentence for refused in self._unusable.values() if now - refused.when < _REMEMBERED]
        return "; ".join(recent)

    def _note(self, name: str, content: tuple[Any, ...]) -> bool:
        """Note that a camera_info says this now; return whether it said so within the last ``_RECENT`` seconds too."""
        now = time.monotonic()
        seen = {other: when for other, when in self._seen.get(name, {}).items() if now - when < _RECENT}
        known = content in seen
        self._seen[name] = {**seen, content: now}
        return known

    def try_again(self) -> None:
        """Make the aligner that something was missing for, if it can be made now: a transform may come any time."""
        if self.waiting_for:
            self._renew()

    def _renew(self) -> None:
        aligner = self.make()
        assert self._taker is not None
        if self.problem:
            self._taker.complain(self.problem)
        self._taker.take(aligner)

    def make(self) -> Aligner:
        """Return the aligner of what is known now; one that waits, and refuses every image, where something is missing.

        Raises:
            UserError: The file alone makes the calibration, and cannot be used for the mode.
        """
        aligner = self._make() if self.wanted else Aligner(self.file, self.settings)
        self.waiting_for = aligner.waiting_for
        return aligner

    def _make(self) -> Aligner:
        self.problem = ""
        try:
            # Before what is missing, so that a camera_info is judged as soon as it comes.
            found = {name: self._camera(name) for name in _TOPICS if name in self._infos or name not in self.wanted}
            if len(found) < len(_TOPICS):
                return Aligner.awaiting(self.settings, self._missing())
            rgb, thermal = found["rgb"], found["thermal"]
            transform = None
            if "tf" in self.wanted:
                transform, why = self._transform(rgb.frame_id.lstrip("/"), thermal.frame_id.lstrip("/"))
                if transform is None:
                    return Aligner.awaiting(self.settings, f"{TF}{why}")
            return Aligner(calibration_of(rgb, thermal, transform, self.file), self.settings)
        except UserError as error:
            self.problem = str(error)
            return Aligner.awaiting(self.settings, f"a calibration that can be used ({error})")

    def _camera(self, name: str) -> CameraModel:
        if name not in self._infos:
            assert self.file is not None
            return self.file.rgb if name == "rgb" else self.file.thermal
        _, info, topic = self._infos[name]
        camera = camera_from_info(info, topic, self._node_settings.rectified)
        thermal = self._node_settings.segmenter.thermal
        # camera_info describes the image as it is published, telemetry rows and all.
        return camera if name == "rgb" else camera.cropped(thermal.crop_top, thermal.crop_bottom)

    def _transform(self, rgb_frame: str, thermal_frame: str) -> tuple[Any | None, str]:
        """Return the transform, or None and what else to say of what is waited for."""
        if self._buffer is None:
            return None, ""
        if not (rgb_frame and thermal_frame):
            raise AlignmentError(
                "camera_info: header.frame_id is empty, and TF is asked by frame; expected the optical frame of the camera"
            )
        module = tf2_ros()
        try:
            return self._buffer.lookup_transform(rgb_frame, thermal_frame, Time()), ""
        except module.TransformException as error:
            return None, f" from '{thermal_frame}' to '{rgb_frame}' ({error})"


def _content(info: Any) -> tuple[Any, ...]:
    """Return what a camera_info says besides its stamp."""
    numbers = (info.k, info.d, info.r, info.p)
    roi = info.roi
    return (
        info.header.frame_id,
        info.width,
        info.height,
        info.distortion_model,
        *(tuple(map(float, values)) for values in numbers),
        (info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
