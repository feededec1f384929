"""Points of a depth image that is registered to the RGB camera."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array, IntArray
from rgbt_seg_ros.pipeline.alignment.depth_image import DepthLookup, check_depth
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, pixel_grid, rays

_BLEED = 2
"""px; a mask is trusted to follow the edge of a near thing to within this."""

_STEP = 0.3
"""m behind a near thing; surfaces that are seen at a slant have no such step between neighbouring pixels."""


class DepthPoints:
    """Where the pixels of an RGB image lie, given a depth image; the rays of the pixels are worked out once.

    >>> camera = CameraModel((2, 3), k=(100.0, 0, 1.0, 0, 100.0, 0.5, 0, 0, 1.0))
    >>> x, y, z = DepthPoints(camera, "raw").planes(np.full((2, 3), 2000, np.uint16))
    >>> x[0].tolist(), z[0].tolist()
    ([-0.019999999552965164, 0.0, 0.019999999552965164], [2.0, 2.0, 2.0])
    """

    def __init__(self, camera: CameraModel, depth_pixels: str, size: tuple[int, int] | None = None) -> None:
        """Prepare for the images of an RGB camera.

        Args:
            camera: The RGB camera.
            depth_pixels: Whose pixels a depth image has, as of ``Calibration.depth_pixels``: ``rectified`` or ``raw``.
            size: (H, W) that the RGB image is resized to, where masks are smaller than it; None: its own.

        Raises:
            CalibrationError: The intrinsics are not known.
        """
        self._size = camera.size
        size = size or camera.size
        seen = camera.scaled(size)
        self._focal = float(effective_matrix(seen)[0, 0])
        directions = rays(seen, pixel_grid(size))
        positions = (pixel_grid(size) + 0.5) * (camera.size[1] / size[1], camera.size[0] / size[0]) - 0.5
        if depth_pixels == "rectified" or camera.rectified:
            # Such a depth image holds distances along the axis of the rectified camera; the points are in the optical frame.
            turned = directions @ camera.rotation.T
            directions = directions / turned[..., 2:]
            if not camera.rectified:
                positions = (turned / turned[..., 2:]) @ camera.rectified_matrix.T[:, :2]
        self._lookup = DepthLookup(positions, camera.size, 0.0)
        self._rays = tuple(np.ascontiguousarray(directions[..., axis], dtype=np.float32) for axis in range(3))
        self._straight = bool((self._rays[2] == 1).all())

    def planes(
        self, depth: AnyArray, label: ByteArray | None = None
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Return x, y and z in the RGB camera's optical frame (x right, y down, z ahead), each (H, W) float32 in m.

        Args:
            depth: (h, w) of the RGB camera's size; uint16 in mm or float32 in m.
            label: (H, W) uint8, the label mask. Where it runs over the edge of a near thing onto what lies behind, there is no
                point, since the thing would seem to lie there. None: not asked.

        Returns:
            NaN where a pixel has no depth, or no ray.

        Raises:
            AlignmentError: The depth image is of another size or dtype.
        """
        metres = self._lookup.metres(check_depth(depth, self._size))
        if label is not None:
            metres.reshape(-1)[bled(metres, label, self._focal)] = np.nan
        x, y = self._rays[0] * metres, self._rays[1] * metres
        z = metres if self._straight else np.multiply(self._rays[2], metres, out=metres)
        return x, y, z


def bled(metres: Float32Array, label: ByteArray, focal: float) -> IntArray:
    """Return the flat indices of pixels that lie a step behind pixels of the same class within ``_BLEED`` pixels.

    Args:
        metres: (H, W) distances; NaN where there is none.
        label: (H, W) uint8 class ids.
        focal: Focal length, px.
    """
    near = np.asarray(cv2.patchNaNs(1 / metres, 0.0), np.float32)
    side = 2 * _BLEED + 1
    # The ground 1 m below a camera comes nearer by this within so many rows: one surface.
    slack = np.float32((_BLEED + 1) / focal)
    spread = np.asarray(cv2.dilate(near, np.ones((side, side), np.uint8)), np.float32)
    found, flat, classes = np.flatnonzero(spread - near > slack), near.reshape(-1), label.reshape(-1)
    row, column = np.divmod(found, near.shape[1])
    # Neighbours beyond the rim of the image would be on its other side.
    inner = (flat[found] > 0) & (np.minimum(row, column) >= _BLEED)
    inner &= (row < near.shape[0] - _BLEED) & (column < near.shape[1] - _BLEED)
    found = found[inner]
    least = np.maximum(flat[found] + slack, 1 / np.maximum(1 / flat[found] - _STEP, 1e-3))
    steep = spread.reshape(-1)[found] > least
    found, least = found[steep], least[steep]
    mine, behind = classes[found], np.zeros(len(found), np.bool_)
    for down, across in product(range(-_BLEED, _BLEED + 1), repeat=2):
        there = found + down * near.shape[1] + across
        behind |= (classes[there] == mine) & (flat[there] > least)
    return np.asarray(found[behind], np.int64)
