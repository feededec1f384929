"""Which frames a report shows: the best, the median and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rgbt_seg_ros.data.samples import Dataset
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.evaluation.pictures import Picture, pictures_of
from rgbt_seg_ros.pipeline import Segmenter

KINDS = ("best", "median", "worst")

SHOWN = 3
"""Frames of each kind."""


@dataclass(frozen=True)
class Example:
    """One frame of a report.

    Attributes:
        kind: One of ``KINDS``.
        index: Of the sample in its data set.
        score: 0..1 that it was chosen by.
        name: Of the sample.
        group: Of the sample; may be empty.
        pictures: Of the frame; empty where none were asked for.
    """

    kind: str
    index: int
    score: float
    name: str
    group: str
    pictures: tuple[Picture, ...] = ()


def choose(quality: Sequence[tuple[int, float]], shown: int = SHOWN) -> list[tuple[str, int, float]]:
    """Return kind, index and score of the best, median and worst frames, none of them twice.

    Args:
        quality: (index, score) of each frame; of equal scores the lower index is the better.
        shown: At most so many of each kind; fewer where that is more than a third of the frames.
    """
    ordered = sorted(quality, key=lambda entry: (-entry[1], entry[0]))
    count = min(shown, max(1, len(ordered) // 3))
    best, others = ordered[:count], ordered[count:]
    end = max(0, len(others) - count)
    middle = max(0, (end - count) // 2)
    chosen = (best, others[:end][middle : middle + count], others[end:][::-1])
    return [(kind, index, score) for kind, part in zip(KINDS, chosen, strict=True) for index, score in part]


def find_examples(
    quality: Sequence[tuple[int, float]], dataset: Dataset, segmenter: Segmenter, pictures: bool
) -> list[Example]:
    """Read the chosen frames once more and, for their pictures, segment them again.

    Args:
        quality: (index, score) of each frame, as ``Evaluation.quality``.
        dataset: The data the indices are of.
        segmenter: What made the scores.
        pictures: Whether to make pictures.
    """
    classes = ClassMap(dataset.convention.classes, segmenter.spec.classes, dataset.spec)
    examples = []
    for kind, index, score in choose(quality):
        sample = classes.apply(dataset[index])
        views: list[Picture] = []
        if pictures:
            masks = segmenter(sample.rgb, sample.thermal)
            views = pictures_of(sample, masks, segmenter.spec, segmenter.settings.modality)
        examples.append(Example(kind, index, score, sample.name, sample.group, tuple(views)))
    return examples


def describe(examples: Sequence[Example]) -> dict[str, list[dict[str, Any]]]:
    """Return name, group and score of each example by kind, as plain data."""
    return {
        kind: [{"name": e.name, "group": e.group, "score": e.score} for e in examples if e.kind == kind]
        for kind in KINDS
    }
