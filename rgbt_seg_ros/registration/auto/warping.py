"""The pairs at one resolution: RGB as it is, the thermal image laid over it as a model says; both as orientation channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.registration.auto.models import Model, Size
from rgbt_seg_ros.registration.image_pairs import ImagePair
from rgbt_seg_ros.registration.orientation import Channels, lightness, orientation_channels, seen


@dataclass(frozen=True)
class Prepared:
    """One pair, on scales fit for finding edges.

    Attributes:
        rgb: (H, W) float32.
        thermal: (h, w) float32.
        seen: (h, w) uint8, 0 in the black rim of the thermal image.
    """

    rgb: Float32Array
    thermal: Float32Array
    seen: ByteArray


def prepare(pairs: Sequence[ImagePair], size: Size) -> list[Prepared]:
    """Return the pairs with RGB resized to (height, width)."""
    return [
        Prepared(_resized(lightness(pair.rgb), size), lightness(pair.thermal), seen(pair.thermal)) for pair in pairs
    ]


def level_size(size: Size, shrink: int) -> Size:
    """Return (height, width) of an image at a resolution ``shrink`` times lower."""
    return max(1, size[0] // shrink), max(1, size[1] // shrink)


def rgb_channels(pair: Prepared, size: Size) -> Channels:
    """Return the channels (5, H, W) of the RGB image at a size."""
    return orientation_channels(_resized(pair.rgb, size))


def warped(pair: Prepared, positions: FloatArray) -> tuple[Float32Array, ByteArray]:
    """Return the thermal image and what is seen of it, at (H, W, 2) thermal positions."""
    height, width = pair.thermal.shape
    step = _step(positions)
    small = (max(1, round(height / step)), max(1, round(width / step))) if step > 1 else (height, width)
    image, visible = _resized(pair.thermal, small), pair.seen
    if small != (height, width):
        # Every second pixel of a sharp image shows patterns that are not there.
        visible = np.asarray(cv2.resize(pair.seen, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    ratio = np.array((small[1] / width, small[0] / height))
    places = np.nan_to_num((positions + 0.5) * ratio - 0.5, nan=-1e4).clip(-1e4, 3e4).astype(np.float32)
    moved = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.remap(visible, places[..., 0], places[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(moved, np.float32), np.asarray(inside, np.uint8)


def thermal_channels(pair: Prepared, model: Model, size: Size) -> Channels:
    """Return the channels (5, H, W) of the thermal image, laid over the RGB image at a size."""
    return orientation_channels(*warped(pair, model.positions(size)))


def _step(positions: FloatArray) -> float:
    """Return how many thermal pixels lie between two of the result, in its middle."""
    row, column = positions.shape[0] // 2, positions.shape[1] // 2
    step = np.linalg.norm(positions[row, min(column + 1, positions.shape[1] - 1)] - positions[row, column])
    return float(step) if np.isfinite(step) else 1.0


def _resized(image: Float32Array, size: Size) -> Float32Array:
    if image.shape == size:
        return image
    smaller = size[0] < image.shape[0]
    return np.asarray(
        cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.float32
    )
