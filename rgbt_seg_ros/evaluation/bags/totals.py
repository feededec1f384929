"""Sums over the records of a bag, or of several; memory does not grow with them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.evaluation.bags.axis import Axis
from rgbt_seg_ros.evaluation.bags.records import Record
from rgbt_seg_ros.evaluation.confusion import scores
from rgbt_seg_ros.evaluation.counts import Counts
from rgbt_seg_ros.network.spec import MODALITIES, Modality


@dataclass
class Sums:
    """What adds up, of any number of pairs.

    Attributes:
        pixels: (K,) pixels by class.
        confidence: (K,) sums of grey levels (0..255) by class.
        unlabeled: Pixels that are 255.
        changed: Pixels that changed their class from one mask to the next.
        compared: Pixels that were compared.
        pixel_nanoseconds: Σ compared · step (ns).
        flip_pairs: Masks that were compared with the one before.
        counts: Against true labels.
        agreement: (K, K) pixels by the other model's class and this one's.
        pairs: Records seen.
        skipped: Records of these without masks.
    """

    pixels: IntArray
    confidence: IntArray
    unlabeled: int
    changed: int
    compared: int
    pixel_nanoseconds: int
    flip_pairs: int
    counts: Counts
    agreement: IntArray
    pairs: int = 0
    skipped: int = 0

    @staticmethod
    def none(num_classes: int) -> Sums:
        """Return the sums over no pair."""
        zero = np.zeros(num_classes, np.int64)
        square = np.zeros((num_classes, num_classes), np.int64)
        return Sums(zero, zero.copy(), 0, 0, 0, 0, 0, Counts.none(num_classes), square)

    def add(self, record: Record) -> None:
        """Add one pair."""
        self.pairs += 1
        if record.skipped:
            self.skipped += 1
            return
        self.pixels += np.array(record.pixels, np.int64)
        self.confidence += np.array(record.confidence, np.int64)
        self.unlabeled += record.unlabeled
        if record.flips is not None:
            self.changed += record.flips.changed
            self.compared += record.flips.compared
            self.pixel_nanoseconds += record.flips.compared * record.flips.step_ns
            self.flip_pairs += 1
        if record.counts is not None:
            self.counts = self.counts + record.counts
        if record.agreement is not None:
            self.agreement = self.agreement + record.agreement

    def merge(self, other: Sums) -> None:
        """Add the sums over other pairs."""
        for name in ("pixels", "confidence", "agreement", "counts"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("unlabeled", "changed", "compared", "pixel_nanoseconds", "flip_pairs", "pairs", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def coverage(self) -> float:
        """Share of pixels that carry a class; nan without any."""
        labelled = int(self.pixels.sum())
        return _ratio(labelled, labelled + self.unlabeled)

    @property
    def mean_confidence(self) -> float:
        """Mean confidence (0..1) of the pixels that carry a class; nan without any."""
        return _ratio(int(self.confidence.sum()), 255 * int(self.pixels.sum()))

    @property
    def flip_rate(self) -> float:
        """Label flips per pixel per second; nan where nothing was compared."""
        return _ratio(self.changed, self.pixel_nanoseconds) * 1e9

    @property
    def miou(self) -> float:
        """Return mIoU against the true labels; nan without any."""
        return scores(self.counts.matrix).miou if self.counts.labelled else float("nan")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


@dataclass
class Totals:
    """Everything that is summed of one bag.

    Attributes:
        whole: Over all pairs.
        bins: Over the pairs of each bin of the time axis; None for an empty bin.
        made: Over the pairs that were segmented from both images, or from one of them alone.
        offsets: Offset (s) of each pair of which both images were segmented: one number a pair, 8 bytes.
        scores: (index, score) of each pair with masks: mIoU of the frame with labels, else its mean confidence.
        reasons: Why pairs were skipped, in words.
        refused_labels: Why labels were not used, in words.
    """

    whole: Sums
    bins: list[Sums | None]
    made: dict[Modality, Sums]
    offsets: array[float] = field(default_factory=lambda: array("d"))
    scores: list[tuple[int, float]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    refused_labels: Counter[str] = field(default_factory=Counter)


def total(records: Iterable[Record], axis: Axis, num_classes: int, labelled: bool) -> Totals:
    """Sum up records.

    Args:
        records: In order.
        axis: Of time.
        num_classes: K of the model.
        labelled: Whether there are true labels, so that frames are ordered by mIoU; frames without one have no score then.
    """
    made: dict[Modality, Sums] = {modality: Sums.none(num_classes) for modality in MODALITIES}
    result = Totals(Sums.none(num_classes), [None] * axis.bins, made)
    for record in records:
        index = axis.bin_of(record.completed)
        part = result.bins[index]
        if part is None:
            part = result.bins[index] = Sums.none(num_classes)
        result.whole.add(record)
        part.add(record)
        made[record.modality].add(record)
        if record.modality == "rgbt":
            result.offsets.append(record.offset)
        if record.note:
            result.refused_labels[record.note] += 1
        if record.skipped:
            result.reasons[record.skipped] += 1
            continue
        score = _score(record, labelled)
        if score == score:
            result.scores.append((record.index, score))
    return result


def _score(record: Record, labelled: bool) -> float:
    if labelled:
        return record.counts.quality if record.counts is not None else float("nan")
    return _ratio(sum(record.confidence), 255 * sum(record.pixels))
