"""Segment the pairs of a bag: reading, decoding and scaling run ahead of the network, counting behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.samples import DataError, Sample
from rgbt_seg_ros.errors import UserError, in_words, name_settings
from rgbt_seg_ros.evaluation.bags.consistency import flips
from rgbt_seg_ros.evaluation.bags.frames import Images, convert, read_pairs
from rgbt_seg_ros.evaluation.bags.labels import LabelSource, check_classes
from rgbt_seg_ros.evaluation.bags.models import Models
from rgbt_seg_ros.evaluation.bags.overlap import ahead
from rgbt_seg_ros.evaluation.bags.plan import Plan, PlannedPair
from rgbt_seg_ros.evaluation.bags.records import Record
from rgbt_seg_ros.evaluation.confusion import confusion_matrix
from rgbt_seg_ros.evaluation.counts import frame_counts
from rgbt_seg_ros.parameters.table import PARAMETER_OF
from rgbt_seg_ros.pipeline import Segmentation, Segmenter
from rgbt_seg_ros.pipeline.masks import UNLABELED, statistics
from rgbt_seg_ros.pipeline.preparation import Prepared

AHEAD = 3
"""Pairs that may wait between two stages."""


@dataclass(frozen=True)
class Outcome:
    """What one pair gave.

    Attributes:
        record: To be kept.
        durations: Seconds by stage, ``conversion`` first.
        masks: Label and confidence; None where the pair was skipped.
    """

    record: Record
    durations: dict[str, float]
    masks: tuple[ByteArray, ByteArray] | None


@dataclass(frozen=True)
class _Ready:
    pair: PlannedPair
    conversion: float = 0.0
    prepared: Prepared | None = None
    for_other: Prepared | None = None
    label: ByteArray | None = None
    problem: str = ""
    label_problem: str = ""


@dataclass(frozen=True)
class _Segmented:
    ready: _Ready
    masks: Segmentation | None = None
    other: ByteArray | None = None
    problem: str = ""


class Runner:
    """Everything that stays the same from pair to pair."""

    def __init__(
        self,
        bag: Bag,
        plan: Plan,
        models: Models,
        labels: LabelSource | None = None,
        batch: int = 1,
    ) -> None:
        """Take what there is to work with; nothing is read yet."""
        self._bag, self._plan, self._models = bag, plan, models
        self._labels, self._batch = labels, batch
        spec = models.segmenter.spec
        self._classes = check_classes(labels, spec.classes, bag)
        self._of_other = np.full(256, UNLABELED, np.uint8)
        if models.other is not None:
            ids = {entry.name: entry.id for entry in spec.classes}
            unknown = sorted(ids.keys() ^ {entry.name for entry in models.other.spec.classes})
            if unknown:
                raise BagError(f"--compare: only one of the models has {', '.join(unknown)}; expected equal classes")
            for entry in models.other.spec.classes:
                self._of_other[entry.id] = ids[entry.name]

    def run(self, first: int = 0, before: int | None = None) -> Iterator[Outcome]:
        """Yield the outcome of every pair from ``first`` on, in order.

        Args:
            first: Index of the first pair whose outcome is wanted.
            before: Index of the last pair before it that has masks, which are made again to count flips against; None: none.

        Raises:
            UserError: The bag cannot be read.
        """
        pairs = self._plan.pairs[first if before is None else before :]
        for segmenter in (self._models.segmenter, self._models.other):
            if segmenter is not None:
                segmenter.reset()
        segmented = ahead(self._segment(ahead(self._read(pairs), AHEAD)), AHEAD)
        try:
            for outcome in self._count(segmented):
                if outcome.record.index >= first:
                    yield outcome
        finally:
            segmented.close()

    def _read(self, pairs: Sequence[PlannedPair]) -> Iterator[_Ready]:
        for pair, rgb, thermal in read_pairs(self._bag, self._plan.cameras, pairs):
            start = time.perf_counter()
            try:
                with name_settings(PARAMETER_OF):
                    images = convert(self._bag, self._plan.cameras, rgb, thermal, self._plan.max_pixels)
                    conversion = time.perf_counter() - start
                    prepared = prepare_images(self._models.segmenter, images, pair)
                    other = self._models.other
                    for_other = None if other is None else prepare_images(other, images, pair)
            except Exception as error:  # as the node: a pair that fails is counted, and the next one has its turn
                yield _Ready(pair, problem=in_words(error))
                continue
            label, problem = self.label(pair, prepared.image_size)
            yield _Ready(pair, conversion, prepared, for_other, label, label_problem=problem)

    def label(self, pair: PlannedPair, size: tuple[int, int]) -> tuple[ByteArray | None, str]:
        """Return the true label mask of a pair in the model's class ids, and what is wrong with it.

        The label mask must have the size of the masks, (H, W). None without a usable one.
        """
        if self._labels is None or pair.rgb_stamp not in self._labels:
            return None, ""
        try:
            label = self._labels.read(pair.rgb_stamp)
            # Of the images only the size counts.
            black = np.broadcast_to(np.uint8(0), size)
            sample = Sample("a label mask", "", np.broadcast_to(black[..., None], (*size, 3)), black, label)
            return self._classes.apply(sample).label, ""
        except UserError as error:
            return None, str(error)

    def _segment(self, ready: Iterator[_Ready]) -> Iterator[_Segmented]:
        def alike(entry: _Ready) -> tuple[Any, ...]:
            if entry.prepared is None:
                return ()
            return (entry.prepared.image_size, entry.prepared.rgb.shape)

        for _, group in groupby(ready, alike):
            for batch in _batches(group, self._batch):
                yield from self._segment_batch(batch)

    def _segment_batch(self, batch: list[_Ready]) -> list[_Segmented]:
        if batch[0].prepared is None:
            return [_Segmented(entry, problem=entry.problem) for entry in batch]
        try:
            masks = self._models.segmenter.segment([entry.prepared for entry in batch if entry.prepared])
            others: Sequence[ByteArray | None] = [None] * len(batch)
            if self._models.other is not None:
                given = [entry.for_other for entry in batch if entry.for_other]
                others = [masks.label for masks in self._models.other.segment(given)]
        except Exception as error:
            if len(batch) > 1:  # one of them, or all at once
                return [result for entry in batch for result in self._segment_batch([entry])]
            return [_Segmented(batch[0], problem=in_words(error))]
        return [_Segmented(*entry) for entry in zip(batch, masks, others, strict=True)]

    def _count(self, segmented: Iterator[_Segmented]) -> Iterator[Outcome]:
        before: tuple[ByteArray, int] | None = None
        for entry in segmented:
            pair = entry.ready.pair
            record = Record(
                pair.index,
                pair.rgb_stamp,
                pair.thermal_stamp,
                pair.offset,
                pair.completed,
                modality=pair.modality,
                note=entry.ready.label_problem,
            )
            masks = entry.masks
            if masks is None:
                yield Outcome(replace(record, skipped=entry.problem), {}, None)
                continue
            record = self._counted(record, entry, masks)
            if before is not None:
                record = replace(record, flips=flips(before[0], masks.label, pair.rgb_stamp - before[1]))
            before = (masks.label, pair.rgb_stamp)
            durations = {"conversion": entry.ready.conversion, **masks.durations}
            yield Outcome(record, durations, (masks.label, masks.confidence))

    def _counted(self, record: Record, entry: _Segmented, masks: Segmentation) -> Record:
        classes = self._models.segmenter.spec.num_classes
        seen = statistics(masks.label, masks.confidence, classes)
        # The mean was made of whole grey levels; back to their sum, so that sums of many frames are exact.
        grey = tuple(round(255 * mean * count) for mean, count in zip(seen.confidence, seen.pixels, strict=True))
        counts = agreement = None
        if entry.ready.label is not None:
            # Only the label of a sample is counted; its images are gone.
            sample = Sample("", "", masks.label[..., None], masks.label, entry.ready.label)
            try:
                counts = frame_counts(sample, masks, classes)
            except DataError as error:
                record = replace(record, note=str(error))
        if entry.other is not None:
            # Only what both have labelled: 255 counts as class 0 in a prediction, and is left out of a truth.
            other = np.where(masks.label == UNLABELED, np.uint8(UNLABELED), self._of_other[entry.other])
            agreement = confusion_matrix(other, masks.label, classes)
        height, width = masks.label.shape
        return replace(
            record,
            size=(height, width),
            pixels=seen.pixels,
            confidence=grey,
            unlabeled=seen.unlabeled,
            thermal=entry.ready.prepared.facts if entry.ready.prepared else record.thermal,
            counts=counts,
            agreement=agreement,
        )


def prepare_images(segmenter: Segmenter, images: Images, pair: PlannedPair) -> Prepared:
    """Return what the network is given of a planned pair, as the node would; raises UserError as ``Segmenter.prepare``."""
    return segmenter.prepare(
        images.rgb if "rgb" in pair.modality else None,
        images.thermal if pair.modality != "rgb" else None,
        thermal_stamp=pair.thermal_stamp,
        frames=(pair.frame_id, images.thermal_frame_id if pair.modality != "rgb" else ""),
        modality=pair.modality,
        image_size=pair.image_size,
    )


def _batches(entries: Iterator[_Ready], size: int) -> Iterator[list[_Ready]]:
    batch: list[_Ready] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
