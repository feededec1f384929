"""Thermal images of any depth to the 8-bit band the network was trained on.

A thermal camera delivers raw counts (14 or 16 bit), floats, or a picture its own gain control has already stretched to
8 bits. The published networks were trained on such 8-bit pictures, so deeper data is stretched here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import ThermalPreprocessing

METHODS = ("auto", "none", "percentile", "minmax", "fixed")

# About 20 000 samples of a 640x512 image: enough for a percentile to within a grey level, a tenth of the cost of all.
_SAMPLE_STEP = 4


class ThermalError(UserError):
    """A thermal image or a thermal setting that cannot be used."""


@dataclass(frozen=True)
class ThermalSettings:
    """How raw thermal values become the 8-bit image that the network sees.

    Attributes:
        normalisation: One of ``METHODS``. ``auto`` does what the model was trained with, and stretches by percentile where
            the model expects 8-bit pictures and the camera delivers more than 8 bits.
        low: Lower end: percent (0..100) for ``percentile``, raw units for ``fixed``; unused otherwise.
        high: Upper end, in the same unit; above ``low``.
    """

    normalisation: str = "auto"
    low: float = 1.0
    high: float = 99.0

    def __post_init__(self) -> None:
        """Refuse a method that does not exist and a range that is empty."""
        if self.normalisation not in METHODS:
            raise ThermalError(f"thermal.normalisation: '{self.normalisation}' is not one of {', '.join(METHODS)}")
        if self.normalisation in ("auto", "percentile") and not 0 <= self.low < self.high <= 100:
            raise ThermalError(
                f"thermal.low and thermal.high: {self.low:g} and {self.high:g} are not percentages "
                "with 0 <= low < high <= 100"
            )
        if self.normalisation == "fixed" and not self.low < self.high:
            raise ThermalError(
                f"thermal.low and thermal.high: a fixed range needs low < high, not {self.low:g} and {self.high:g}"
            )


def resolve(settings: ThermalSettings, trained_with: ThermalPreprocessing, depth: np.dtype) -> ThermalSettings:
    """Return the settings that ``auto`` stands for, given the model and the dtype of the camera's images."""
    if settings.normalisation != "auto":
        return settings
    if trained_with.method != "none":
        return ThermalSettings(trained_with.method, trained_with.low, trained_with.high)
    if depth == np.uint8:
        return ThermalSettings("none")
    return ThermalSettings("percentile", settings.low, settings.high)


def _bounds(thermal: npt.NDArray[Any], settings: ThermalSettings) -> tuple[float, float]:
    if settings.normalisation == "fixed":
        return settings.low, settings.high
    if settings.normalisation == "minmax":
        finite = thermal[np.isfinite(thermal)] if thermal.dtype.kind == "f" else thermal
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    sample = thermal[::_SAMPLE_STEP, ::_SAMPLE_STEP].ravel()
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0
    low, high = np.percentile(sample, (settings.low, settings.high))
    return float(low), float(high)


def normalise(thermal: npt.NDArray[Any], settings: ThermalSettings) -> npt.NDArray[np.uint8]:
    """Stretch a thermal image to 8 bits.

    Args:
        thermal: (H, W), uint8, uint16 or float32; any monotone unit (counts, Kelvin). NaN and infinities of float images
            come out as 0 (and +inf as 255).
        settings: A resolved setting (not ``auto``). ``none`` wants uint8 and returns the same array, not a copy.

    Returns:
        (H, W) uint8. A flat image, which has no contrast to show, comes out as 0.

    Raises:
        ThermalError: Another shape or dtype, or ``none`` for an image that is not uint8.
    """
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
        raise ThermalError(
            f"thermal image: expected (H, W) of uint8, uint16 or float32, not {thermal.shape} of {thermal.dtype}"
        )
    if settings.normalisation == "auto":
        raise ThermalError("thermal.normalisation: 'auto' has to be resolved for a model first")
    if settings.normalisation == "none":
        if thermal.dtype != np.uint8:
            raise ThermalError(
                f"thermal.normalisation: 'none' takes 8-bit images only, not {thermal.dtype}; use percentile or fixed"
            )
        return thermal.view(np.uint8)
    low, high = _bounds(thermal, settings)
    if not high > low:
        return np.zeros(thermal.shape, np.uint8)
    scale = 255.0 / (high - low)
    if thermal.dtype == np.float32:
        stretched = (np.nan_to_num(thermal, nan=low, posinf=high, neginf=low) - np.float32(low)) * np.float32(scale)
        return np.asarray(np.clip(np.rint(stretched), 0, 255), dtype=np.uint8)
    # A table of all values is exact and saturates at both ends; its lookup is one pass over the image.
    values = np.arange(256 if thermal.dtype == np.uint8 else 65536, dtype=np.float32)
    table = np.clip(np.rint((values - low) * scale), 0, 255).astype(np.uint8)
    return np.asarray(table[thermal]) if thermal.dtype != np.uint8 else np.asarray(cv2.LUT(thermal, table))
