"""The temperature of what the pixels of an RGB image show."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.alignment.resample import OUTSIDE
from rgbt_seg_ros.pipeline.thermal.scales import Scale


def kelvin_image(
    thermal: AnyArray, scale: Scale, aligner: Aligner, size: tuple[int, int], depth: AnyArray | None = None
) -> Float32Array:
    """Return the temperatures of a thermal image in the pixels of the RGB image, each from the nearest thermal pixel.

    Args:
        thermal: (h, w) raw values, without cropped rows.
        scale: What they mean.
        aligner: What brings the thermal image into the RGB image's pixels.
        size: (H, W) of the RGB image.
        depth: (H, W) as of ``Aligner.align``; for mode ``depth`` only.

    Returns:
        (H, W) float32 in K; NaN where no thermal pixel sees the same point.

    Raises:
        UserError: The depth image is missing or of another size or dtype, or the calibration is still to come.
    """
    kelvin = thermal.astype(np.float32)
    kelvin *= np.float32(scale.factor)
    kelvin += np.float32(scale.offset)
    if aligner.calibration is None or aligner.mode == "none":
        return _nearest(kelvin, size)
    if aligner.mode == "depth":
        warp = aligner.warp(size)
        x, y, valid = warp.positions(depth)[:3]
        height, width = warp.source
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        x[~valid] = y[~valid] = OUTSIDE
        return _through(_nearest(kelvin, warp.source), x, y)
    table = aligner.table(size)
    return _through(_nearest(kelvin, table.source), table.whole, table.fraction)


class Thermometer:
    """Temperatures for a thread beside the one that segments: with an aligner of its own, whose tables nobody else evicts."""

    def __init__(self) -> None:
        self._own = lru_cache(maxsize=1)(lambda aligner: Aligner(aligner.calibration, aligner.settings))

    def image(
        self, thermal: AnyArray | None, scale: Scale, aligner: Aligner, size: tuple[int, int], depth: AnyArray | None
    ) -> Float32Array | None:
        """Return as ``kelvin_image``; None: there is no thermal image, or nothing that brings it into the RGB image's pixels.

        Args:
            thermal: As of ``kelvin_image``; None: missing.
            scale: What its values mean.
            aligner: That of the thread that segments.
            size: (H, W) of the RGB image.
            depth: As of ``kelvin_image``; None: missing.
        """
        if thermal is None or aligner.waiting_for or (aligner.mode == "depth" and depth is None):
            return None
        return kelvin_image(thermal, scale, self._own(aligner), size, depth)


def _nearest(kelvin: Float32Array, size: tuple[int, int]) -> Float32Array:
    if kelvin.shape == size:
        return kelvin
    return np.asarray(cv2.resize(kelvin, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def _through(kelvin: Float32Array, first: AnyArray, second: AnyArray) -> Float32Array:
    outside = float("nan")
    return np.asarray(
        cv2.remap(kelvin, first, second, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=outside),
        np.float32,
    )
