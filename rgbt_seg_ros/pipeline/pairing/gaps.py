"""RGB frames without a partner that by the cameras' rhythms should have one, and the thermal frame that they get instead."""

from __future__ import annotations

from collections import deque

from rgbt_seg_ros.pipeline.pairing.match import Frame
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS

INTERVALS = 15
"""A rhythm is the median of this many intervals: jitter must not make a slower camera seem as fast."""

LEAST_INTERVALS = 5
"""A rhythm needs at least this many."""

AS_FAST = 1.1
"""A thermal camera whose interval is at most this many RGB intervals counts as fast as the RGB camera."""


class Rhythm:
    """The usual interval of a stream: the median of the last 15, which a frame that is lost now and then does not move."""

    def __init__(self) -> None:
        """Start without a frame."""
        self._newest: int | None = None
        self._intervals: deque[int] = deque(maxlen=INTERVALS)

    def observe(self, time: int) -> None:
        """Take the time (ns) of a frame, greater than the newest."""
        if self._newest is not None:
            self._intervals.append(time - self._newest)
        self._newest = time

    @property
    def interval(self) -> int:
        """The usual interval (ns); 0 before there are enough to tell."""
        intervals = self._intervals
        return sorted(intervals)[len(intervals) // 2] if len(intervals) >= LEAST_INTERVALS else 0


class GapFiller:
    """Gives an RGB frame that found no free thermal frame the nearest one, where the cameras' rhythms promised one.

    A thermal camera as fast as the RGB camera promises one to every RGB frame. A slower one promises those that it lost: a gap of
    n usual intervals lacks n - 1 frames, expected at equal distances, each for the RGB frame within half an RGB interval of it.
    """

    def __init__(self, slop_ns: int, most: int) -> None:
        """Take how far (ns) a thermal frame may be from its RGB frame, and how many of a stream may be kept."""
        self._slop = slop_ns
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget every frame and both rhythms."""
        self._rhythms = {stream: Rhythm() for stream in STREAMS}
        # Each with the usual interval up to the one before.
        self._thermal: deque[tuple[Frame, int]] = deque(maxlen=self._most)
        # Times, each with the usual interval up to it: what came later must not matter, since which stream is ahead is chance.
        self._rgb: deque[tuple[int, int]] = deque(maxlen=self._most)
        self._filled = float("-inf")

    def observe(self, frame: Frame) -> None:
        """Take a frame; the times of a stream increase."""
        rhythm = self._rhythms[frame.stream]
        if frame.stream == "thermal":
            self._thermal.append((frame, rhythm.interval))
        rhythm.observe(frame.time)
        if frame.stream == "rgb":
            self._rgb.append((frame.time, rhythm.interval))
        if self._rgb:
            self._forget_thermal_before(self._rgb[0][0])

    def forget_before(self, time: int) -> None:
        """Let go of what is not needed for RGB frames at ``time`` (ns) or later."""
        self._forget_thermal_before(time)
        while self._rgb and self._rgb[0][0] < time:
            self._rgb.popleft()

    def _forget_thermal_before(self, time: int) -> None:
        while len(self._thermal) > 1 and self._thermal[1][0].time <= time:
            self._thermal.popleft()

    def nearest(self, rgb: Frame) -> Frame | None:
        """Return the nearest thermal frame within the slop, used or not, for an RGB frame that was promised one; else None.

        Args:
            rgb: Without a partner; later than those asked for before.
        """
        self.forget_before(rgb.time)
        if len(self._thermal) < 2 or not self._rgb or self._rgb[0][0] != rgb.time:
            return None
        (before, _), (after, interval) = self._thermal[0], self._thermal[1]
        if before.time > rgb.time:
            # The queue was too short for streams so far apart: the frame before it, perhaps the nearest, has been forgotten.
            return None
        nearest = min(before, after, key=lambda frame: abs(frame.time - rgb.time))
        own_interval = self._rgb[0][1]
        if not (interval and own_interval) or abs(nearest.time - rgb.time) > self._slop:
            return None
        if interval > AS_FAST * own_interval:
            lost = _lost(before.time, after.time, interval, rgb.time)
            if lost is None or lost <= self._filled or 2 * abs(rgb.time - lost) > own_interval:
                return None
            self._filled = lost
        return nearest


def _lost(before: int, after: int, interval: int, near: int) -> float | None:
    """Return when a frame between two others was expected, the nearest to a time between them (ns); None: none is missing."""
    steps = round((after - before) / interval)
    if steps < 2 or not before < near < after:
        return None
    step = (after - before) / steps
    return before + step * min(max(1, round((near - before) / step)), steps - 1)
