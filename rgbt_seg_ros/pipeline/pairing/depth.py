"""The depth image that belongs to a pair: nearest in time to its RGB image, within the slop."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.nearest import REASONS, NearestPairer, Pair, PairingSettings


class DepthPairer:
    """Pairs pairs with depth images, by the rules of ``NearestPairer``: what waits is bounded, what is dropped is counted."""

    def __init__(self, slop: float, queue_size: int) -> None:
        """Make a pairer.

        Args:
            slop: s, the largest difference between the stamps of an RGB image and its depth image.
            queue_size: Pairs, or depth images, that may wait: a late thermal camera makes depth images wait.
        """
        # Reuse: two pairs do not compete for a depth image, so that neither waits for the next pair to be certain.
        self._pairer = NearestPairer(PairingSettings(slop=slop, queue_size=queue_size, reuse_thermal=True))

    def add_pair(self, pair: Pair) -> list[tuple[Pair, Any]]:
        """Take a pair; return those that have a depth image now, each with it, in the order of time."""
        return [(found.rgb, found.thermal) for found in self._pairer.add_rgb(pair.rgb_stamp, pair)]

    def add_depth(self, stamp_ns: int, item: Any) -> list[tuple[Pair, Any]]:
        """Take a depth image with its stamp (ns); return as ``add_pair``."""
        return [(found.rgb, found.thermal) for found in self._pairer.add_thermal(stamp_ns, item)]

    def dropped(self) -> Counter[str]:
        """Return how many pairs went without a depth image, and how many depth images were dropped by reason."""
        counted = self._pairer.counters().dropped
        total = Counter({reason.of("depth"): counted[reason.of("thermal")] for reason in REASONS})
        total[str(DropReason.PAIR_NO_DEPTH)] = sum(counted[reason.of("rgb")] for reason in REASONS)
        return total
