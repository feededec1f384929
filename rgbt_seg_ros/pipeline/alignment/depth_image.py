"""Depth images: what may be one, in metres, at the pixels that are asked for."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, Float32Array, FloatArray
from rgbt_seg_ros.pipeline.alignment.settings import AlignmentError

_NO_FRACTION = np.empty(0, np.uint16)

_METRES = {np.dtype(np.uint16): 0.001, np.dtype(np.float32): 1.0}


def check_depth(depth: AnyArray | None, size: tuple[int, int]) -> AnyArray:
    """Return a depth image of the right kind and size.

    Args:
        depth: (H, W) uint16 in mm or float32 in m (REP 118: 16UC1, 32FC1).
        size: (H, W) of the RGB camera's images.

    Raises:
        AlignmentError: It is missing, or of another dtype or size.
    """
    if depth is None:
        raise AlignmentError("depth image", "missing for this pair, and mode 'depth' needs one")
    if depth.ndim != 2 or depth.dtype not in _METRES:
        raise AlignmentError(
            "depth image", f"{depth.shape} of {depth.dtype}", "(H, W) of uint16 (16UC1, mm) or float32 (32FC1, m)"
        )
    if depth.shape != size:
        raise AlignmentError(
            "depth image",
            f"{depth.shape[0]}x{depth.shape[1]} (HxW)",
            f"{size[0]}x{size[1]}, registered to the RGB camera",
        )
    return depth


class DepthLookup:
    """Distances at given positions of a depth image, each from the nearest pixel: a mean over an edge is nowhere."""

    def __init__(self, positions: FloatArray, depth_size: tuple[int, int], missing: float) -> None:
        """Take (H, W, 2) positions x, y in pixels (NaN: nowhere), the depth image's (h, w), and a distance (m) for no depth."""
        height, width = depth_size
        nearest = np.rint(positions)
        off = (
            np.isnan(nearest).any(-1) | (nearest < 0).any(-1) | (nearest[..., 0] >= width) | (nearest[..., 1] >= height)
        )
        nearest[off] = -2
        self._whole: npt.NDArray[np.int16] | None = nearest.astype(np.int16)
        if positions.shape[:2] == depth_size:
            grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
            if np.array_equal(grid, self._whole):
                self._whole = None
        self._missing = missing

    def metres(self, depth: AnyArray) -> Float32Array:
        """Return (H, W) float32 in m; NaN where there is no depth (0, negative, NaN, infinite) and no stand-in."""
        raw = depth
        if self._whole is not None:
            raw = np.asarray(
                cv2.remap(depth, self._whole, _NO_FRACTION, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
            )
        metres = raw.astype(np.float32)
        scale = _METRES[depth.dtype]
        if scale != 1.0:
            metres *= np.float32(scale)
        # Ordered, so that NaN is replaced too.
        with np.errstate(invalid="ignore"):
            measured = (metres > 0) & (metres < np.inf)
        metres[~measured] = self._missing or np.nan
        return metres
