"""Thermal images into the pixels of the RGB image.

Mode ``none``: both cameras already see the same field of view (an aligned pair, or one that a driver has registered), so
only the sizes may differ. The other modes of the parameter group come behind the same settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

MODES = ("none",)


class AlignmentError(UserError):
    """An alignment setting that cannot be used."""


@dataclass(frozen=True)
class AlignmentSettings:
    """How the thermal image is brought into the RGB image's pixels.

    Attributes:
        mode: One of ``MODES``.
        calibration: Path of a calibration file; empty for none. Mode ``none`` reads no file and refuses one, since a
            calibration that is silently ignored looks like one that works.
    """

    mode: str = "none"
    calibration: str = ""

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist and a calibration nothing would read."""
        if self.mode not in MODES:
            raise AlignmentError(f"alignment.mode: '{self.mode}' is not one of {', '.join(MODES)}")
        if self.calibration:
            raise AlignmentError(
                f"alignment.calibration: mode '{self.mode}' reads no calibration file, but "
                f"'{self.calibration}' was given; leave it empty"
            )


def align(thermal: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resample a thermal image of the same field of view to ``size``.

    Args:
        thermal: (h, w) uint8.
        size: (H, W) of the result in pixels.

    Returns:
        (H, W) uint8; the same array, not a copy, where the size is already right.
    """
    return resize(thermal, size)


def resize(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resample (h, w) or (h, w, C) uint8 to (H, W): areas when shrinking, bilinear otherwise; no copy if equal."""
    if image.shape[:2] == size:
        return image
    shrinking = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=method), dtype=np.uint8)
