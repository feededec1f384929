"""The data of a run: every source opened, in the model's classes, with a label mask, its thermal image in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.checks import check_dataset
from rgbt_seg_ros.data.samples import DataError, Dataset, Sample
from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.data.synthetic import SyntheticDrive, SyntheticScenes
from rgbt_seg_ros.data.weak_masks import weak_label
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.network.conventions import CONVENTIONS, Convention
from rgbt_seg_ros.network.spec import ClassInfo, ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise, resolve
from rgbt_seg_ros.training.config import DataConfig


def open_source(spec: str, render_size: tuple[int, int] | None) -> Dataset:
    """Open data by its words; generated scenes are drawn at ``render_size`` (H, W) where one is given."""
    dataset = open_dataset(spec)
    if render_size is not None and isinstance(dataset, (SyntheticScenes, SyntheticDrive)):
        return replace(dataset, size=render_size)
    return dataset


def open_all(settings: DataConfig) -> tuple[list[Dataset], list[Dataset]]:
    """Open all training and validation data.

    Raises:
        SettingError: No source.
        DataError: Data that does not exist, or has no samples.
    """
    if not settings.train:
        raise SettingError("data.train", "no source", "at least one, there or with --data")
    if not settings.val:
        raise SettingError("data.val", "no data to choose the best model by", "some, there or with --val")
    train = [open_source(source.spec, settings.render_size) for source in settings.train]
    # As `rgbt-seg evaluate` draws them: the scores and the temperature in the model file are of data that its words name.
    val = [open_source(spec, None) for spec in settings.val]
    for dataset in (*train, *val):
        if not len(dataset):
            raise DataError(f"{dataset.spec}: no samples")
    return train, val


def check_all(datasets: Sequence[Dataset], show: int = 5) -> None:
    """Read every file of every data set that has files.

    Raises:
        DataError: The first ``show`` problems and how many there are.
    """
    problems: list[str] = []
    for dataset in {dataset.spec: dataset for dataset in datasets}.values():
        if not isinstance(dataset, (SyntheticScenes, SyntheticDrive)):
            problems += check_dataset(dataset).problems
    if problems:
        more = f"; and {len(problems) - show} more" if len(problems) > show else ""
        raise DataError(f"{len(problems)} problems in the data: {'; '.join(problems[:show])}{more}")


def convention_of(settings: DataConfig, first: Dataset) -> Convention:
    """Return classes and normalisations of the model to train."""
    return first.convention if settings.classes == "data" else CONVENTIONS[settings.classes]


_BACKGROUND = ("unlabeled", "background")
"""Names of class 0 under which a mask grown from boxes may call everything outside them so."""


class LabelledSource:
    """One data set as training and validation see it; samples whose mask was grown from boxes are remembered, compressed."""

    def __init__(self, dataset: Dataset, classes: Sequence[ClassInfo], preprocessing: ThermalPreprocessing) -> None:
        """Wrap a data set for a model of the given classes and thermal preprocessing."""
        self.dataset = dataset
        self._classes = ClassMap(dataset.convention.classes, classes, dataset.spec)
        self._first = classes[0].name
        self._preprocessing = preprocessing
        self._grown: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def check(self) -> bool:
        """Read the first sample and match the class tables; return whether label masks are grown from boxes.

        Raises:
            DataError: The sample cannot be used, or the model lacks a class of the data by name.
        """
        grown = self.dataset[0].label is None
        names = [entry.name for entry in self.dataset.convention.classes]
        # Boxes name few of the classes of their convention.
        self._classes.require(getattr(self.dataset, "box_classes", names[1:]) if grown else names)
        self[0]
        return grown

    def __getitem__(self, index: int) -> Sample:
        """Read a sample: label mask in the model's class ids (grown from boxes where there is none), thermal uint8.

        Raises:
            DataError: It cannot be used, or has neither mask nor boxes.
        """
        sample = self._classes.apply(self.dataset[index])
        if sample.label is None:
            if sample.boxes is None:
                raise DataError(f"{self.dataset.spec}: {sample.name}: neither a label mask nor boxes to train on")
            if self._first not in _BACKGROUND:
                raise DataError(
                    f"{self.dataset.spec}: label masks are grown in boxes, and outside them is class 0, which the model calls "
                    f"'{self._first}'; expected {' or '.join(_BACKGROUND)}"
                )
            sample = sample.with_label(self._grow(sample, index))
        settings = resolve(ThermalSettings(), self._preprocessing, sample.thermal.dtype)
        return replace(sample, thermal=normalise(sample.thermal, settings))

    def _grow(self, sample: Sample, index: int) -> ByteArray:
        if index not in self._grown:
            # GrabCut takes tens of milliseconds; a mask as PNG takes a few kilobytes.
            self._grown[index] = cv2.imencode(".png", weak_label(sample))[1].tobytes()
        packed = np.frombuffer(self._grown[index], np.uint8)
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
