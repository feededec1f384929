"""One camera pair of an active node: from two image topics to published masks, with a count of everything on the way."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.nodes.configured import ConfiguredPair
from rgbt_seg_ros.nodes.conversions import check_rgb, to_rgb
from rgbt_seg_ros.nodes.frame import Frame, Job
from rgbt_seg_ros.nodes.image_stream import ImageStream
from rgbt_seg_ros.parameters.table import PARAMETER_OF
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.backends.memory import OutOfMemoryError
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.images import check_depth, check_thermal, stamp_ns, to_depth, to_thermal
from rgbt_seg_ros.pipeline.pairing.depth import DepthPairer
from rgbt_seg_ros.pipeline.pairing.nearest import Pair
from rgbt_seg_ros.pipeline.report import FrameFacts
from rgbt_seg_ros.serving.rate_limit import RateLimit
from rgbt_seg_ros.serving.warming import Loaded


class CameraPair:
    """Subscriptions, pairing and counters of one camera pair between activate and deactivate."""

    def __init__(
        self,
        node: Any,
        configured: ConfiguredPair,
        waiting_for: Callable[[], str],
        put: Callable[[Job], DropReason | None],
        see: Callable[[tuple[int, int]], None],
    ) -> None:
        """Subscribe.

        Args:
            node: The rclpy node.
            configured: What the pair was configured with.
            waiting_for: Says what its calibration still waits for; empty: nothing.
            put: Hands a complete pair to the worker; returns the reason if one that waited was dropped for it, else None.
            see: Told (H, W) of the RGB images before the first one of that size is segmented.
        """
        self._node, self._configured, self._put, self._see = node, configured, put, see
        self._image_size: tuple[int, int] | None = None
        # A logger throttles each line of code by itself: pairs, and below streams, need one each.
        log = node.get_logger()
        self._log = log.get_child(configured.name) if configured.name else log
        self._waiting_for = waiting_for
        self._pairer = configured.make_pairer()
        settings = configured.settings
        self._limit = RateLimit(settings.runtime.max_rate)
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._newest = float("-inf")
        self._dropped: Counter[str] = Counter()
        self._reused = 0
        self._palette_warned = False
        self.name = configured.name
        self.enabled = True
        self.processed = 0
        self.latency = 0.0
        self.sizes: tuple[Any, ...] | None = None
        """Sizes of the newest frame, which the next one's most likely are too."""
        self.rgb = self._stream("rgb/image_raw", settings.rgb_transport, settings.rgb_qos, check_rgb, self._on_rgb)
        self.thermal = self._stream(
            "thermal/image_raw", settings.thermal_transport, settings.thermal_qos, check_thermal, self._on_thermal
        )
        self.depth: ImageStream | None = None
        if configured.alignment.aligner.mode == "depth":
            self._depth_pairer = DepthPairer(settings.depth_slop, settings.pairing.queue_size)
            self.depth = self._stream("depth/image", "raw", "auto", check_depth, self._on_depth)

    def _stream(
        self, topic: str, transport: str, qos: str, check: Callable[[Any, str], None], store: Callable[[Any], None]
    ) -> ImageStream:
        refuse = self._refuser(topic.split("/")[0])
        return ImageStream(self._node, self._configured.prefix + topic, transport, qos, check, store, refuse)

    @property
    def streams(self) -> tuple[ImageStream, ...]:
        """The streams that are subscribed to."""
        return (self.rgb, self.thermal) if self.depth is None else (self.rgb, self.thermal, self.depth)

    @property
    def waiting_for(self) -> str:
        """What the calibration still waits for; empty: nothing."""
        return self._waiting_for()

    def pair_anew(self) -> None:
        """Pair with the settings of this moment from the next frame on; what waits is dropped, counted as reset."""
        with self._lock:
            self._pairer.reset()
            counters = self._pairer.counters()
            self._dropped.update(counters.dropped)
            self._reused += counters.reused
            self._pairer = self._configured.make_pairer()

    def _drop(self, reason: str) -> None:
        with self._lock:
            self._dropped[str(reason)] += 1

    def _refuser(self, stream: str) -> Callable[[UserError], None]:
        log = self._log.get_child(stream)

        def refuse(error: UserError) -> None:
            self._drop(DropReason.INVALID.of(stream))
            log.error(f"{error}; frame dropped", throttle_duration_sec=5.0)

        return refuse

    def _on_rgb(self, message: Any) -> None:
        if not self.enabled:
            self._drop(DropReason.DISABLED.of("rgb"))
            return
        if hasattr(message, "height"):
            # A compressed image does not say its size before it is decoded.
            self._note_size((message.height, message.width))
        with self._lock:
            pairs = self._pairer.add_rgb(stamp_ns(message.header), message)
        self._submit(pairs)

    def _note_size(self, image_size: tuple[int, int]) -> None:
        if image_size != self._image_size:
            self._image_size = image_size
            self._see(image_size)

    def _on_thermal(self, message: Any) -> None:
        if not self.enabled:
            self._drop(DropReason.DISABLED.of("thermal"))
            return
        with self._lock:
            pairs = self._pairer.add_thermal(stamp_ns(message.header), message)
        self._submit(pairs)

    def _warn_of_palette(self, encoding: str) -> None:
        if not self._palette_warned:
            self._palette_warned = True
            self._log.warning(
                f"{self.thermal.topic}: {encoding} is a colour palette, turned to grey; temperatures lose their order in most "
                "palettes, so set the camera to mono8 or mono16"
            )

    def _on_depth(self, message: Any) -> None:
        if not self.enabled:
            self._drop(DropReason.DISABLED.of("depth"))
            return
        with self._lock:
            complete = self._depth_pairer.add_depth(stamp_ns(message.header), message)
        self._work_on(complete)

    def _submit(self, pairs: list[Pair]) -> None:
        if self.depth is None:
            self._work_on([(pair, None) for pair in pairs])
            return
        for pair in pairs:
            with self._lock:
                complete = self._depth_pairer.add_pair(pair)
            self._work_on(complete)

    def _work_on(self, complete: list[tuple[Pair, Any]]) -> None:
        now = time.perf_counter()
        for pair, depth in complete:
            if not self._limit.accepts(pair.rgb_stamp):
                self._drop(DropReason.PAIR_OVER_MAX_RATE)
            elif reason := self._put(Job(pair, depth, now)):
                self._drop(reason)

    def superseded(self, reason: DropReason) -> None:
        """Count a pair that was ready for the network when a newer one was."""
        self._drop(reason)

    def failed(self, error: Exception) -> None:
        """Count a pair that could not be segmented, and say why."""
        if isinstance(error, OutOfMemoryError):
            # The model has said it once.
            self._drop(DropReason.PAIR_OUT_OF_MEMORY)
            return
        # Images of other cameras or sizes, or no calibration yet: nothing is wrong with the engine.
        unaligned = isinstance(error, AlignmentError | CalibrationError)
        self._drop(DropReason.PAIR_NOT_ALIGNED if unaligned else DropReason.PAIR_ERROR)
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        of = f" of {self.name}" if self.name else ""
        self._log.error(f"pair{of} dropped: {what}", throttle_duration_sec=5.0)

    def failed_beside(self, error: Exception) -> None:
        """Say that a frame's extras could not be published; its masks were, so that it counts as processed."""
        self._log.error(f"extras not published: {type(error).__name__}: {error}", throttle_duration_sec=5.0)

    def prepare(self, job: Job, loaded: Loaded) -> Frame | None:
        """Do what comes before the network, for this model; None where a newer pair was prepared before.

        One thread at a time, in the order of the pairs: what is smoothed over time goes with it.

        Raises:
            UserError: The images cannot be converted, or are of other cameras or sizes than the calibration.
        """
        with self._preparing:
            if job.completed < self._newest:
                return None
            self._newest = job.completed
            with name_settings(PARAMETER_OF):
                return self._prepare(job, loaded)

    def _prepare(self, job: Job, loaded: Loaded) -> Frame:
        pair = job.pair
        frames = (pair.rgb.header.frame_id, pair.thermal.header.frame_id)
        start = time.perf_counter()
        rgb = to_rgb(pair.rgb, self.rgb.topic)
        thermal = to_thermal(pair.thermal, self.thermal.topic, self._warn_of_palette)
        depth = None if self.depth is None else _depth_of(job, self.depth.topic)
        converted = time.perf_counter()
        segmenter = loaded.segmenters[self.name]
        prepared = segmenter.prepare(rgb, thermal, depth, pair.thermal_stamp, frames)
        frame = Frame(job, loaded, segmenter, rgb, prepared, start, converted, time.perf_counter())
        self.sizes = frame.sizes
        return frame

    def publish(self, frame: Frame, masks: Segmentation, batch: int, taken: float) -> FrameFacts:
        """Publish the masks of a frame: what the robot waits for.

        Args:
            frame: As of ``prepare``.
            masks: What the network made of it.
            batch: Pairs that went through the network together.
            taken: When their run began.

        Returns:
            What the frame's report says of it.
        """
        pair = frame.job.pair
        segmented = time.perf_counter()
        self._configured.outputs.publish_masks(pair.rgb.header, masks)
        published = time.perf_counter()
        self.latency = (self._node.get_clock().now().nanoseconds - pair.rgb_stamp) * 1e-9
        self.processed += 1
        durations = {
            "wait": (frame.start - frame.job.completed) + (taken - frame.ready),
            "conversion": frame.converted - frame.start,
            **masks.durations,
            "publish": published - segmented,
        }
        return FrameFacts(
            offset=pair.offset,
            durations=durations,
            latency=self.latency,
            # A pair's share of the run is what its own stage says; it has waited for all of it.
            overhead=published - frame.job.completed - batch * masks.durations["network"],
            received_rgb=self.rgb.received,
            received_thermal=self.thermal.received,
            processed=self.processed,
            dropped=self.dropped(),
        )

    def publish_rest(self, frame: Frame, masks: Segmentation, facts: FrameFacts) -> None:
        """Publish what else is listened to; for a thread beside that of the next frame."""
        self._configured.remember(frame.prepared.image_size)
        pair, outputs, spec = frame.job.pair, self._configured.outputs, frame.segmenter.spec
        header = pair.rgb.header
        outputs.publish_extras(header, frame.rgb, masks, pair.thermal.header.stamp, spec)
        outputs.publish_thermal(header, frame.prepared)
        outputs.publish_report(header, pair.thermal.header.stamp, masks, frame.prepared, facts, spec)

    @property
    def reused(self) -> int:
        """Pairs whose thermal frame another pair has, too: with ``sync.reuse_thermal``, or where one is missing."""
        with self._lock:
            return self._reused + self._pairer.counters().reused

    def dropped(self) -> dict[str, int]:
        """Return how many frames and pairs were dropped, by reason; what a middleware lost is ``*_lost_in_transport``."""
        with self._lock:
            total = Counter(self._dropped)
            total.update(self._pairer.counters().dropped)
            if self.depth is not None:
                total.update(self._depth_pairer.dropped())
        for stream, name in zip(self.streams, ("rgb", "thermal", "depth"), strict=False):
            total[DropReason.LOST_IN_TRANSPORT.of(name)] += stream.lost
        return {reason: count for reason, count in sorted(total.items()) if count}

    def close(self) -> None:
        """Unsubscribe."""
        for stream in self.streams:
            stream.close()


def _depth_of(job: Job, topic: str) -> npt.NDArray[Any]:
    """Return the depth image of a job; raises AlignmentError where it is of another frame than the RGB image."""
    rgb, depth = job.pair.rgb.header.frame_id.lstrip("/"), job.depth.header.frame_id.lstrip("/")
    if rgb and depth and rgb != depth:
        raise AlignmentError(
            f"{topic}: a depth image of '{depth}', expected one registered to the RGB camera's '{rgb}'"
        )
    return to_depth(job.depth, topic)
