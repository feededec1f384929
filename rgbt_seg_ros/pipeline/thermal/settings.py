"""How thermal images are taken: the values of the parameters ``thermal.*``, and what ``auto`` among them stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.scales import PRESETS, Scale, ThermalError

METHODS = ("auto", "none", "percentile", "minmax", "fixed", "clahe")
REPAIRS = ("none", "non_finite", "dead")

_OF_PERCENT = ("auto", "percentile", "clahe")

_COLDEST = 200.0
"""K; the range of no scene ends below it: such a range is in °C, or was not set."""

_HOTTEST = 5000.0
"""K; no range ends above it: such a range is in raw units."""


@dataclass(frozen=True)
class ThermalSettings:
    """How raw thermal values become the 8-bit image that the network sees.

    Attributes:
        normalisation: One of ``METHODS``. ``auto`` does what the model was trained with, and stretches by percentile where
            the model expects 8-bit pictures and the camera delivers more than 8 bits.
        low: Lower end: percent (0..100) for ``auto``, ``percentile`` and ``clahe``; for ``fixed`` K where the scale is known,
            else raw units; unused otherwise.
        high: Upper end, in the same unit; above ``low``.
        preset: One of ``PRESETS``: what the raw values mean.
        scale: K per raw unit, in place of the preset's; 0: the preset's.
        offset: K at raw value 0; goes with ``scale``.
        crop_top: Rows that the camera puts above the picture (telemetry), to be cut off.
        crop_bottom: The same below it.
        repair: One of ``REPAIRS``: which pixels are replaced from their neighbours: none; those that are NaN or infinite;
            those and the dead ones.
        smoothing: Time constant in s over which the ends of the stretch follow the scene; 0: every frame by itself.
        clahe_clip: Contrast limit of ``clahe``, as of OpenCV's createCLAHE; above 0.
    """

    normalisation: str = "auto"
    low: float = 1.0
    high: float = 99.0
    preset: str = "unknown"
    scale: float = 0.0
    offset: float = 0.0
    crop_top: int = 0
    crop_bottom: int = 0
    repair: str = "non_finite"
    smoothing: float = 0.0
    clahe_clip: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a method, preset or repair that does not exist, a range that is empty, and numbers out of range."""
        choices = {"normalisation": METHODS, "preset": tuple(PRESETS), "repair": REPAIRS}
        for key, legal in choices.items():
            if getattr(self, key) not in legal:
                raise ThermalError(key, f"'{getattr(self, key)}' is not one of {', '.join(legal)}")
        if self.normalisation in _OF_PERCENT and not 0 <= self.low < self.high <= 100:
            raise ThermalError(
                "low", f"{self.low:g} and high {self.high:g} are not percentages with 0 <= low < high <= 100"
            )
        if self.normalisation == "fixed" and not self.low < self.high:
            raise ThermalError("low", f"{self.low:g} is not below high, {self.high:g}, which a fixed range needs")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ThermalError("scale", f"{self.scale:g}", "K per raw unit, above 0, or 0 for the preset's")
        if self.offset != 0 and self.scale == 0:
            raise ThermalError("offset", f"{self.offset:g} needs a scale too, which is 0", "K per raw unit as scale")
        for key in ("crop_top", "crop_bottom"):
            if getattr(self, key) < 0:
                raise ThermalError(key, f"{getattr(self, key)}", "a number of rows, at least 0")
        if not (math.isfinite(self.smoothing) and self.smoothing >= 0):
            raise ThermalError("smoothing", f"{self.smoothing:g}", "a time in s, or 0 for none")
        if not (math.isfinite(self.clahe_clip) and self.clahe_clip > 0):
            raise ThermalError("clahe_clip", f"{self.clahe_clip:g} is not a contrast limit above 0")
        scale = self.kelvin_scale()
        if self.normalisation == "none" and not self.scale and "uint8" not in PRESETS[self.preset].dtypes:
            raise ThermalError(
                "normalisation",
                f"'none' takes 8-bit images, and preset '{self.preset}' is for deeper ones",
                "auto, percentile or fixed",
            )
        if self.normalisation == "fixed" and scale is not None and not _COLDEST <= self.high <= _HOTTEST:
            raise ThermalError(
                "low",
                f"{self.low:g} to high {self.high:g} is not a range in K, which it is where the scale is known "
                f"(by preset '{self.preset}' or scale)",
                "K, for example 273.15 and 323.15",
            )

    def kelvin_scale(self) -> Scale | None:
        """Return what turns raw values into K: of ``scale`` and ``offset`` where set, else of the preset; None: unknown."""
        return Scale(self.scale, self.offset) if self.scale else PRESETS[self.preset].scale


def resolve(settings: ThermalSettings, trained_with: ThermalPreprocessing, depth: np.dtype) -> ThermalSettings:
    """Return the normalisation that the settings stand for, given the model and the dtype of the camera's images.

    The model's own range of ``fixed`` is in raw units, as its training data had them, whatever the camera's scale is.

    Returns:
        Normalisation, ends and contrast limit only, never ``auto``, the ends of ``fixed`` in raw units. Resolved settings
        resolve to themselves.
    """
    if settings.normalisation != "auto":
        low, high, scale = settings.low, settings.high, settings.kelvin_scale()
        if settings.normalisation == "fixed" and scale is not None:
            low, high = scale.raw(low), scale.raw(high)
        return ThermalSettings(settings.normalisation, low, high, clahe_clip=settings.clahe_clip)
    if trained_with.method != "none":
        return ThermalSettings(trained_with.method, trained_with.low, trained_with.high)
    if depth == np.uint8:
        return ThermalSettings("none")
    return ThermalSettings("percentile", settings.low, settings.high)
