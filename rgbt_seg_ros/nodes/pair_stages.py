"""What the worker does for one camera pair, before the network and after it: images to arrays, masks to messages."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time as TimeMessage
from rclpy.time import Time
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.errors import UserError, in_words, name_settings
from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.nodes.frame import Frame, Job
from rgbt_seg_ros.nodes.side_outputs import SideOutput
from rgbt_seg_ros.parameters.table import PARAMETER_OF
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.backends.memory import OutOfMemoryError
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.content import ContentJudge, Finding
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.health.choice import PairHealth, look_at_thermal, trained_alone
from rgbt_seg_ros.pipeline.health.picture import PictureFacts, look_at
from rgbt_seg_ros.pipeline.health.repeats import Run
from rgbt_seg_ros.pipeline.images import to_depth, to_rgb, to_thermal
from rgbt_seg_ros.pipeline.pairing.fallback import streams_alone
from rgbt_seg_ros.pipeline.pairing.nearest import Pair
from rgbt_seg_ros.pipeline.pairing.stamps import Stream
from rgbt_seg_ros.pipeline.report import FrameFacts
from rgbt_seg_ros.pipeline.thermal.stage import crop
from rgbt_seg_ros.serving.warming import Loaded

_AGAIN = 60.0
"""s until a state of the pictures that comes and goes is logged again."""


class UnfitError(UserError):
    """Neither image of a pair shows anything, or the one that does may not be segmented alone."""


@dataclass(frozen=True)
class Beside:
    """A frame that further outputs are to be made of; ``sized``: its masks as they were published."""

    frame: Frame
    masks: Segmentation
    sized: Segmentation
    outputs: list[SideOutput]


class PairStages:
    """``prepare``, then the network, then ``publish`` and ``publish_rest``; ``failed`` where one of them raised."""

    def __init__(self, pair: CameraPair) -> None:
        """Take the camera pair whose images these are."""
        self.pair = pair
        self._outputs = pair.configured.outputs
        self._preparing = threading.Lock()
        self._newest = float("-inf")
        crop = pair.configured.settings.segmenter.thermal
        self._crop = (crop.crop_top, crop.crop_bottom)
        self._judge = ContentJudge(pair.rgb.topic, pair.thermal.topic, self._crop)
        self._told: dict[tuple[str, str], float] = {}
        settings = pair.configured.settings
        self._health = PairHealth(settings.health)
        self._image_size: tuple[int, int] | None = None
        """(H, W) of the newest RGB image: masks of thermal images alone have it too."""
        self._rgb_frame = ""
        self.sized: Segmentation
        """The masks that ``publish`` published last."""
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
        start = time.perf_counter()
        limit = streams.configured.settings.max_pixels
        noted: list[Finding] = []
        alone = streams_alone(streams.configured.settings.fallback, trained_alone(loaded.first.spec))
        rgb = thermal = None
        seen: dict[Stream, tuple[PictureFacts, int]] = {}
        runs: dict[Stream, Run | None] = {
            "rgb": streams.runs["rgb"].at(pair.rgb_stamp),
            "thermal": streams.runs["thermal"].at(pair.thermal_stamp),
        }
        if pair.rgb is not None:
            rgb = to_rgb(pair.rgb, streams.rgb.topic, max_pixels=limit, note=noted.append)
            self._image_size, self._rgb_frame = (rgb.shape[0], rgb.shape[1]), pair.rgb.header.frame_id
            if alone:
                seen["rgb"] = look_at(rgb, _digest(runs["rgb"])), pair.rgb_stamp
        if pair.thermal is not None:
            thermal = to_thermal(pair.thermal, streams.thermal.topic, max_pixels=limit, note=noted.append)
            if alone:
                seen["thermal"] = look_at_thermal(thermal, self._crop, _digest(runs["thermal"])), pair.thermal_stamp
        depth = None if job.depth is None or streams.depth is None else _depth_of(job, streams.depth.topic, limit)
        if rgb is not None and thermal is not None:
            aligned = streams.configured.aligner.mode == "none"
            stamps, of_both = (pair.rgb_stamp, pair.thermal_stamp), (runs["rgb"], runs["thermal"])
            self._tell(self._judge.judge(rgb, thermal, stamps, aligned, noted, of_both))
        modality = pair.modality
        if seen:
            choice = self._health.choose(seen, runs, alone)
            streams.see_health(choice)
            if choice.modality is None:
                raise UnfitError("; ".join(f"{name}: {judged.detail}" for name, judged in choice.judgements.items()))
            modality = choice.modality
        # The image that is left out may be of any size: it is given as if it had not come.
        rgb, thermal = (rgb if "rgb" in modality else None), (thermal if modality != "rgb" else None)
        frames = (self._rgb_frame, pair.thermal.header.frame_id if thermal is not None else "")
        streams.configured.alignment.frames = frames
        converted = time.perf_counter()
        segmenter = loaded.segmenters[streams.name]
        prepared = segmenter.prepare(
            rgb, thermal, depth, pair.thermal_stamp, frames, modality=modality, image_size=self._size()
        )
        raw = None if thermal is None else crop(thermal, *self._crop)
        frame = Frame(
            job, loaded, segmenter, rgb, raw, depth, prepared, self._header(pair), start, converted, time.perf_counter()
        )
        self.sizes = frame.sizes
        return frame

    def _size(self) -> tuple[int, int] | None:
        """Return (H, W) of the RGB images, as far as it is known without one."""
        calibration = self.pair.configured.aligner.calibration
        return self._image_size or (calibration.rgb.size if calibration is not None else None)

    def _header(self, pair: Pair) -> Header:
        """Return the header of the masks of a pair: that of the RGB image, or what it would have been."""
        if pair.rgb is not None:
            header: Header = pair.rgb.header
            return header
        calibration = self.pair.configured.aligner.calibration
        frame = self._rgb_frame or (calibration.rgb.frame_id if calibration is not None else "")
        return Header(stamp=Time(nanoseconds=pair.rgb_stamp).to_msg(), frame_id=frame)

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
        self.sized = self._outputs.sized(frame, masks)
        self._outputs.publish_masks(frame.header, self.sized)
        published = time.perf_counter()
        self.pair.count_processed(pair.rgb_stamp, frame.prepared.modality)
        facts = FrameFacts(
            offset=pair.offset if frame.prepared.modality == "rgbt" else 0.0,
            modality=frame.prepared.modality,
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
                f"pair {pair.rgb_stamp} ({facts.modality}): thermal {1e3 * facts.offset:+.1f} ms, {batch} in one run; "
                f"ms: {stages}; latency {1e3 * facts.latency:.1f}"
            )
        return facts

    def publish_rest(self, frame: Frame, masks: Segmentation, sized: Segmentation, facts: FrameFacts) -> None:
        """Publish what else somebody subscribes to, in a thread beside that of the next frame.

        What fails here is logged. The masks were published, so the frame counts as processed.
        """
        pair, outputs, spec = frame.job.pair, self._outputs, frame.segmenter.spec
        header, modality = frame.header, frame.prepared.modality
        thermal_stamp = TimeMessage() if modality == "rgb" else pair.thermal.header.stamp
        try:
            self.pair.configured.remember(frame.prepared.image_size)
            outputs.publish_extras(frame, masks, sized, thermal_stamp, spec)
            outputs.publish_thermal(header, frame.prepared)
            outputs.publish_report(header, thermal_stamp, masks, frame.prepared, facts, spec)
        except Exception as error:
            self.pair.log.error(f"extras not published: {in_words(error)}", throttle_duration_sec=5.0)

    @property
    def wanted(self) -> list[SideOutput]:
        """The outputs beside the masks that somebody subscribes to now."""
        return [output for output in self._outputs.side if output.wanted]

    def publish_beside(self, entry: Beside) -> None:
        """Make and publish what was wanted of a frame, in the thread for it; what fails is logged."""
        for output in entry.outputs:
            try:
                output.publish(entry.frame, entry.sized if output.sized else entry.masks)
            except Exception as error:
                self.pair.log.error(f"an output beside the masks failed: {in_words(error)}", throttle_duration_sec=5.0)

    def failed(self, error: Exception) -> None:
        """Count a pair that could not be segmented, and log why."""
        if isinstance(error, UnfitError):
            # Diagnostics say so, and log when it begins.
            self.pair.drop(DropReason.PAIR_UNFIT)
            return
        if isinstance(error, OutOfMemoryError):
            # The model has logged it once.
            self.pair.drop(DropReason.PAIR_OUT_OF_MEMORY)
            return
        # Images of other cameras or sizes, or no calibration yet: nothing is wrong with the engine.
        unaligned = isinstance(error, AlignmentError | CalibrationError)
        self.pair.drop(DropReason.PAIR_NOT_ALIGNED if unaligned else DropReason.PAIR_ERROR)
        of = f" of {self.pair.name}" if self.pair.name else ""
        self.pair.log.error(f"pair{of} dropped: {in_words(error)}", throttle_duration_sec=5.0)


def _digest(run: Run | None) -> int | None:
    return None if run is None else run.digest


def _depth_of(job: Job, topic: str, max_pixels: int) -> AnyArray:
    """Return the depth image of a job; raises AlignmentError where it is of another frame than the RGB image."""
    rgb = "" if job.pair.rgb is None else job.pair.rgb.header.frame_id.lstrip("/")
    depth = job.depth.header.frame_id.lstrip("/")
    if rgb and depth and rgb != depth:
        raise AlignmentError(
            f"{topic}: a depth image of '{depth}', expected one registered to the RGB camera's '{rgb}'"
        )
    return to_depth(job.depth, topic, max_pixels)
