"""Read all of a data set once and say everything that is wrong with it, and what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.data.label_files import label_problems
from rgbt_seg_ros.data.problems import Problems, problems_of
from rgbt_seg_ros.data.samples import IGNORED, DataError, Dataset, Sample
from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.content import aspect_problem, judge_images

_THREADS = 2


@dataclass(frozen=True)
class ClassCount:
    """How much of a class there is: label pixels, images with at least one of them or with a box, and boxes."""

    id: int
    name: str
    pixels: int
    images: int
    boxes: int


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds.

    Attributes:
        spec: The words that name it.
        samples: Number of samples; those that miss a file are not counted.
        problems: What keeps it from being used, a sentence each.
        warnings: What is odd, a sentence each.
        classes: Each class of the data set.
        ignored_pixels: Label pixels nobody annotated.
        groups: Samples of each group (``""``: not known).
        sizes: Samples of each size and depth, such as ``rgb 480x640, thermal 480x640 uint8`` (height x width).
    """

    spec: str
    samples: int
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassCount, ...] = ()
    ignored_pixels: int = 0
    groups: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)


def _nothing() -> IntArray:
    return np.zeros(256, np.int64)


@dataclass(frozen=True, eq=False)
class _Finding:
    """What one sample is: the size is empty where it cannot be read; the counts are of each value 0..255."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    group: str = ""
    size: str = ""
    pixels: IntArray = field(default_factory=_nothing)
    boxes: IntArray = field(default_factory=_nothing)


def check_spec(spec: str) -> CheckReport:
    """Open and check the data that ``spec`` names; what is missing is a problem of the report, and the rest is checked.

    Raises:
        UserError: The words name no data, or a directory that does not exist.
    """
    missing = Problems()
    try:
        dataset = open_dataset(spec, missing)
    except UserError as error:
        if not missing.found:
            raise
        return CheckReport(spec, 0, (*missing.found, str(error)))
    return check_dataset(dataset, missing.found)


def check_dataset(dataset: Dataset, missing: Iterable[str] = ()) -> CheckReport:
    """Read every sample of a data set, on two threads, with a progress bar where somebody watches.

    Args:
        dataset: What to read.
        missing: Problems found already when it was opened; they come first in the report, and a sample that has one of them
            is not counted.
    """
    from tqdm import tqdm

    threads = ThreadPoolExecutor(_THREADS)
    try:
        findings = threads.map(lambda index: _check_index(dataset, index), range(len(dataset)))
        bar = tqdm(findings, total=len(dataset), desc="check", unit="pair", disable=None, leave=False)
        return _report(dataset, missing, bar)
    finally:
        # After an interrupt, not every sample first.
        threads.shutdown(cancel_futures=True)


def _report(dataset: Dataset, missing: Iterable[str], findings: Iterable[_Finding]) -> CheckReport:
    pixels, images, boxes = _nothing(), _nothing(), _nothing()
    # As keys, because mirrored samples of MFNet share their files.
    known = dict.fromkeys(missing)
    problems = dict(known)
    absent = 0
    warnings: dict[str, None] = {}
    groups: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for finding in findings:
        problems |= dict.fromkeys(finding.problems)
        absent += any(problem in known for problem in finding.problems)
        warnings |= dict.fromkeys(finding.warnings)
        pixels += finding.pixels
        boxes += finding.boxes
        images += (finding.pixels + finding.boxes) > 0
        if finding.size:
            groups[finding.group] += 1
            sizes[finding.size] += 1
    classes = (
        ClassCount(entry.id, entry.name, int(pixels[entry.id]), int(images[entry.id]), int(boxes[entry.id]))
        for entry in dataset.convention.classes
    )
    return CheckReport(
        dataset.spec,
        len(dataset) - absent,
        tuple(problems),
        tuple(warnings),
        tuple(classes),
        int(pixels[IGNORED]),
        dict(sorted(groups.items())),
        dict(sizes.most_common()),
    )


def _check_index(dataset: Dataset, index: int) -> _Finding:
    try:
        sample = dataset[index]
    except DataError as error:
        return _Finding(problems_of(error))
    # Without a class table, any value may be a class.
    return _check_sample(sample, len(dataset.convention.classes) or IGNORED)


def _check_sample(sample: Sample, num_classes: int) -> _Finding:
    height, width = sample.rgb.shape[:2]
    thermal = sample.thermal
    problems: list[str] = []
    warnings = list(sample.notes)
    pixels = boxes = _nothing()
    if sample.label is not None:
        # Readers of files have refused these already; other sources have not.
        problems = [
            f"{sample.name}: label mask: {text}" for text in label_problems(sample.label, num_classes, (height, width))
        ]
        pixels = np.bincount(sample.label.ravel(), minlength=256)
    if sample.boxes is not None:
        boxes = np.bincount(np.array([box.class_id for box in sample.boxes], np.int64), minlength=256)
    problem = aspect_problem(sample.rgb.shape, thermal.shape)
    if problem:
        problems.append(f"{sample.name}: {problem}")
    findings = judge_images(sample.rgb, thermal, (f"{sample.name}: RGB", f"{sample.name}: thermal"), aligned=False)
    warnings += map(str, findings)
    size = f"rgb {height}x{width}, thermal {thermal.shape[0]}x{thermal.shape[1]} {thermal.dtype}"
    return _Finding(tuple(problems), tuple(warnings), sample.group, size, pixels, boxes)
