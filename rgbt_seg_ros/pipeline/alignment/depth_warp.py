"""Mode depth: each RGB pixel to the thermal pixel that sees the same point, by its distance, unless something hides it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array
from rgbt_seg_ros.pipeline.alignment.depth_image import DepthLookup, check_depth
from rgbt_seg_ros.pipeline.alignment.hidden_fill import HiddenFill
from rgbt_seg_ros.pipeline.alignment.resample import OUTSIDE, inside, resize, working_size
from rgbt_seg_ros.pipeline.alignment.tables import sampling_step
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.projection import distort, effective_matrix, pixel_grid, rays, widest_slope
from rgbt_seg_ros.pipeline.calibration.transforms import inverse

_CELL = 1.5
"""Side of a cell of the z-buffer in steps between samples: below 1 a near surface would have holes."""

_PARALLAX = 1.5
"""px of the result. What is nearer by less parallax than this hides nothing: the two are neighbours on one surface."""

_KERNEL = np.ones((3, 3), np.uint8)


class Located(NamedTuple):
    """Where the pixels of the result lie in the thermal image; all (H, W).

    Attributes:
        x: float32, column in pixels of the thermal image.
        y: float32, row.
        valid: bool, whether the thermal camera sees the same point.
        near: float32, 1/m, inverse distance along the thermal camera's axis.
        hidden: bool, whether something nearer is in the way.
    """

    x: Float32Array
    y: Float32Array
    valid: npt.NDArray[np.bool_]
    near: Float32Array
    hidden: npt.NDArray[np.bool_]


class DepthWarp:
    """The mode's part that does not change from frame to frame: rays, rotation, lens, cells of the z-buffer."""

    def __init__(self, calibration: Calibration, size: tuple[int, int], missing: float) -> None:
        """Prepare for an RGB image resized to (H, W).

        Args:
            calibration: Both cameras and the extrinsic.
            size: (H, W) of the result.
            missing: m, stands in for no depth; 0: such pixels are not valid.

        Raises:
            CalibrationError: An intrinsic or the extrinsic is missing.
        """
        rgb = calibration.rgb.scaled(size)
        step = sampling_step(calibration, size)
        self.source = working_size(calibration.thermal.size, step)
        self._thermal = calibration.thermal.scaled(self.source)
        self._depth_size = calibration.rgb.size
        directions = rays(rgb, pixel_grid(size))
        turn = np.eye(3)
        positions = pixel_grid(size)
        sy, sx = self._depth_size[0] / size[0], self._depth_size[1] / size[1]
        positions = (positions + 0.5) * (sx, sy) - 0.5
        if calibration.depth_pixels == "rectified" or calibration.rgb.rectified:
            # A depth image of rectified pixels holds distances along the rectified camera's axis.
            turn = rgb.rotation
            directions = directions @ turn.T
            directions = directions / directions[..., 2:]
            if not rgb.rectified:
                matrix = calibration.rgb.rectified_matrix
                positions = directions @ matrix.T[:, :2]
        self._lookup = DepthLookup(positions, self._depth_size, missing)
        transform = inverse(calibration.extrinsic)
        rotation, move = transform[:3, :3] @ turn.T, transform[:3, 3]
        if self._thermal.rectified:
            rotation, move = self._thermal.rotation @ rotation, self._thermal.rotation @ move
        # A point at distance z of a pixel lies at z·slopes + move in the thermal camera's frame.
        turned = (directions @ rotation.T).astype(np.float32)
        self._slopes = tuple(np.ascontiguousarray(turned[..., axis]) for axis in range(3))
        self._move = tuple(np.float32(value) for value in move)
        matrix = effective_matrix(self._thermal)
        self._focal = np.float32(matrix[0, 0]), np.float32(matrix[1, 1])
        self._centre = np.float32(matrix[0, 2]), np.float32(matrix[1, 2])
        self._widest = np.float32(widest_slope(self._thermal) ** 2)
        self._cell = np.float32(
            max(1.0, _CELL * sampling_step(calibration, size) * self.source[1] / calibration.thermal.size[1])
        )
        baseline = float(np.linalg.norm(move))
        focal = float(effective_matrix(rgb)[0, 0])
        self._nearer = np.float32(_PARALLAX / (focal * baseline)) if baseline > 1e-6 else None
        place = calibration.extrinsic[:3, 3]
        self._behind = HiddenFill(rgb, rgb.rotation @ place if rgb.rectified else place)

    def positions(self, depth: AnyArray | None) -> Located:
        """Return where each pixel lies in the thermal image of ``source``.

        Args:
            depth: (H, W) of the RGB camera's size; uint16 in mm or float32 in m.

        Raises:
            AlignmentError: The depth image is missing, or of another size or dtype.
        """
        metres = self._lookup.metres(check_depth(depth, self._depth_size))
        x = self._slopes[0] * metres + self._move[0]
        y = self._slopes[1] * metres + self._move[1]
        z = self._slopes[2] * metres + self._move[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.divide(np.float32(1), z, out=z)
            x *= near
            y *= near
            valid = (near > 0) & (near < np.inf)
            if self._thermal.has_distortion and not self._thermal.rectified:
                valid &= x * x + y * y <= self._widest
                x, y = distort(self._thermal, x, y)
            x = x * self._focal[0] + self._centre[0]
            y = y * self._focal[1] + self._centre[1]
        valid &= inside(x, y, self.source)
        if self._nearer is None:
            return Located(x, y, valid, near, np.zeros_like(valid))
        hidden = self._hidden(x, y, near, valid, self._nearer)
        return Located(x, y, valid & ~hidden, near, hidden)

    def _hidden(
        self, x: Float32Array, y: Float32Array, near: Float32Array, valid: npt.NDArray[np.bool_], nearer: np.float32
    ) -> npt.NDArray[np.bool_]:
        """Return which points lie behind one that is nearer by ``nearer`` (1/m): a z-buffer of inverse distances."""
        rows, columns = (int(np.ceil(side / self._cell)) + 2 for side in self.source)
        # Whatever is not in the image goes to the last cell, where nobody looks.
        with np.errstate(invalid="ignore"):
            column = ((x + np.float32(0.5)) / self._cell).astype(np.int32)
            row = ((y + np.float32(0.5)) / self._cell).astype(np.int32)
        cell = np.where(valid, row * columns + column, rows * columns - 1).ravel()
        nearest = np.zeros(rows * columns, np.float32)
        np.maximum.at(nearest, cell, np.where(valid, near, np.float32(0)).ravel())
        # One cell wider: there bilinear sampling mixes the nearer thing into what is beside it.
        spread = cv2.dilate(nearest.reshape(rows, columns), _KERNEL).ravel()
        with np.errstate(invalid="ignore"):
            return np.asarray((spread[cell] - near.ravel() > nearer).reshape(near.shape) & valid)

    def apply(self, thermal: ByteArray, depth: AnyArray | None, fill: int) -> tuple[ByteArray, npt.NDArray[np.bool_]]:
        """Resample a thermal image bilinearly.

        Args:
            thermal: (h, w) uint8.
            depth: As for ``positions``.
            fill: Grey level of what is outside the thermal image, or has no depth.

        Returns:
            (H, W) uint8, in which what is hidden continues what lies behind, and (H, W) bool valid.

        Raises:
            AlignmentError: The depth image is missing, or of another size or dtype.
        """
        x, y, valid, near, hidden = self.positions(depth)
        height, width = self.source
        # Not np.where: it would read each image once more than this.
        x, y = np.clip(x, 0, width - 1, out=x), np.clip(y, 0, height - 1, out=y)
        # Both: a position that is not a number is anywhere.
        x[~valid] = y[~valid] = OUTSIDE
        source = resize(thermal, self.source)
        border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": float(fill)}
        image = np.asarray(cv2.remap(source, x, y, cv2.INTER_LINEAR, **border), dtype=np.uint8)  # type: ignore[call-overload]
        if self._nearer is not None:
            self._behind.apply(image, hidden, valid, near, float(self._nearer))
        return image, valid
