"""Scores for data that has boxes only: is the object found, and how much of a class lies where nothing was annotated.

A pixel belongs to a box if its centre, half a pixel from its corner, lies in the box or on its edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray
from rgbt_seg_ros.data.samples import Box
from rgbt_seg_ros.evaluation.confusion import ratio
from rgbt_seg_ros.pipeline.objects import find_objects

HIT_PERCENT = 30
"""Percent of a box's pixels that have to carry its class for a hit."""

LEAST = 50
"""Pixels of the smallest object that is counted, as of the parameter ``objects.min_pixels``."""

MATCH = 0.5
"""IoU from which the box of an object is that of an annotated one, as is usual for detections."""

GROWTH = 0.1
"""Share of its side by which a box is grown on each side before what lies outside counts as stray."""

_ROUNDING = 1e-6
"""Pixels by which an edge may be off: box files state fractions of the image side in decimals."""


@dataclass(frozen=True)
class BoxCounts:
    """What boxes and masks have in common, per class; counts of several images add up.

    Attributes:
        boxes: (K,) int64 boxes with at least one pixel.
        hits: (K,) int64 boxes that were hit.
        pixels: (K,) int64 pixels predicted as the class.
        stray: (K,) int64 of these, outside every grown box of the class.
        found: (K,) int64 objects of the mask: connected areas of a class, of ``LEAST`` pixels at least.
        matched: (K,) int64 of these, that are the object of a box: one to one, IoU of their boxes ``MATCH`` or more.
        empty: Boxes without a pixel (thinner than one, or outside the image), which nothing can hit: left out of ``boxes``.
    """

    boxes: IntArray
    hits: IntArray
    pixels: IntArray
    stray: IntArray
    found: IntArray
    matched: IntArray
    empty: int = 0

    @staticmethod
    def none(num_classes: int) -> BoxCounts:
        """Return the counts of no image."""
        zero = np.zeros(num_classes, np.int64)
        return BoxCounts(*(zero.copy() for _ in range(6)))

    def __add__(self, other: BoxCounts) -> BoxCounts:
        return BoxCounts(
            self.boxes + other.boxes,
            self.hits + other.hits,
            self.pixels + other.pixels,
            self.stray + other.stray,
            self.found + other.found,
            self.matched + other.matched,
            self.empty + other.empty,
        )

    @property
    def hit_rate(self) -> FloatArray:
        """Return (K,) hits / boxes; nan for a class without boxes."""
        return ratio(self.hits, self.boxes)

    @property
    def object_recall(self) -> FloatArray:
        """Return (K,) matched objects / boxes; nan for a class without boxes."""
        return ratio(self.matched, self.boxes)

    @property
    def object_precision(self) -> FloatArray:
        """Return (K,) matched objects / objects; nan for a class without objects."""
        return ratio(self.matched, self.found)

    @property
    def stray_share(self) -> FloatArray:
        """Return (K,) stray pixels / pixels of the class; nan for a class without pixels."""
        return ratio(self.stray, self.pixels)


def pixels_between(low: float, high: float, size: int) -> slice:
    """Return the rows or columns of 0..size-1 whose centres lie in [low, high] (pixels, edges included)."""
    first = max(0, math.ceil(low - 0.5 - _ROUNDING))
    return slice(first, max(first, min(size, math.floor(high - 0.5 + _ROUNDING) + 1)))


def _region(box: Box, shape: tuple[int, int], growth: float = 0.0) -> tuple[slice, slice]:
    across, down = growth * (box.right - box.left), growth * (box.bottom - box.top)
    return (
        pixels_between(box.top - down, box.bottom + down, shape[0]),
        pixels_between(box.left - across, box.right + across, shape[1]),
    )


def box_counts(prediction: ByteArray, boxes: Sequence[Box], num_classes: int) -> BoxCounts:
    """Score one label mask against every box of the image.

    Args:
        prediction: (H, W) uint8 class ids; 255 (unlabeled) is not a class.
        boxes: All annotated boxes of the image, in its pixels; what reaches beyond the image is cut off.
        num_classes: K; every box's class id is below it.

    Returns:
        The counts; a box is hit if at least ``HIT_PERCENT`` of its pixels carry its class, even where another box covers them.
    """
    shape = (prediction.shape[0], prediction.shape[1])
    counts = BoxCounts.none(num_classes)
    counts.pixels[:] = np.bincount(prediction.ravel(), minlength=256)[:num_classes]
    counts.stray[:] = counts.pixels
    empty = 0
    for box in boxes:
        inside = prediction[_region(box, shape)]
        if not inside.size:
            empty += 1
            continue
        counts.boxes[box.class_id] += 1
        # In whole numbers, so that exactly 30 % is a hit.
        counts.hits[box.class_id] += 100 * np.count_nonzero(inside == box.class_id) >= HIT_PERCENT * inside.size
    for class_id in {box.class_id for box in boxes}:
        outside = prediction == class_id
        for box in boxes:
            if box.class_id == class_id:
                outside[_region(box, shape, GROWTH)] = False
        counts.stray[class_id] = np.count_nonzero(outside)
    _match(prediction, boxes, counts)
    return replace(counts, empty=empty)


def _match(prediction: ByteArray, boxes: Sequence[Box], counts: BoxCounts) -> None:
    """Count the objects of a mask, and those that are a box's: the pair with the highest IoU first, each used once."""
    found = [entry for entry in find_objects(prediction, prediction, LEAST) if entry.class_id < len(counts.found)]
    np.add.at(counts.found, [entry.class_id for entry in found], 1)
    pairs = sorted(
        (
            (overlap, index, other)
            for index, entry in enumerate(found)
            for other, box in enumerate(boxes)
            if box.class_id == entry.class_id and (overlap := _iou(entry.box, box)) >= MATCH
        ),
        reverse=True,
    )
    used: tuple[set[int], set[int]] = (set(), set())
    for _, index, other in pairs:
        if index not in used[0] and other not in used[1]:
            used[0].add(index)
            used[1].add(other)
            counts.matched[found[index].class_id] += 1


def _iou(area: tuple[int, int, int, int], box: Box) -> float:
    """Return the intersection over union of an object's box and an annotated one."""
    left, top, right, bottom = area
    across = min(right, box.right) - max(left, box.left)
    down = min(bottom, box.bottom) - max(top, box.top)
    if across <= 0 or down <= 0:
        return 0.0
    both = (right - left) * (bottom - top) + (box.right - box.left) * (box.bottom - box.top)
    return across * down / (both - across * down)
