"""Any point cloud painted with a mask: each point takes what the RGB camera's pixel that sees it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array, FloatArray, IntArray
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import distort, effective_matrix, rays, widest_slope
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.points.fields import Painted
from rgbt_seg_ros.pipeline.points.hidden import hidden


@dataclass(frozen=True)
class Paint:
    """What the pixels of an RGB image give to the points that they see; all (H, W).

    Attributes:
        label: uint8 class ids.
        confidence: uint8.
        rgb: uint32, 0x00RRGGBB.
        temperature: float32 in K, NaN where it is not known; None: the scale is not known.
    """

    label: ByteArray
    confidence: ByteArray
    rgb: AnyArray
    temperature: Float32Array | None = None


@dataclass(frozen=True)
class Seen:
    """The points of a cloud that a camera sees, and the pixels that see them.

    Attributes:
        points: (M,) indices of the points, in rising order.
        pixels: (M,) indices of their pixels in the flattened image.
    """

    points: IntArray
    pixels: IntArray


class PointProjector:
    """Points of a cloud to the pixels of an RGB camera, for cloud after cloud."""

    def __init__(self, camera: CameraModel) -> None:
        """Take the camera.

        Raises:
            CalibrationError: The intrinsics are not known.
        """
        self._camera = camera
        self._matrix = effective_matrix(camera)
        rim = rays(camera, _rim(camera.size))
        slopes = np.hypot(rim[:, 0], rim[:, 1])
        # No ray beyond the rim needs to be worked out, and beyond the widest one a lens folds back.
        farthest = widest_slope(camera) if np.isnan(slopes).any() else min(widest_slope(camera), 1.01 * slopes.max())
        self._widest = np.float32(farthest**2)

    def see(
        self, x: AnyArray, y: AnyArray, z: AnyArray, transform: FloatArray, label: ByteArray, *, occlusion: bool = True
    ) -> Seen:
        """Return which points the camera sees, each with its pixel.

        Args:
            x: (N,) float32 or float64, m, in the frame of the cloud; NaN and infinite ones are never seen.
            y: As ``x``.
            z: As ``x``.
            transform: (4, 4), from the frame of the cloud into the RGB camera's optical frame.
            label: (H, W) uint8, the label mask, of the camera's size.
            occlusion: Whether points that something hides are left out.
        """
        rotation, move = transform[:3, :3], transform[:3, 3]
        if self._camera.rectified:
            rotation, move = self._camera.rotation @ rotation, self._camera.rotation @ move
        turned = (_row(rotation[axis], move[axis], (x, y, z)) for axis in (2, 0, 1))
        ahead = next(turned)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            near = np.float32(1) / ahead
            across, down = next(turned) * near, next(turned) * near
            inside = (ahead > 0) & (across * across + down * down <= self._widest)
        points = np.flatnonzero(inside)
        across, down, near = across[points], down[points], near[points]
        if not self._camera.rectified:
            across, down = distort(self._camera, across, down)
        matrix, (height, width) = self._matrix.astype(np.float32), self._camera.size
        across = across * matrix[0, 0] + (matrix[0, 2] + np.float32(0.5))
        down = down * matrix[1, 1] + (matrix[1, 2] + np.float32(0.5))
        falls = np.flatnonzero((across >= 0) & (across < width) & (down >= 0) & (down < height))
        points, near = points[falls], near[falls]
        column, row = across[falls].astype(np.int32), down[falls].astype(np.int32)
        pixels = row * width + column
        if occlusion:
            focal = float(self._matrix[0, 0])
            free = np.flatnonzero(~hidden(column, row, near, label.reshape(-1)[pixels], self._camera.size, focal))
            points, pixels = points[free], pixels[free]
        return Seen(points.astype(np.int64), pixels.astype(np.int64))


def _rim(size: tuple[int, int]) -> FloatArray:
    """Return (K, 2) positions all around an image of (H, W), at the outer edge of its pixels."""
    x, y = np.linspace(-0.5, size[1] - 0.5, 65), np.linspace(-0.5, size[0] - 0.5, 65)
    sides = [np.stack((x, np.full_like(x, end)), 1) for end in (y[0], y[-1])]
    return np.concatenate(sides + [np.stack((np.full_like(y, end), y), 1) for end in (x[0], x[-1])])


def _row(rotation: FloatArray, move: float, points: tuple[AnyArray, ...]) -> Float32Array:
    """Return one coordinate of points that are turned and moved, (N,) float32."""
    total = points[0] * points[0].dtype.type(rotation[0])
    for weight, values in zip(rotation[1:], points[1:], strict=True):
        total += values * values.dtype.type(weight)
    total += total.dtype.type(move)
    return np.asarray(total, np.float32)


class PaintedPoints:
    """The points of one cloud while camera pair after camera pair paints what no earlier one has seen."""

    def __init__(self, count: int, temperature: bool) -> None:
        """Begin with ``count`` points that nobody has seen; ``temperature``: whether a thermal scale is known."""
        self._label = np.full(count, UNLABELED, np.uint8)
        self._confidence = np.zeros(count, np.uint8)
        self._rgb = np.zeros(count, np.uint32)
        self._temperature = np.full(count, np.nan, np.float32) if temperature else None
        self.seen: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)
        """(N,), which points a camera has seen."""

    def add(self, seen: Seen, paint: Paint) -> None:
        """Paint the points that were seen, except for those that are painted already."""
        points, pixels = seen.points, seen.pixels
        if self.seen.any():
            fresh = ~self.seen[points]
            points, pixels = points[fresh], pixels[fresh]
        self.seen[points] = True
        self._label[points] = paint.label.reshape(-1)[pixels]
        self._confidence[points] = paint.confidence.reshape(-1)[pixels]
        self._rgb[points] = paint.rgb.reshape(-1)[pixels]
        if self._temperature is not None and paint.temperature is not None:
            self._temperature[points] = paint.temperature.reshape(-1)[pixels]

    @property
    def painted(self) -> Painted:
        """What the points carry now."""
        return Painted(self._label, self._confidence, self._rgb, self._temperature)
