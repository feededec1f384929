"""Images to another size, and through a table of positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, FloatArray

OUTSIDE = -16.0
"""Position of a pixel that sees no thermal pixel: far enough that no interpolation reaches the image."""

_SLACK = 1e-3
"""px; positions are this exact at best."""


def resize(image: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Resample (h, w) or (h, w, C) uint8 to (H, W): areas when shrinking, bilinear otherwise; no copy if equal."""
    if image.shape[:2] == size:
        return image
    shrinking = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=method), dtype=np.uint8)


def resize_mask(valid: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Resample a (h, w) mask to (H, W), each pixel from the nearest; no copy if equal."""
    if valid.shape == size:
        return valid
    grey = cv2.resize(valid.view(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(grey, dtype=np.uint8).view(np.bool_)


def working_size(thermal: tuple[int, int], step: float) -> tuple[int, int]:
    """Return the size (h, w) that a thermal image is shrunk to before it is sampled every ``step`` pixels.

    Sampling bilinearly at steps of two pixels and more would skip pixels, and alias.
    """
    factor = max(1, int(step)) if np.isfinite(step) else 1
    return max(1, thermal[0] // factor), max(1, thermal[1] // factor)


def inside(
    x: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.floating[Any]], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return where positions lie on a pixel of an image of (h, w); NaN does not."""
    height, width = size
    low = -0.5 - _SLACK
    # Ordered comparisons, so that NaN is false.
    with np.errstate(invalid="ignore"):
        return np.asarray((x >= low) & (x <= width + low + 2 * _SLACK) & (y >= low) & (y <= height + low + 2 * _SLACK))


@dataclass(frozen=True)
class Table:
    """Where in the thermal image each pixel of the result lies; built once, applied to every frame.

    Attributes:
        whole: (H, W, 2) int16, and ``fraction`` (H, W) uint16: cv2.remap's fixed-point maps, steps of 1/32 pixel.
        fraction: See ``whole``.
        valid: (H, W) bool, false where no thermal pixel falls; None: true everywhere.
        source: (h, w) that the thermal image is resized to first.
    """

    whole: npt.NDArray[np.int16]
    fraction: npt.NDArray[np.uint16]
    valid: npt.NDArray[np.bool_] | None
    source: tuple[int, int]
    _valid_at: dict[tuple[int, int], npt.NDArray[np.bool_]] = field(default_factory=dict, init=False, compare=False)

    @classmethod
    def of(cls, positions: FloatArray, source: tuple[int, int]) -> Table:
        """Build a table of (H, W, 2) positions x, y in pixels of a thermal image of (h, w); NaN: nowhere."""
        x, y = positions[..., 0], positions[..., 1]
        valid = inside(x, y, source)
        # The outer half of the outermost pixels is theirs alone: nothing is mixed in from beyond.
        x = np.where(valid, np.clip(x, 0, source[1] - 1), OUTSIDE).astype(np.float32)
        y = np.where(valid, np.clip(y, 0, source[0] - 1), OUTSIDE).astype(np.float32)
        whole, fraction = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return cls(
            np.asarray(whole, dtype=np.int16),
            np.asarray(fraction, dtype=np.uint16),
            None if valid.all() else valid,
            source,
        )

    def valid_at(self, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return ``valid`` resampled to (H, W) as by ``resize_mask``; kept for the size asked for last, so not to be changed."""
        if self.valid is None:
            return None
        found = self._valid_at.get(size)
        if found is None:
            found = resize_mask(self.valid, size)
            self._valid_at.clear()
            self._valid_at[size] = found
        return found

    def apply(self, thermal: ByteArray, fill: int) -> ByteArray:
        """Resample a thermal image bilinearly; ``fill`` where no thermal pixel falls. Returns (H, W) uint8."""
        source = resize(thermal, self.source)
        return np.asarray(
            cv2.remap(
                source,
                self.whole,
                self.fraction,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=float(fill),
            ),
            dtype=np.uint8,
        )
