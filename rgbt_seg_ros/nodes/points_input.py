"""Clouds or depth images that come in, the masks that paint them, and the clouds that go out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2

from rgbt_seg_ros.errors import UserError, in_words
from rgbt_seg_ros.nodes.conversions import cloud_message
from rgbt_seg_ros.nodes.image_stream import ImageStream
from rgbt_seg_ros.nodes.points_view import Labelled, PairView
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.images import check_depth, stamp_ns, to_depth
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.points.fields import CloudData, check_cloud, coordinates, painted_cloud, read_cloud
from rgbt_seg_ros.pipeline.points.paint import PaintedPoints
from rgbt_seg_ros.pipeline.points.pairing import CloudPairer, Match
from rgbt_seg_ros.serving.throttle import Throttle, with_count
from rgbt_seg_ros.serving.worker import FairWorker

_SILENT = 5.0
"""s without a message after which the log says that nothing comes."""

_AGAIN = 60.0
"""s until the log says the same again."""


class PointsInput:
    """One topic of clouds (or depth images) while somebody subscribes to what is made of them; painted in a thread of its own."""

    def __init__(
        self, node: LifecycleNode, topic: str, views: Sequence[PairView], publisher: Any, cloud_slop: float
    ) -> None:
        """Start the thread; ``follow`` subscribes.

        Args:
            node: The node.
            topic: Relative name: ``depth/image`` or ``points/input``, with what stands before it.
            views: The camera pairs that paint, in the order of precedence.
            publisher: Of the clouds.
            cloud_slop: s, the largest difference of the stamps of a cloud and a mask.
        """
        self._node, self._topic, self._views, self._publisher = node, topic, list(views), publisher
        self._depth = topic.endswith("depth/image")
        self._slop = cloud_slop
        self._pairer = CloudPairer(len(self._views), cloud_slop)
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._throttle = Throttle(_AGAIN)
        self._stream: ImageStream | None = None
        self._since = 0.0
        self._worker: FairWorker[Match] = FairWorker("points", 1, self._work, self._failed)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to the clouds."""
        return bool(self._publisher.get_subscription_count())

    def follow(self) -> None:
        """Subscribe while somebody wants clouds; called now and then in the thread of callbacks."""
        if self.wanted and self._stream is None:
            self._since = time.monotonic()
            self._stream = ImageStream(
                self._node,
                self._topic,
                "depth" if self._depth else "raw",
                "auto",
                kind=None if self._depth else PointCloud2,
                check=self._check,
                store=self._take,
                refuse=self._refuse,
            )
        elif not self.wanted and self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._stream is None:
            return
        self._stream.follow_publisher()
        # A cloud that waits for a camera that has fallen silent.
        with self._lock:
            matches = self._pairer.advance(time.monotonic_ns())
        self._hand_over(matches)
        if not self._stream.received and time.monotonic() - self._since > _SILENT:
            published = self._publisher.topic_name
            self._say(
                f"{published} has a subscriber, but nothing has come on {self._stream.topic}", self._stream.absence
            )

    def _check(self, message: Any, topic: str) -> None:
        settings = self._views[0].settings
        if self._depth:
            check_depth(message, topic, settings.max_pixels)
        else:
            check_cloud(message, topic, settings.points.max_points)

    def _refuse(self, error: UserError) -> None:
        self._drop(DropReason.INVALID)
        self._say(f"{error}; cloud dropped")

    def _take(self, message: Any) -> None:
        with self._lock:
            before = self._pairer.dropped[DropReason.NO_PARTNER.of("points")]
            matches = self._pairer.add_cloud(stamp_ns(message.header), message, time.monotonic_ns())
            alone = self._pairer.dropped[DropReason.NO_PARTNER.of("points")] > before
        if alone:
            self._say(
                f"{self._topic}: no mask lies within points.cloud_slop ({self._slop:g} s) of a cloud's stamp; cloud dropped"
            )
        self._hand_over(matches)

    def add(self, view: PairView, frame: Labelled) -> None:
        """Take the masks of a frame of one camera pair; in the thread of outputs."""
        with self._lock:
            slot = self._views.index(view)
            matches = self._pairer.add_mask(slot, stamp_ns(frame.header), frame, time.monotonic_ns())
        self._hand_over(matches)

    def _hand_over(self, matches: list[Match]) -> None:
        for match in matches:
            if self._worker.put(match):
                self._drop(DropReason.OUTPUT_SUPERSEDED)

    # In the thread of points.

    def _work(self, items: list[tuple[int, Match]]) -> None:
        for _, match in items:
            try:
                header, cloud = self._depth_cloud(match) if self._depth else self._painted(match)
            except UserError as error:
                self._drop(DropReason.NOT_PLACED)
                self._say(f"{self._topic}: {error}; cloud dropped")
            else:
                self._publisher.publish(cloud_message(header, cloud))

    def _depth_cloud(self, match: Match) -> tuple[Any, CloudData]:
        frame: Any = match.masks[0]
        topic = self._node.resolve_topic_name(self._topic)
        depth = to_depth(match.cloud, topic, self._views[0].settings.max_pixels)
        return frame.header, self._views[0].depth_cloud(frame, depth)

    def _painted(self, match: Match) -> tuple[Any, CloudData]:
        first = self._views[0]
        points = read_cloud(match.cloud, self._topic, first.settings.points.max_points)
        places = coordinates(points)
        painted = PaintedPoints(points.size, any(view.knows_temperature for view in self._views))
        problems, spec = [], None
        for view, frame in zip(self._views, match.masks, strict=True):
            if frame is None:
                continue
            try:
                painted.add(view.see(frame, match.cloud.header, places), view.paint(frame, frame.depth))
                spec = frame.spec
            except UserError as error:
                problems.append(error)
        if spec is None:
            raise problems[0]
        if problems:
            # The other cameras have painted it.
            self._say(f"{self._topic}: {problems[0]}; painted by the other camera pairs")
        classes = first.classes(spec)
        chosen = None
        if not classes.everything:
            wanted = classes.wanted[painted.painted.label]
            # Seen and without a label is another thing than not seen.
            if not first.settings.points.classes:
                wanted |= painted.seen & (painted.painted.label == UNLABELED)
            chosen = np.flatnonzero(wanted)
        return match.cloud.header, painted_cloud(points, painted.painted, chosen)

    def _failed(self, items: Sequence[tuple[int, Match]], error: Exception) -> None:
        self._drop(DropReason.ERROR)
        self._say(f"{self._topic}: {in_words(error)}; cloud dropped")

    # In any thread.

    def _drop(self, reason: DropReason) -> None:
        with self._lock:
            self._dropped[reason.of("points") if reason.is_of_stream else str(reason)] += 1

    def _say(self, sentence: str, more: Any = None) -> None:
        held = self._throttle.passes(sentence[:60])
        if held is not None:
            self._node.get_logger().warning(with_count(sentence if more is None else f"{sentence}: {more()}", held))

    def dropped(self) -> Counter[str]:
        """Return how many clouds were dropped, by reason."""
        with self._lock:
            total = self._dropped + self._pairer.dropped
        if self._stream is not None and self._stream.lost:
            total[DropReason.LOST_IN_TRANSPORT.of("points")] += self._stream.lost
        return total

    def close(self, timeout: float) -> None:
        """Unsubscribe and stop the thread."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._worker.stop(timeout)
