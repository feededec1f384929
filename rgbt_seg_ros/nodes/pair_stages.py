"""What the worker does for one camera pair, before the network and after it: images to arrays, masks to messages."""

from __future__ import annotations

import threading
import time
from typing import Any

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.errors import in_words, name_settings
from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.nodes.frame import Frame, Job
from rgbt_seg_ros.parameters.table import PARAMETER_OF
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.backends.memory import OutOfMemoryError
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.content import ContentJudge, Finding
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.images import to_depth, to_rgb, to_thermal
from rgbt_seg_ros.pipeline.report import FrameFacts
from rgbt_seg_ros.serving.warming import Loaded

_AGAIN = 60.0
"""s until a state of the pictures that comes and goes is logged again."""


class PairStages:
    """``prepare``, then the network, then ``publish`` and ``publish_rest``; ``failed`` where one of them raised."""

    def __init__(self, pair: CameraPair) -> None:
        """Take the camera pair whose images these are."""
        self.pair = pair
        self._outputs = pair.configured.outputs
        self._preparing = threading.Lock()
        self._newest = float("-inf")
        crop = pair.configured.settings.segmenter.thermal
        self._judge = ContentJudge(pair.rgb.topic, pair.thermal.topic, (crop.crop_top, crop.crop_bottom))
        self._told: dict[tuple[str, str], float] = {}
        self.sizes: tuple[Any, ...] | None = None
        """Sizes of the newest frame; the next frame most likely has the same."""

    def prepare(self, job: Job, loaded: Loaded) -> Frame | None:
        """Do what comes before the network, for this model; None where a newer pair was prepared before.

        One thread at a time, in the order of the pairs: what is smoothed over time depends on it.

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
        pair, streams = job.pair, self.pair
        frames = (pair.rgb.header.frame_id, pair.thermal.header.frame_id)
        streams.configured.alignment.frames = frames
        start = time.perf_counter()
        limit = streams.configured.settings.max_pixels
        noted: list[Finding] = []
        rgb = to_rgb(pair.rgb, streams.rgb.topic, max_pixels=limit, note=noted.append)
        thermal = to_thermal(pair.thermal, streams.thermal.topic, max_pixels=limit, note=noted.append)
        depth = None if streams.depth is None else _depth_of(job, streams.depth.topic, limit)
        aligned = streams.configured.aligner.mode == "none"
        self._tell(self._judge.judge(rgb, thermal, (pair.rgb_stamp, pair.thermal_stamp), aligned, noted))
        converted = time.perf_counter()
        segmenter = loaded.segmenters[streams.name]
        prepared = segmenter.prepare(rgb, thermal, depth, pair.thermal_stamp, frames)
        frame = Frame(job, loaded, segmenter, rgb, prepared, start, converted, time.perf_counter())
        self.sizes = frame.sizes
        return frame

    def _tell(self, findings: tuple[Finding, ...]) -> None:
        """Log what is odd about the newest pair when it begins, and keep it for diagnostics."""
        known = {(finding.code, finding.where) for finding in self.pair.findings}
        self.pair.findings = findings
        now = time.monotonic()
        for finding in findings:
            key = (finding.code, finding.where)
            if key not in known and now - self._told.get(key, -_AGAIN) >= _AGAIN:
                self._told[key] = now
                self.pair.log.warning(str(finding))

    def publish(self, frame: Frame, masks: Segmentation, batch: int, taken: float) -> FrameFacts:
        """Publish the masks of a frame: what the robot waits for.

        Args:
            frame: As of ``prepare``.
            masks: What the network made of it.
            batch: Pairs that went through the network together.
            taken: When their run began (time.perf_counter, s).

        Returns:
            What the frame's report says about it.
        """
        pair = frame.job.pair
        segmented = time.perf_counter()
        self._outputs.publish_masks(pair.rgb.header, masks)
        published = time.perf_counter()
        self.pair.count_processed(pair.rgb_stamp)
        facts = FrameFacts(
            offset=pair.offset,
            durations={
                "wait": (frame.start - frame.job.completed) + (taken - frame.ready),
                "conversion": frame.converted - frame.start,
                **masks.durations,
                "publish": published - segmented,
            },
            latency=self.pair.latency,
            # A pair's share of the run is what its own stage says; it has waited for all of it.
            overhead=published - frame.job.completed - batch * masks.durations["network"],
            received_rgb=self.pair.rgb.received,
            received_thermal=self.pair.thermal.received,
            processed=self.pair.processed,
            dropped=self.pair.dropped(),
        )
        if self.pair.debugs:
            stages = ", ".join(f"{stage} {1e3 * seconds:.1f}" for stage, seconds in facts.durations.items())
            self.pair.log.debug(
                f"pair {pair.rgb_stamp}: thermal {1e3 * pair.offset:+.1f} ms, {batch} in one run; ms: {stages}; "
                f"latency {1e3 * facts.latency:.1f}"
            )
        return facts

    def publish_rest(self, frame: Frame, masks: Segmentation, facts: FrameFacts) -> None:
        """Publish what else somebody subscribes to, in a thread beside that of the next frame.

        What fails here is logged. The masks were published, so the frame counts as processed.
        """
        pair, outputs, spec = frame.job.pair, self._outputs, frame.segmenter.spec
        header, thermal_stamp = pair.rgb.header, pair.thermal.header.stamp
        try:
            self.pair.configured.remember(frame.prepared.image_size)
            outputs.publish_extras(header, frame.rgb, masks, thermal_stamp, spec)
            outputs.publish_thermal(header, frame.prepared)
            outputs.publish_report(header, thermal_stamp, masks, frame.prepared, facts, spec)
        except Exception as error:
            self.pair.log.error(f"extras not published: {in_words(error)}", throttle_duration_sec=5.0)

    def failed(self, error: Exception) -> None:
        """Count a pair that could not be segmented, and log why."""
        if isinstance(error, OutOfMemoryError):
            # The model has logged it once.
            self.pair.drop(DropReason.PAIR_OUT_OF_MEMORY)
            return
        # Images of other cameras or sizes, or no calibration yet: nothing is wrong with the engine.
        unaligned = isinstance(error, AlignmentError | CalibrationError)
        self.pair.drop(DropReason.PAIR_NOT_ALIGNED if unaligned else DropReason.PAIR_ERROR)
        of = f" of {self.pair.name}" if self.pair.name else ""
        self.pair.log.error(f"pair{of} dropped: {in_words(error)}", throttle_duration_sec=5.0)


def _depth_of(job: Job, topic: str, max_pixels: int) -> AnyArray:
    """Return the depth image of a job; raises AlignmentError where it is of another frame than the RGB image."""
    rgb, depth = job.pair.rgb.header.frame_id.lstrip("/"), job.depth.header.frame_id.lstrip("/")
    if rgb and depth and rgb != depth:
        raise AlignmentError(
            f"{topic}: a depth image of '{depth}', expected one registered to the RGB camera's '{rgb}'"
        )
    return to_depth(job.depth, topic, max_pixels)
