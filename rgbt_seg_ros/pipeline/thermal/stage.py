"""Thermal images of any camera to the 8-bit picture that the network was trained on: the stage of the pipeline.

A thermal camera delivers raw counts (14 or 16 bit), floats, or a picture its own gain control has already stretched to
8 bits. The published networks were trained on such 8-bit pictures, so deeper data is stretched here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal.bounds import (
    Bounds,
    SmoothedBounds,
    bounds_of,
    percentiles,
    sample,
    with_contrast,
)
from rgbt_seg_ros.pipeline.thermal.normalise import as_picture, check_image, normalise, render
from rgbt_seg_ros.pipeline.thermal.repair import fill, find_dead, non_finite, replace_dead
from rgbt_seg_ros.pipeline.thermal.scales import PRESETS, Preset, Scale, ThermalError, ceiling_of, check_dtype
from rgbt_seg_ros.pipeline.thermal.settings import METHODS, REPAIRS, ThermalSettings, resolve

__all__ = [
    "METHODS",
    "PRESETS",
    "REPAIRS",
    "Preset",
    "Scale",
    "ThermalError",
    "ThermalFrame",
    "ThermalInput",
    "ThermalSettings",
    "crop",
    "normalise",
    "resolve",
]

SCENE_PERCENTS = (1.0, 99.0)
"""Percentiles whose temperatures are a scene's range."""


@dataclass(frozen=True)
class ThermalFrame:
    """One thermal image as the network takes it, and what was found in it.

    Attributes:
        image: (h, w) uint8, without the cropped rows; the camera's own memory where nothing had to change.
        method: The normalisation that ``auto`` stood for.
        bounds: Raw values that became 0 and 255, smoothed where that is on; None with method ``none``.
        non_finite: Pixels that were NaN or infinite.
        dead: Pixels that were found dead; 0 where the settings do not look for them.
        saturated: Pixels at the upper end of what the format can hold, before any repair.
        temperature: K, the 1st and 99th percentile of the scene; None where the scale is unknown.
    """

    image: ByteArray
    method: str
    bounds: Bounds | None
    non_finite: int
    dead: int
    saturated: int
    temperature: tuple[float, float] | None


class ThermalInput:
    """The stage of one thermal camera: crop, counts, repair, normalisation. Holds the smoothed bounds and nothing else.

    Not for several threads at once. With ``smoothing`` 0 every frame comes out the same, whatever came before it.
    """

    def __init__(self, settings: ThermalSettings, trained_with: ThermalPreprocessing) -> None:
        """Take the settings, and what the model's training data was made with."""
        self._settings = settings
        self._trained_with = trained_with
        self._smoothed = SmoothedBounds(settings.smoothing) if settings.smoothing else None

    def tune(self, settings: ThermalSettings) -> None:
        """Take other settings from the next frame on; nothing smoothed is carried over. From any thread."""
        # One assignment each: a frame in hand sees the settings before or those after, and either fits what is smoothed.
        self._smoothed = SmoothedBounds(settings.smoothing) if settings.smoothing else None
        self._settings = settings

    def reset(self) -> None:
        """Forget the frames so far, as after a change of camera or a jump in time."""
        if self._smoothed is not None:
            self._smoothed.reset()

    def __call__(self, thermal: AnyArray, stamp: int | None = None) -> ThermalFrame:
        """Take one image.

        Args:
            thermal: (H, W) uint8, uint16 or float32 in native byte order, as the camera delivers it. Not changed.
            stamp: Of the image, ns; what smoothing goes by. None: the frame is of no sequence and leaves no trace.

        Raises:
            ThermalError: Another shape or dtype, one that cannot hold the preset's format, more rows to crop than there are,
                or ``none`` for an image that is not uint8.
        """
        check_image(thermal)
        settings, smoothed = self._settings, self._smoothed
        if not settings.scale:
            check_dtype(settings.preset, thermal.dtype)
        raw = crop(thermal, settings.crop_top, settings.crop_bottom)
        saturated = _count_from(raw, ceiling_of(settings.preset, raw.dtype))
        raw, lost, dead = _repair(raw, settings.repair)
        resolved = resolve(settings, self._trained_with, raw.dtype)
        bounds = None if resolved.normalisation == "none" else bounds_of(raw, resolved)
        temperature = self._temperature(raw, resolved, bounds)
        if bounds is None:
            image = as_picture(raw)
        else:
            bounds = with_contrast(raw, bounds)
            if resolved.normalisation != "fixed" and smoothed is not None and stamp is not None:
                bounds = smoothed.update(stamp, bounds)
            image = render(raw, resolved, bounds)
        return ThermalFrame(image, resolved.normalisation, bounds, lost, dead, saturated, temperature)

    def _temperature(
        self, raw: AnyArray, resolved: ThermalSettings, bounds: Bounds | None
    ) -> tuple[float, float] | None:
        scale = self._settings.kelvin_scale()
        if scale is None:
            return None
        by_percent = resolved.normalisation in ("percentile", "clahe")
        if (
            bounds is not None
            and by_percent
            and (resolved.low, resolved.high) == SCENE_PERCENTS
            and bounds[1] > bounds[0]
        ):
            low, high = bounds  # the same percentiles: no second sort
        else:
            values = sample(raw)
            if not values.size:
                return None
            low, high = percentiles(values, SCENE_PERCENTS)
        return scale.kelvin(low), scale.kelvin(high)


def crop(thermal: AnyArray, top: int, bottom: int) -> AnyArray:
    """Return a view without the given numbers of rows.

    Raises:
        ThermalError: No row would be left.
    """
    height = len(thermal)
    if top + bottom >= height:
        raise ThermalError(
            "crop_top", f"{top} rows, and {bottom} of crop_bottom, leave none of the {height} rows of the image"
        )
    return thermal[top : height - bottom]


def _count_from(raw: AnyArray, ceiling: float | None) -> int:
    if ceiling is None or not raw.size:
        return 0
    if raw.dtype.kind == "f":
        return int(np.count_nonzero((raw >= ceiling) & np.isfinite(raw)))
    # Most frames have none, and a maximum costs less than a count.
    return int(np.count_nonzero(raw >= raw.dtype.type(ceiling))) if raw.max() >= ceiling else 0


def _repair(raw: AnyArray, repair: str) -> tuple[AnyArray, int, int]:
    """Return the repaired image (the same where nothing is to repair), and the counts of non-finite and dead pixels."""
    holes = non_finite(raw)
    lost = 0 if holes is None else int(np.count_nonzero(holes))
    if holes is not None and repair != "none":
        raw = fill(raw, holes)
    if repair != "dead":
        return raw, lost, 0
    dead = find_dead(raw)
    count = len(dead[0])
    return (replace_dead(raw, dead) if count else raw), lost, count
