"""One activation of the node: from two image topics to published masks, with a count of everything on the way."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes.conversions import check_rgb, to_rgb
from rgbt_seg_ros.nodes.image_stream import ImageStream
from rgbt_seg_ros.nodes.outputs import FrameFacts, Outputs
from rgbt_seg_ros.nodes.worker import LatestWorker
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.depth_pairing import DepthPairer
from rgbt_seg_ros.pipeline.images import check_depth, check_thermal, stamp_ns, to_depth, to_thermal
from rgbt_seg_ros.pipeline.pairing import Pair, Pairer
from rgbt_seg_ros.pipeline.parameters import NodeSettings


@dataclass(frozen=True)
class Job:
    """A pair, its depth image if it has one, and the moment (time.perf_counter, s) it was complete."""

    pair: Pair
    depth: Any
    completed: float


class Session:
    """Subscriptions, pairing, worker and counters between activate and deactivate."""

    def __init__(
        self,
        node: Any,
        settings: NodeSettings,
        segmenter: Segmenter,
        outputs: Outputs,
        make_pairer: Callable[[], Pairer],
    ) -> None:
        """Subscribe and start the worker."""
        self._node = node
        self._log = node.get_logger()
        self._segmenter, self._outputs = segmenter, outputs
        self._make_pairer = make_pairer
        self._pairer = make_pairer()
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._palette_warned = False
        self.enabled = True
        self.processed = 0
        self.latency = 0.0
        self.worker = LatestWorker(self._process, self._failed)
        self.rgb = ImageStream(
            node,
            "rgb/image_raw",
            settings.rgb_transport,
            settings.rgb_qos,
            check_rgb,
            self._on_rgb,
            self._refuser("rgb"),
        )
        self.thermal = ImageStream(
            node,
            "thermal/image_raw",
            settings.thermal_transport,
            settings.thermal_qos,
            check_thermal,
            self._on_thermal,
            self._refuser("thermal"),
        )
        self.depth: ImageStream | None = None
        if segmenter.aligner.mode == "depth":
            self._depth_pairer = DepthPairer(settings.depth_slop, settings.pairing.queue_size)
            self.depth = ImageStream(
                node, "depth/image", "raw", "auto", check_depth, self._on_depth, self._refuser("depth")
            )

    @property
    def streams(self) -> tuple[ImageStream, ...]:
        """The streams that are subscribed to."""
        return (self.rgb, self.thermal) if self.depth is None else (self.rgb, self.thermal, self.depth)

    @property
    def waiting_for(self) -> str:
        """What the calibration still waits for; empty: nothing."""
        return self._segmenter.aligner.waiting_for

    def pair_anew(self) -> None:
        """Pair with the settings of this moment from the next frame on; what waits is dropped, counted as reset."""
        with self._lock:
            self._pairer.reset()
            self._dropped.update(self._pairer.counters().dropped)
            self._pairer = self._make_pairer()

    def _drop(self, reason: str) -> None:
        with self._lock:
            self._dropped[reason] += 1

    def _refuser(self, stream: str) -> Callable[[UserError], None]:
        def refuse(error: UserError) -> None:
            self._drop(f"{stream}_invalid")
            self._log.error(f"{error}; frame dropped", throttle_duration_sec=5.0)

        return refuse

    def _on_rgb(self, message: Any) -> None:
        if not self.enabled:
            self._drop("rgb_disabled")
            return
        with self._lock:
            pairs = self._pairer.add_rgb(stamp_ns(message.header), message)
        self._submit(pairs)

    def _on_thermal(self, message: Any) -> None:
        if not self.enabled:
            self._drop("thermal_disabled")
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
            self._drop("depth_disabled")
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
            if self.worker.put(Job(pair, depth, now)):
                self._drop("pair_superseded")

    def _failed(self, error: Exception) -> None:
        # Images of other cameras or sizes, or no calibration yet: nothing is wrong with the engine.
        unaligned = isinstance(error, AlignmentError | CalibrationError)
        self._drop("pair_not_aligned" if unaligned else "pair_error")
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        self._log.error(f"pair dropped: {what}", throttle_duration_sec=5.0)

    def _process(self, job: Job) -> None:
        pair = job.pair
        header = pair.rgb.header
        frames = (header.frame_id, pair.thermal.header.frame_id)
        start = time.perf_counter()
        rgb = to_rgb(pair.rgb, self.rgb.topic)
        thermal = to_thermal(pair.thermal, self.thermal.topic, self._warn_of_palette)
        depth = None if self.depth is None else self._depth_of(job, self.depth.topic)
        converted = time.perf_counter()
        prepared = self._segmenter.prepare(rgb, thermal, depth, pair.thermal_stamp, frames)
        masks = self._segmenter.segment([prepared])[0]
        segmented = time.perf_counter()
        self._outputs.publish_masks(header, masks)
        published = time.perf_counter()
        self.latency = (self._node.get_clock().now().nanoseconds - pair.rgb_stamp) * 1e-9
        self.processed += 1
        durations = {
            "wait": start - job.completed,
            "conversion": converted - start,
            **masks.durations,
            "publish": published - segmented,
        }
        facts = FrameFacts(
            thermal_stamp=pair.thermal.header.stamp,
            offset=pair.offset,
            durations=durations,
            latency=self.latency,
            overhead=published - job.completed - masks.durations["network"],
            received_rgb=self.rgb.received,
            received_thermal=self.thermal.received,
            processed=self.processed,
            dropped=self.dropped(),
        )
        self._outputs.publish_extras(header, rgb, masks, pair.thermal.header.stamp)
        self._outputs.publish_thermal(header, prepared)
        self._outputs.publish_report(header, masks, prepared, facts)

    def _depth_of(self, job: Job, topic: str) -> Any:
        rgb, depth = job.pair.rgb.header.frame_id.lstrip("/"), job.depth.header.frame_id.lstrip("/")
        if rgb and depth and rgb != depth:
            raise AlignmentError(
                f"{topic}: a depth image of '{depth}', expected one registered to the RGB camera's '{rgb}'"
            )
        return to_depth(job.depth, topic)

    def dropped(self) -> dict[str, int]:
        """Return how many frames and pairs were dropped, by reason; what a middleware lost is ``*_lost_in_transport``."""
        with self._lock:
            total = Counter(self._dropped)
            total.update(self._pairer.counters().dropped)
            if self.depth is not None:
                total.update(self._depth_pairer.dropped())
        for stream, name in zip(self.streams, ("rgb", "thermal", "depth"), strict=False):
            total[f"{name}_lost_in_transport"] += stream.lost
        return {reason: count for reason, count in sorted(total.items()) if count}

    def close(self, timeout: float) -> bool:
        """Unsubscribe and stop the worker; return whether it ended within ``timeout`` seconds."""
        for stream in self.streams:
            stream.close()
        return self.worker.stop(timeout)
