"""Class weights of the cross entropy from pixel counts (recipe of arXiv 2605.26273)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rgbt_seg_ros.arrays import FloatArray, IntArray
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.training.optimisation_config import ClassWeightConfig


def boosts_by_id(settings: ClassWeightConfig, classes: Sequence[ClassInfo]) -> FloatArray:
    """Return (K,) factors, 1 where none is set.

    Raises:
        SettingError: A boost names a class that does not exist.
    """
    factors = np.ones(len(classes))
    by_name = {entry.name: entry.id for entry in classes}
    for name, factor in settings.boosts.items():
        if name not in by_name:
            raise SettingError(
                f"loss.class_weights.boosts.{name}",
                f"not a class (known: {', '.join(by_name)}); --set 'loss.class_weights.boosts={{}}' clears all boosts",
            )
        factors[by_name[name]] = factor
    return factors


def class_weights(pixels: IntArray, settings: ClassWeightConfig, classes: Sequence[ClassInfo]) -> tuple[float, ...]:
    """Return one weight a class.

    Inverse frequencies, scaled so that the rarest class that occurs has ``scale``; times the boosts; clamped to
    ``low``..``high``. A class that was not seen counts as the rarest that was: it may be in the samples nobody counted.

    Args:
        pixels: (K,) labelled pixels by class.
        settings: Scale, limits and boosts.
        classes: The class table.
    """
    factors = boosts_by_id(settings, classes)
    seen = pixels > 0
    if not seen.any():
        return (1.0,) * len(classes)
    rarest = pixels[seen].min()
    weights = settings.scale * rarest / np.where(seen, pixels, rarest) * factors
    weights = np.clip(weights, settings.low, settings.high)
    return tuple(float(weight) for weight in weights)
