"""Which masks paint a cloud: of each camera pair the one nearest in time, within the slop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rgbt_seg_ros.pipeline.drops import DropReason

NANOSECONDS = 1_000_000_000

_CLOUDS = 10
"""Clouds that may wait for their masks: a second of a LiDAR."""

_MASKS = 8
"""Masks of a camera pair that are kept for a cloud that comes late."""

_PATIENCE = 2 * NANOSECONDS
"""ns after its arrival that a cloud waits for the masks of a camera pair that has fallen silent."""

_JUMP = 10 * NANOSECONDS
"""ns between two stamps of one stream beyond which another time has begun."""


@dataclass(frozen=True)
class Match:
    """A cloud and the masks that paint it.

    Attributes:
        cloud: What was given as the cloud.
        masks: One entry a camera pair: what was given as its mask; None: none is near enough.
    """

    cloud: Any
    masks: tuple[Any | None, ...]


@dataclass(frozen=True)
class _Timed:
    stamp: int
    item: Any
    arrived: int = 0


class CloudPairer:
    """Pairs clouds with the masks of one camera pair or several. Not thread-safe.

    A cloud waits until each pair has a mask that is as new as the cloud, because a nearer one may still come. A mask may paint
    several clouds. What waits is bounded, and clouds without a mask are counted.
    """

    def __init__(self, pairs: int, slop: float) -> None:
        """Make one for a number of camera pairs.

        Args:
            pairs: How many.
            slop: s, the largest difference of the stamps of a cloud and a mask, inclusive.
        """
        self._slop = round(slop * NANOSECONDS)
        self._masks: list[deque[_Timed]] = [deque(maxlen=_MASKS) for _ in range(pairs)]
        self._clouds: deque[_Timed] = deque()
        self._newest: int | None = None
        self.dropped: Counter[str] = Counter()
        """Clouds without a mask, by reason, each ``of("points")``."""

    def add_cloud(self, stamp: int, item: Any, now: int) -> list[Match]:
        """Take a cloud with its stamp (ns) at a moment (time.monotonic_ns); return the clouds that are complete."""
        if self._newest is not None and abs(stamp - self._newest) > _JUMP:
            self._drop(len(self._clouds), DropReason.RESET)
            self._clouds.clear()
        elif self._newest is not None and stamp <= self._newest:
            self._drop(1, DropReason.DUPLICATE if stamp == self._newest else DropReason.OUT_OF_ORDER)
            return self.advance(now)
        self._newest = stamp
        self._clouds.append(_Timed(stamp, item, now))
        if len(self._clouds) > _CLOUDS:
            self._clouds.popleft()
            self._drop(1, DropReason.QUEUE_FULL)
        return self.advance(now)

    def add_mask(self, pair: int, stamp: int, item: Any, now: int) -> list[Match]:
        """Take a mask of a camera pair with the stamp of its RGB image (ns); return as ``add_cloud``."""
        kept = self._masks[pair]
        if kept and not 0 <= stamp - kept[-1].stamp <= _JUMP:
            kept.clear()
        kept.append(_Timed(stamp, item))
        return self.advance(now)

    def advance(self, now: int) -> list[Match]:
        """Return the clouds that are complete, or have waited long enough, in the order of time."""
        complete = []
        while self._clouds and (self._certain(self._clouds[0]) or now - self._clouds[0].arrived > _PATIENCE):
            cloud = self._clouds.popleft()
            masks = tuple(self._nearest(kept, cloud.stamp) for kept in self._masks)
            if any(mask is not None for mask in masks):
                complete.append(Match(cloud.item, masks))
            else:
                self._drop(1, DropReason.NO_PARTNER)
        return complete

    def _certain(self, cloud: _Timed) -> bool:
        return all(kept and kept[-1].stamp >= cloud.stamp for kept in self._masks)

    def _nearest(self, kept: Sequence[_Timed], stamp: int) -> Any | None:
        near = min(kept, key=lambda mask: abs(mask.stamp - stamp), default=None)
        return near.item if near is not None and abs(near.stamp - stamp) <= self._slop else None

    def _drop(self, count: int, reason: DropReason) -> None:
        if count:
            self.dropped[reason.of("points")] += count
