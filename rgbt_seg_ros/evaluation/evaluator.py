"""Run a data set through the node's own path, once, and count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rgbt_seg_ros.data.samples import DataError, Dataset, Sample, box_classes
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.evaluation.counts import Counts, frame_counts
from rgbt_seg_ros.evaluation.int8 import calibration_pairs
from rgbt_seg_ros.network import Modality, ModelSpec, read_model
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine, select_engine

Progress = Callable[[Sequence[int]], Iterable[int]]
"""What shows how far it is: given the indices to come, it yields them."""


@dataclass(frozen=True)
class Evaluation:
    """What one modality reached.

    Attributes:
        total: Counts of all frames.
        groups: Counts by ``Sample.group``, sorted; frames of no known group are in the total only.
        quality: (index, quality 0..1) of each frame that has one, in order.
        box_classes: Class ids of the model whose objects the data says it annotates with boxes.
    """

    total: Counts
    groups: Mapping[str, Counts]
    quality: tuple[tuple[int, float], ...]
    box_classes: tuple[int, ...] = ()


@dataclass
class _Tally:
    total: Counts
    groups: dict[str, Counts] = field(default_factory=dict)
    quality: list[tuple[int, float]] = field(default_factory=list)

    def add(self, index: int, group: str, counts: Counts) -> None:
        self.total += counts
        if group:
            self.groups[group] = self.groups[group] + counts if group in self.groups else counts
        quality = counts.quality
        if quality == quality:
            self.quality.append((index, quality))


def open_segmenters(
    model: str | Path, modalities: Sequence[Modality], device: str = "auto", precision: str = "auto", backend: str = ""
) -> tuple[ModelSpec, dict[str, Segmenter]]:
    """Read a model file (or ``demo``) once and return a segmenter a modality, all around the same network.

    Args:
        model: The file.
        modalities: Of ``preparation.MODALITIES``.
        device: As of ``EngineRequest``.
        precision: As of ``EngineRequest``; int8 that is not in the cache is calibrated on ``int8.DEFAULT``.
        backend: One of ``backends.BACKENDS``; empty: the network in torch as it was trained, which engines are compared with.

    Raises:
        UserError: The file is not a model of this package, or the engine, device or precision cannot be used here; torch never
            takes the place of an engine that is named, whose metrics would then be torch's.
    """
    spec, network = read_model(model)
    settings = {name: SegmenterSettings(device=device, precision=precision, modality=name) for name in modalities}
    request = EngineRequest(
        network,
        spec,
        backend=backend or "torch",
        device=device,
        precision=precision,
        exact=True,
        calibration=calibration_pairs(spec),
    )
    engine = select_engine(request) if backend else TorchEngine(request)
    return spec, {name: Segmenter(spec, engine, entry) for name, entry in settings.items()}


def spread(length: int, limit: int | None) -> list[int]:
    """Return at most ``limit`` indices of 0..length-1, evenly spread: a sorted list of names has its nights at the end."""
    count = length if limit is None else min(limit, length)
    return [index * length // count for index in range(count)]


def read_sample(dataset: Dataset, classes: ClassMap, index: int) -> Sample:
    """Return sample ``index`` in the model's class ids.

    Raises:
        DataError: It cannot be used, or holds nothing to score against.
    """
    sample = dataset[index]
    if sample.label is None and sample.boxes is None:
        raise DataError(f"{dataset.spec}: {sample.name}: neither a label mask nor boxes to score against")
    return classes.apply(sample)


def evaluate(
    segmenters: Mapping[str, Segmenter],
    dataset: Dataset,
    limit: int | None = None,
    progress: Progress = lambda indices: indices,
) -> dict[str, Evaluation]:
    """Score models on data; each sample is read once and gone before the next.

    Args:
        segmenters: By a name of the caller's, such as the modality; all of one class table.
        dataset: The data; its classes are matched with the model's by name.
        limit: At most so many samples, evenly spread over the data (at least 1); None: all.
        progress: Wraps the indices, to show how far it is.

    Returns:
        An evaluation for each segmenter.

    Raises:
        DataError: There are no samples, or one cannot be used; the sentence names it.
        UserError: An image that the segmenter cannot take.
    """
    spec = next(iter(segmenters.values())).spec
    if not len(dataset):
        raise DataError(f"{dataset.spec}: no samples")
    classes = ClassMap(dataset.convention.classes, spec.classes, dataset.spec)
    tallies = {name: _Tally(Counts.none(spec.num_classes)) for name in segmenters}
    for index in progress(spread(len(dataset), limit)):
        sample = read_sample(dataset, classes, index)
        for name, segmenter in segmenters.items():
            masks = segmenter(sample.rgb, sample.thermal)
            tallies[name].add(index, sample.group, frame_counts(sample, masks, spec.num_classes))
    annotated = tuple(entry.id for entry in spec.classes if entry.name in box_classes(dataset))
    return {
        name: Evaluation(tally.total, dict(sorted(tally.groups.items())), tuple(tally.quality), annotated)
        for name, tally in tallies.items()
    }
