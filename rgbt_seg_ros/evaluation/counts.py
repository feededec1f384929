"""Everything that is counted of one frame; the counts of many frames are their sum, so memory does not grow with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.evaluation.boundary import boundary_counts
from rgbt_seg_ros.evaluation.boxes import BoxCounts, box_counts
from rgbt_seg_ros.evaluation.confusion import confusion_matrix, scores
from rgbt_seg_ros.evaluation.reliability import LEVELS, confidence_levels
from rgbt_seg_ros.pipeline import Segmentation


@dataclass(frozen=True)
class Counts:
    """Counts of any number of frames.

    Attributes:
        matrix: (K, K) int64 confusion matrix, rows truth, columns prediction.
        levels: (256, 2) int64 wrong and right pixels by confidence level.
        boundary: (2, K) int64 intersection and union of the bands along the contours.
        boxes: What boxes and masks have in common.
        frames: Frames seen.
        labelled: Frames of these with a label mask.
        boxed: Frames of these with boxes, or annotated as having none.
    """

    matrix: IntArray
    levels: IntArray
    boundary: IntArray
    boxes: BoxCounts
    frames: int = 0
    labelled: int = 0
    boxed: int = 0

    @staticmethod
    def none(num_classes: int) -> Counts:
        """Return the counts of no frame."""
        return Counts(
            np.zeros((num_classes, num_classes), np.int64),
            np.zeros((LEVELS, 2), np.int64),
            np.zeros((2, num_classes), np.int64),
            BoxCounts.none(num_classes),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.matrix + other.matrix,
            self.levels + other.levels,
            self.boundary + other.boundary,
            self.boxes + other.boxes,
            self.frames + other.frames,
            self.labelled + other.labelled,
            self.boxed + other.boxed,
        )

    @property
    def quality(self) -> float:
        """Return 0..1 to order frames by: mIoU over the classes present, or hits / boxes without labels; nan: neither."""
        if self.labelled:
            return scores(self.matrix).miou
        boxes = int(self.boxes.boxes.sum())
        return int(self.boxes.hits.sum()) / boxes if boxes else float("nan")


def frame_counts(sample: Sample, masks: Segmentation, num_classes: int) -> Counts:
    """Count one frame.

    Args:
        sample: With label mask or boxes, or neither, in the model's class ids.
        masks: What the segmenter made of it, of the same size.
        num_classes: K of the model.

    Raises:
        DataError: A mask holds an id that is not a class.
    """
    nothing = Counts.none(num_classes)
    matrix, levels, boundary, boxes = nothing.matrix, nothing.levels, nothing.boundary, nothing.boxes
    if sample.label is not None:
        matrix = confusion_matrix(sample.label, masks.label, num_classes)
        levels = confidence_levels(sample.label, masks.label, masks.confidence)
        boundary = boundary_counts(sample.label, masks.label, num_classes)
    if sample.boxes is not None:
        boxes = box_counts(masks.label, sample.boxes, num_classes)
    return Counts(matrix, levels, boundary, boxes, 1, int(sample.label is not None), int(sample.boxes is not None))
