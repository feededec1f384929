"""One camera pair of an active node: from image topics to complete pairs, with a count of everything on the way."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, Literal, Protocol, cast

from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.nodes.configured import ConfiguredPair
from rgbt_seg_ros.nodes.frame import Job
from rgbt_seg_ros.nodes.image_stream import ImageStream
from rgbt_seg_ros.nodes.pairing_timer import PairingTimer
from rgbt_seg_ros.nodes.qos import subscribe
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline.content import Finding
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.health.choice import Choice
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.repeats import RunLog
from rgbt_seg_ros.pipeline.health.stream import Judgement
from rgbt_seg_ros.pipeline.images import check_depth, check_rgb, check_thermal, message_digest, stamp_ns
from rgbt_seg_ros.pipeline.pairing.depth import DepthPairer
from rgbt_seg_ros.pipeline.pairing.nearest import Pair
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream
from rgbt_seg_ros.serving.rate_limit import RateLimit

_STAMPS = 20
"""Stamps of each stream that are kept, to say how far apart the streams are."""

_TURN = 1_000_000
"""ns until another look whether messages wait."""


class PairSink(Protocol):
    """What a camera pair needs from its session; called in the thread of callbacks."""

    def see(self, slot: int, image_size: tuple[int, int]) -> None:
        """Take (H, W) of the RGB images of a slot, before the first one of that size is segmented."""

    def put(self, slot: int, job: Job) -> DropReason | None:
        """Take a complete pair; return why an older one of this slot was dropped for it, or None if none was."""


class CameraPair:
    """Subscriptions, pairing and counters of one camera pair between activate and deactivate; callbacks only store."""

    def __init__(self, node: LifecycleNode, configured: ConfiguredPair, sink: PairSink, slot: int) -> None:
        """Subscribe.

        Args:
            node: The node.
            configured: What the pair was configured with.
            sink: Takes complete pairs.
            slot: The place of this camera pair in the sink.
        """
        self._node, self._sink, self._slot = node, sink, slot
        self.configured = configured
        self.name = configured.name
        log = node.get_logger()
        # A logger throttles each line of code by itself: pairs, and below streams, need one each.
        self.log = log.get_child(configured.name) if configured.name else log
        self._image_size: tuple[int, int] | None = None
        self._pairer = configured.make_pairer(time.monotonic_ns())
        self.waiting = PairingTimer(node, self._advance)
        self._received = -1
        self._stamps: dict[str, deque[int]] = {"rgb": deque(maxlen=_STAMPS), "thermal": deque(maxlen=_STAMPS)}
        settings = configured.settings
        self._limit = RateLimit(settings.runtime.max_rate)
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._reused = 0
        self.enabled = True
        self.processed = 0
        self.made: Counter[Modality] = Counter()
        """Masks by what the network was given."""
        self.runs: dict[Stream, RunLog] = {stream: RunLog() for stream in STREAMS}
        """Which pictures are repetitions, of all that came."""
        self.judgements: dict[Stream, Judgement] = {}
        """What the newest images show, by stream."""
        self.refused_at: dict[str, float] = {}
        """When (time.monotonic, s) an image of a stream was refused last."""
        self.faults: Counter[str] = Counter()
        """Pairs in which the picture of a stream was not fit, by ``STREAM FAULT``."""
        self.latency = 0.0
        """s from the RGB stamp of the newest mask to its publication."""
        self.findings: tuple[Finding, ...] = ()
        """What is odd about the newest pair."""
        self.rgb = self._stream("rgb/image_raw", settings.rgb_transport, settings.rgb_qos, check_rgb)
        self.thermal = self._stream(
            "thermal/image_raw", settings.thermal_transport, settings.thermal_qos, check_thermal
        )
        self._words = [
            subscribe(
                node, Bool, f"{configured.prefix}{name}/valid", partial(self._declare, name), QoSProfile(depth=10)
            )
            for name in STREAMS
        ]
        self.depth: ImageStream | None = None
        if configured.aligner.mode == "depth":
            self._depth_pairer = DepthPairer(settings.depth_slop, settings.pairing.queue_size)
            self.depth = self._stream("depth/image", "depth", "auto", check_depth)

    def _stream(self, topic: str, transport: str, qos: str, check: Callable[..., None]) -> ImageStream:
        name = topic.split("/")[0]
        return ImageStream(
            self._node,
            self.configured.prefix + topic,
            transport,
            qos,
            check=partial(check, max_pixels=self.configured.settings.max_pixels),
            store=partial(self._take, cast(Any, name)),
            refuse=partial(self._refuse, name, self.log.get_child(name)),
        )

    def _refuse(self, stream: str, log: Any, error: UserError) -> None:
        self.drop(DropReason.INVALID.of(stream))
        self.refused_at[stream] = time.monotonic()
        log.error(f"{error}; frame dropped", throttle_duration_sec=5.0)

    def _take(self, stream: Stream | Literal["depth"], message: Any) -> None:
        if not self.enabled:
            self.drop(DropReason.DISABLED.of(stream))
            return
        # A compressed image does not say its size before it is decoded.
        if stream == "rgb" and hasattr(message, "height") and (message.height, message.width) != self._image_size:
            self._image_size = (message.height, message.width)
            self._sink.see(self._slot, self._image_size)
        stamp = stamp_ns(message.header)
        if stream != "depth":
            thermal = self.configured.settings.segmenter.thermal
            crop = (thermal.crop_top, thermal.crop_bottom)
            images = self.rgb if stream == "rgb" else self.thermal
            limit = self.configured.settings.max_pixels
            self.runs[stream].take(stamp, message_digest(message, images.topic, stream, crop, limit))
        with self._lock:
            if stream == "depth":
                complete = self._depth_pairer.add_depth(stamp, message)
            elif self._pairer.is_declared_invalid(stream):
                self._dropped[DropReason.DECLARED_INVALID.of(stream)] += 1
                return
            else:
                self._stamps[stream].append(stamp)
                # Another model may be running by now.
                self._pairer.allow(self.configured.alone)
                complete = self._with_depth(self._pairer.add(stream, stamp, message, time.monotonic_ns()))
        self._hand_over(complete)
        self._wake()

    def _with_depth(self, pairs: list[Pair]) -> list[tuple[Pair, Any]]:
        """Return pairs with the depth images that they need: an RGB image alone needs none."""
        complete: list[tuple[Pair, Any]] = []
        for pair in pairs:
            if self.depth is None or pair.thermal is None:
                complete.append((pair, None))
            else:
                complete += self._depth_pairer.add_pair(pair)
        return complete

    def _advance(self) -> None:
        """Hand over the frames that have waited long enough for a partner, unless the partner may lie in a queue."""
        received = self.rgb.received + self.thermal.received
        if received != self._received:
            # The thread was late, or busy with images: one turn of it takes one message of each topic.
            self._received = received
            self.waiting.set(time.monotonic_ns() + _TURN)
            return
        with self._lock:
            complete = self._with_depth(self._pairer.advance(time.monotonic_ns()))
        self._hand_over(complete)
        self._wake()

    def _wake(self) -> None:
        self.waiting.set(self._pairer.next_moment())

    def _declare(self, stream: Stream, message: Bool) -> None:
        """Take what a driver says about its images, such as that its shutter is closed."""
        with self._lock:
            complete = self._with_depth(self._pairer.declare(stream, bool(message.data)))
        self._hand_over(complete)

    def fault(self, stream: Stream) -> StreamFault | None:
        """Return why frames of the other camera do not wait for this stream; None: they do."""
        with self._lock:
            return self._pairer.fault(stream, time.monotonic_ns())

    def _hand_over(self, complete: list[tuple[Pair, Any]]) -> None:
        now = time.perf_counter()
        lazy = self.configured.settings.runtime.lazy
        for pair, depth in complete:
            if lazy and not self.configured.outputs.listened:
                self.drop(DropReason.PAIR_UNWANTED)
            elif not self._limit.accepts(pair.rgb_stamp):
                self.drop(DropReason.PAIR_OVER_MAX_RATE)
            elif reason := self._sink.put(self._slot, Job(pair, depth, now)):
                self.drop(reason)

    def restart_pairing(self) -> None:
        """Pair with the settings of this moment from the next frame on; frames that wait are dropped and counted as reset."""
        with self._lock:
            self._pairer.reset()
            counters = self._pairer.counters()
            self._dropped.update(counters.dropped)
            self._reused += counters.reused
            self._pairer = self.configured.make_pairer(time.monotonic_ns())

    def tune(self, before: NodeSettings) -> None:
        """Go by the settings of this moment where they differ from those before; in the thread of callbacks."""
        settings = self.configured.settings
        if settings.runtime.max_rate != before.runtime.max_rate:
            self._limit = RateLimit(settings.runtime.max_rate)
        if settings.pairing != before.pairing:
            self.restart_pairing()

    def drop(self, reason: str) -> None:
        """Count a frame or a pair that was dropped: a ``DropReason``, or one ``of`` a stream."""
        with self._lock:
            self._dropped[str(reason)] += 1
        if self.debugs:
            self.log.debug(f"dropped: {reason}")

    @property
    def debugs(self) -> bool:
        """Whether somebody wants a line for each pair; to be asked before the line is put together."""
        return bool(self.log.is_enabled_for(LoggingSeverity.DEBUG))

    def stamp_difference(self) -> float | None:
        """Return the smallest difference (s) of an RGB and a thermal stamp among the newest, offset included; None: unknown."""
        with self._lock:
            offset = self.configured.pairing.thermal_offset_ns
            gaps = (abs(thermal + offset - rgb) for rgb, thermal in product(*self._stamps.values()))
            gap = min(gaps, default=None)
        return None if gap is None else gap * 1e-9

    def see_health(self, choice: Choice) -> None:
        """Take what was decided about the newest pair; in the thread that prepares it."""
        self.judgements = {**self.judgements, **choice.judgements}
        for stream, judged in choice.judgements.items():
            if not judged.fit:
                self.faults[f"{stream} {judged.fault or 'doubtful'}"] += 1

    def count_processed(self, rgb_stamp: int, modality: Modality) -> None:
        """Count a pair whose masks have just been published, and take its latency from its RGB stamp (ns)."""
        self.made[modality] += 1
        self.latency = (self._node.get_clock().now().nanoseconds - rgb_stamp) * 1e-9
        self.processed += 1

    @property
    def streams(self) -> tuple[ImageStream, ...]:
        """The streams that are subscribed to."""
        return (self.rgb, self.thermal) if self.depth is None else (self.rgb, self.thermal, self.depth)

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
        total.update(self.configured.points_dropped())
        for stream in self.streams:
            total[DropReason.LOST_IN_TRANSPORT.of(stream.name)] += stream.lost
        return {reason: count for reason, count in sorted(total.items()) if count}

    def close(self) -> None:
        """Unsubscribe."""
        self.waiting.close()
        for words in self._words:
            self._node.destroy_subscription(words)
        for stream in self.streams:
            stream.close()
