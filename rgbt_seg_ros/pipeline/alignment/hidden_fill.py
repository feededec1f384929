"""What the network is shown where something hides the scene from the thermal camera: more of what lies behind.

The masks are unlabeled there all the same; but a grey slit beside a person makes a network doubt the person.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, pixel_grid

_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""px of the result at which is looked, the nearest first; a wider gap keeps the grey that stands for no thermal."""

_STEPS_BACK = (1, 2, 3)
"""The other way, for what is left: the far rim of what hides, where sampling mixes."""


class HiddenFill:
    """Finds for each hidden pixel the visible one that continues it: away from what hides it, along the parallax.

    What hides a point lies, in the RGB image, towards where the thermal camera is from it: at p + s·(t_xy − p·t_z), s > 0, with
    t the thermal camera's place and p the pixel in normalised coordinates. Behind it the scene goes on the other way.
    """

    def __init__(self, rgb: CameraModel, place: FloatArray) -> None:
        """Prepare for images of a camera.

        Args:
            rgb: The RGB camera, of the result's size.
            place: (3,) of the thermal camera, m, in the frame of the RGB images (the rectified one, where they are).
        """
        matrix = effective_matrix(rgb)
        focal = np.diag(matrix)[:2]
        pixels = (pixel_grid(rgb.size) - matrix[:2, 2]) / focal
        towards = (place[:2] - pixels * place[2]) * focal
        towards /= np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-9)
        self._away = (-towards).astype(np.float32).reshape(-1, 2)
        self._size = rgb.size

    def apply(
        self,
        image: ByteArray,
        hidden: npt.NDArray[np.bool_],
        valid: npt.NDArray[np.bool_],
        near: Float32Array,
        nearer: float,
    ) -> None:
        """Fill hidden pixels of an image, in place.

        Args:
            image: (H, W) uint8.
            hidden: (H, W) bool, what is to be filled.
            valid: (H, W) bool, what may be taken.
            near: (H, W) float32, 1/m; nothing is taken that is nearer than a pixel by ``nearer``.
            nearer: 1/m.
        """
        height, width = self._size
        waiting: AnyArray = np.flatnonzero(hidden)
        pixels, usable, depths = image.ravel(), valid.ravel(), near.ravel()
        for step in (*_STEPS, *(-step for step in _STEPS_BACK)):
            if not waiting.size:
                return
            move = np.rint(self._away[waiting] * np.float32(step)).astype(np.int32)
            row, column = np.divmod(waiting, width)
            row, column = row + move[:, 1], column + move[:, 0]
            within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            source = np.where(within, row * width + column, 0)
            found = within & usable[source] & (depths[source] - depths[waiting] <= nearer)
            pixels[waiting[found]] = pixels[source[found]]
            waiting = waiting[~found]
