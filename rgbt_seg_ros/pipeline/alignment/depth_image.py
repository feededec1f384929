"""Depth images: what may be one, in metres, at the pixels that are asked for."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.alignment.settings import AlignmentError

_NO_FRACTION = np.empty(0, np.uint16)

_METRES = {np.dtype(np.uint16): 0.001, np.dtype(np.float32): 1.0}


def check_depth(depth: npt.NDArray[Any] | None, size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return a depth image that is one.

    Args:
        depth: (H, W) uint16 in mm or float32 in m (REP 118: 16UC1, 32FC1).
        size: (H, W) of the RGB camera's images.

    Raises:
        AlignmentError: There is none, or of another dtype or size.
    """
    if depth is None:
        raise AlignmentError("depth image: none came with this pair, and alignment.mode 'depth' needs one")
    if depth.ndim != 2 or depth.dtype not in _METRES:
        raise AlignmentError(
            f"depth image: expected (H, W) of uint16 (16UC1, mm) or float32 (32FC1, m), not {depth.shape} of {depth.dtype}"
        )
    if depth.shape != size:
        raise AlignmentError(
            f"depth image: {depth.shape[1]}x{depth.shape[0]}, expected {size[1]}x{size[0]} (width x height), "
            "registered to the RGB camera"
        )
    return depth


class DepthLookup:
    """Distances at given positions of a depth image, each from the nearest pixel: a mean over an edge is nowhere."""

    def __init__(self, positions: npt.NDArray[np.float64], depth_size: tuple[int, int], missing: float) -> None:
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

    def metres(self, depth: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
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
