"""What the images of a recorded topic show, over all its messages: one sentence for each kind of finding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.content import (
    Content,
    Finding,
    FrozenWatch,
    judge_aspect,
    judge_format,
    judge_rgb,
    judge_two_pictures,
    judge_values,
)
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS
from rgbt_seg_ros.pipeline.images import is_compressed, to_rgb, to_thermal

_DECODED_EVERY = 1_000_000_000
"""ns between compressed images that are decoded; of the others, format and bytes are looked at."""


class StreamJudge:
    """Judges the messages of one topic in the order they come."""

    def __init__(self, topic: str, thermal: bool, crop: tuple[int, int] = (0, 0), max_pixels: int = MAX_PIXELS) -> None:
        """Judge a topic.

        Args:
            topic: Its name.
            thermal: Whether it is the thermal camera's.
            crop: ``thermal.crop_top`` and ``thermal.crop_bottom``.
            max_pixels: The most pixels that an image may have.
        """
        self._topic, self._thermal, self._crop, self._max_pixels = topic, thermal, crop, max_pixels
        self._frozen = FrozenWatch()
        self._decoded: int | None = None
        self._seen = 0
        self._found: dict[Content, tuple[Finding, int, float]] = {}
        self.shape: tuple[int, ...] | None = None
        """(H, W, …) of the newest image, without the rows that are cropped."""

    def see(self, message: Any, stamp: int, at: float) -> None:
        """Judge a message that was found usable.

        Args:
            message: A sensor_msgs/Image or CompressedImage.
            stamp: Of its header (ns).
            at: Seconds after the start of the bag.
        """
        self._seen += 1
        found: list[Finding | None] = []
        if is_compressed(message):
            found.append(self._frozen.judge(self._topic, np.frombuffer(message.data, np.uint8).reshape(1, -1), stamp))
            if self._thermal:
                found.append(judge_format(self._topic, message.format))
            if self._decoded is not None and 0 <= stamp - self._decoded < _DECODED_EVERY:
                self._count(found, at)
                return
            self._decoded = stamp
        try:
            self._judge(message, stamp, found)
        except UserError as error:
            # Damage that only decoding finds; its pair is counted where it is converted.
            found.append(Finding(Content.INCOMPLETE, self._topic, str(error), "expected whole images"))
        self._count(found, at)

    def _judge(self, message: Any, stamp: int, found: list[Finding | None]) -> None:
        if not self._thermal:
            rgb = to_rgb(message, self._topic, self._max_pixels, note=found.append)
            self.shape = rgb.shape
            found.append(judge_rgb(self._topic, rgb))
            image = rgb
        else:
            image = to_thermal(message, self._topic, self._max_pixels, note=found.append)
            image = image[self._crop[0] : image.shape[0] - self._crop[1]]
            if not image.size:
                return
            self.shape = image.shape
            found += [judge_values(self._topic, image), judge_two_pictures(self._topic, image)]
        if not is_compressed(message):
            found.append(self._frozen.judge(self._topic, image, stamp))

    def _count(self, found: list[Finding | None], at: float) -> None:
        kinds = {finding.code: finding for finding in found if finding is not None}
        if Content.ONE_VALUE in kinds:
            # One value is frozen as well, which says no more.
            kinds.pop(Content.FROZEN, None)
        for code, finding in kinds.items():
            first, count, since = self._found.get(code, (finding, 0, at))
            self._found[code] = (first, count + 1, since)

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each kind of finding: what was seen first, when, and how often."""
        return tuple(
            str(replace(finding, problem=f"{finding.problem} (first at {at:.3f} s; {count} of {self._seen} images)"))
            for finding, count, at in self._found.values()
        )

    def has(self, code: Content) -> bool:
        """Whether a kind was found."""
        return code in self._found


def judge_shapes(rgb: StreamJudge, thermal: StreamJudge, topic: str) -> tuple[str, ...]:
    """Return what is wrong with the shapes of two cameras whose images are taken as aligned."""
    if rgb.shape is None or thermal.shape is None or thermal.has(Content.TWO_PICTURES):
        return ()
    finding = judge_aspect(topic, rgb.shape, thermal.shape)
    return () if finding is None else (str(finding),)
