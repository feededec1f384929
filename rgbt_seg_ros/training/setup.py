"""Everything a run needs before its first step, measured and opened once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from rgbt_seg_ros.data.samples import Dataset
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.conventions import Convention
from rgbt_seg_ros.training.class_weights import boosts_by_id, class_weights
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.draws import DrawPlan, quotas
from rgbt_seg_ros.training.export import preprocessing_of
from rgbt_seg_ros.training.sources import LabelledSource, check_all, convention_of, open_all
from rgbt_seg_ros.training.statistics import DataStatistics, measure


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes:
        convention: Classes and normalisations of the model.
        train: Training sources.
        val: Validation sources.
        plan: Which sample comes when.
        grown_val: Words of the validation data whose label masks are grown from boxes.
    """

    convention: Convention
    train: tuple[LabelledSource, ...]
    val: tuple[LabelledSource, ...]
    plan: DrawPlan
    grown_val: tuple[str, ...] = ()

    @property
    def val_datasets(self) -> list[Dataset]:
        """The validation data as it was opened."""
        return [source.dataset for source in self.val]


def open_data(config: TrainingConfig, check: bool) -> RunData:
    """Open all data of a run, and read one sample of each source.

    Args:
        config: The run.
        check: Whether every file is read once first, if the configuration asks for it too.

    Raises:
        UserError: Something of the data cannot be used.
    """
    train, val = open_all(config.data)
    if check and config.data.check:
        check_all((*train, *val))
    convention = convention_of(config.data, train[0])
    lengths = [len(dataset) for dataset in train]
    shares = [source.share for source in config.data.train]
    counts = quotas(shares, lengths, config.data.samples_per_epoch or sum(lengths))
    preprocessing = preprocessing_of(config.thermal)

    def labelled(datasets: Sequence[Dataset]) -> tuple[LabelledSource, ...]:
        return tuple(LabelledSource(dataset, convention.classes, preprocessing) for dataset in datasets)

    ours, theirs = labelled(train), labelled(val)
    for source in ours:
        source.check()
    grown = tuple(source.dataset.spec for source in theirs if source.check())
    return RunData(convention, ours, theirs, DrawPlan(config.run.seed, lengths, counts), grown)


def resolve(config: TrainingConfig, data: RunData, show: bool = True) -> TrainingConfig:
    """Fill in what the configuration leaves to the data: class weights and the thermal normalisation.

    Raises:
        SettingError: Weights or boosts that fit no class.
        DataError: A sample that cannot be used.
    """
    weights = config.loss.class_weights
    classes = data.convention.classes
    boosts_by_id(weights, classes)
    if weights.values and len(weights.values) != len(classes):
        count = f"{len(weights.values)} weights, but there are {len(classes)} classes"
        raise SettingError("loss.class_weights.values", count)
    needs_weights = weights.mode == "auto" and not weights.values and config.loss.cross_entropy > 0
    needs_thermal = config.thermal.normalisation == "auto"
    if not needs_weights and not needs_thermal:
        return config
    statistics = _measure(config, data, show)
    if needs_weights:
        values = class_weights(statistics.pixels[: len(classes)], weights, classes)
        rounded = tuple(round(value, 4) for value in values)
        config = replace(config, loss=replace(config.loss, class_weights=replace(weights, values=rounded)))
    if needs_thermal:
        # A deviation of nothing (all images flat) could not be divided by.
        normalisation = (round(statistics.thermal_mean, 4), max(0.01, round(statistics.thermal_std, 4)))
        config = replace(config, thermal=replace(config.thermal, normalisation=normalisation))
    return config


def _measure(config: TrainingConfig, data: RunData, show: bool) -> DataStatistics:
    draws = data.plan.epoch(0)
    count = min(config.loss.class_weights.samples or len(draws), len(draws))
    picks = [(draws[i].source, draws[i].index) for i in np.linspace(0, len(draws) - 1, count).astype(int)]
    return measure(data.train, tqdm(picks, desc="statistics", unit="pair", disable=None if show else True, leave=False))
