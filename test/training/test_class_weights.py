from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.training.class_weights import class_weights
from rgbt_seg_ros.training.optimisation_config import ClassWeightConfig

CLASSES = MFNET.classes[:4]


def test_the_rarest_class_weighs_the_scale_and_the_others_by_inverse_frequency() -> None:
    weights = class_weights(np.array([400, 200, 100, 40]), ClassWeightConfig(), CLASSES)
    assert weights == pytest.approx((1.0, 2.0, 4.0, 10.0))


def test_weights_are_clamped_at_both_ends() -> None:
    weights = class_weights(
        np.array([10**6, 10, 11, 10]), ClassWeightConfig(boosts={"person": 1.9, "car": 1.4}), CLASSES
    )
    assert weights == pytest.approx((0.5, 14.0, 15.0, 10.0))


def test_a_boost_multiplies() -> None:
    settings = ClassWeightConfig(boosts={"bike": 1.3})
    assert class_weights(np.array([40, 40, 40, 80]), settings, CLASSES) == pytest.approx((10.0, 10.0, 10.0, 6.5))


def test_a_class_that_was_not_seen_weighs_as_the_rarest_that_was() -> None:
    pixels = np.array([20, 10, 0, 0])
    settings = ClassWeightConfig(boosts={"person": 1.2, "bike": 2.0})
    assert class_weights(pixels, settings, CLASSES) == pytest.approx((5.0, 10.0, 12.0, 15.0))
    assert class_weights(np.zeros(4, int), ClassWeightConfig(), CLASSES) == (1.0,) * 4


def test_a_boost_of_no_class_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"loss\.class_weights\.boosts\.tree: not a class \(known: unlabeled, car.*boosts=\{\}'"
    ):
        class_weights(np.ones(4, int), ClassWeightConfig(boosts={"tree": 2.0}), CLASSES)
