"""Raw thermal values to the 8-bit band that the network was trained on."""

from __future__ import annotations

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array
from rgbt_seg_ros.pipeline.thermal.bounds import Bounds, bounds_of, with_contrast
from rgbt_seg_ros.pipeline.thermal.scales import ThermalError
from rgbt_seg_ros.pipeline.thermal.settings import ThermalSettings

_CLAHE_TILES = (8, 8)


def check_image(thermal: AnyArray) -> None:
    """Refuse an array that is not a thermal image.

    Raises:
        ThermalError: Not (H, W) of uint8, uint16 or float32.
    """
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
        raise ThermalError("thermal image", f"{thermal.shape} of {thermal.dtype}", "(H, W) of uint8, uint16 or float32")


def normalise(thermal: AnyArray, settings: ThermalSettings) -> ByteArray:
    """Stretch a thermal image to 8 bits, by what is in it alone.

    Args:
        thermal: (H, W), uint8, uint16 or float32; any monotone unit (counts, Kelvin). NaN and infinities of float images
            come out as 0 (and +inf as 255).
        settings: A resolved setting (not ``auto``). ``none`` wants uint8 and returns the same array, not a copy.

    Returns:
        (H, W) uint8. A flat image, which has no contrast to show, comes out as 0.

    Raises:
        ThermalError: Another shape or dtype, or ``none`` for an image that is not uint8.
    """
    check_image(thermal)
    if settings.normalisation == "auto":
        raise ThermalError("normalisation", "'auto' has to be resolved for a model first")
    if settings.normalisation == "none":
        return as_picture(thermal)
    return render(thermal, settings, with_contrast(thermal, bounds_of(thermal, settings)))


def as_picture(thermal: AnyArray) -> ByteArray:
    """Return an image that is an 8-bit picture already: the same array.

    Raises:
        ThermalError: It is not.
    """
    if thermal.dtype != np.uint8:
        raise ThermalError(
            "normalisation", f"'none' takes 8-bit images only, not {thermal.dtype}", "percentile or fixed"
        )
    return thermal.view(np.uint8)


def render(thermal: AnyArray, settings: ThermalSettings, bounds: Bounds) -> ByteArray:
    """Stretch an image between given bounds, and equalise it where the settings ask for ``clahe``."""
    picture = stretch(thermal, bounds)
    if settings.normalisation != "clahe":
        return picture
    return np.asarray(cv2.createCLAHE(settings.clahe_clip, _CLAHE_TILES).apply(picture), dtype=np.uint8)


def stretch(thermal: AnyArray, bounds: Bounds) -> ByteArray:
    """Return round(255·(v − low)/(high − low)), cut at 0 and 255, as (H, W) uint8; zeros where high is not above low."""
    low, high = bounds
    if not high > low:
        return np.zeros(thermal.shape, np.uint8)
    scale = 255.0 / (high - low)
    if thermal.dtype == np.float32:
        finite = np.isfinite(thermal).all()
        values = thermal if finite else np.nan_to_num(thermal, nan=low, posinf=high, neginf=low)
        return _to_grey(values - np.float32(low), scale)
    # A table of all values is exact, and its lookup is one pass over the image.
    table = _to_grey(np.arange(256 if thermal.dtype == np.uint8 else 65536, dtype=np.float32) - np.float32(low), scale)
    if thermal.dtype == np.uint8:
        return np.asarray(cv2.LUT(thermal, table), dtype=np.uint8)
    # Every index is in the table: the mode only saves the check, which takes as long as the lookup.
    return np.take(table, thermal, mode="wrap")


def _to_grey(above_low: Float32Array, scale: float) -> ByteArray:
    """Scale, round half to even and cut in place."""
    above_low *= np.float32(scale)
    np.rint(above_low, out=above_low)
    np.clip(above_low, 0, 255, out=above_low)
    return above_low.astype(np.uint8)
