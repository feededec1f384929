"""One camera as sensor_msgs/CameraInfo describes it: intrinsics, distortion, rectification, size, names.

Pixels are counted as OpenCV and ROS do: (0, 0) is the middle of the top left pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

FloatArray = npt.NDArray[np.float64]

DISTORTION_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
"""Distortion model → how many coefficients D may have (sensor_msgs/distortion_models.hpp, ROS 2 image_pipeline)."""

LARGEST = 16384
"""Pixels along a side of an image; cv2.remap takes coordinates of 16 bits."""

_UNIT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_TOLERANCE = 1e-4
"""Of R·Rᵀ from the unit matrix: files hold rotations with a few decimals."""


class CalibrationError(UserError):
    """A calibration that cannot be used; the sentence names the file and the key."""


def check_rotation(matrix: FloatArray, key: str) -> None:
    """Refuse a (3, 3) matrix that is no rotation.

    Raises:
        CalibrationError: It is not orthonormal, or a reflection (determinant -1).
    """
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=_TOLERANCE):
        raise CalibrationError(f"{key}: no rotation, its rows are not orthonormal")
    if np.linalg.det(matrix) < 0:
        raise CalibrationError(f"{key}: a reflection (determinant -1), a rotation was expected")


@dataclass(frozen=True)
class CameraModel:
    """A camera.

    Attributes:
        size: (height, width) in pixels of the images that the intrinsics belong to.
        k: Intrinsic matrix K of the raw image, row by row: fx 0 cx, 0 fy cy, 0 0 1 in pixels; None: not known, which the
            modes ``none`` and ``homography`` do not mind.
        distortion_model: A key of ``DISTORTION_MODELS``.
        d: Its coefficients: k1 k2 p1 p2 [k3], k1 k2 p1 p2 k3 k4 k5 k6, or k1 k2 k3 k4; empty: no distortion.
        r: Rectification R, row by row: turns points of the camera's optical frame (REP 103: x right, y down, z ahead)
            into its rectified frame.
        p: Projection P (3x4), row by row, of the rectified image; None: K with zeros. Its fourth column, which ties two
            stereo cameras together, is not used: here the extrinsic does that.
        rectified: Whether the images that arrive have been rectified already (``image_rect``): they are then those of R and P,
            without distortion.
        frame_id: Optical frame of the images, empty: any.
        serial: Serial number of the camera, empty: any.

    Raises:
        CalibrationError: A value that no camera has; the sentence begins with the key.
    """

    size: tuple[int, int]
    k: tuple[float, ...] | None = None
    distortion_model: str = "plumb_bob"
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = _UNIT
    p: tuple[float, ...] | None = None
    rectified: bool = False
    frame_id: str = ""
    serial: str = ""

    def __post_init__(self) -> None:
        """Refuse what no camera has."""
        if len(self.size) != 2 or not all(isinstance(side, int) and 0 < side <= LARGEST for side in self.size):
            raise CalibrationError(f"size: {self.size} is no height and width of 1 to {LARGEST} pixels")
        if self.k is not None:
            _check_matrix("K", self.k, 9)
        if self.distortion_model not in DISTORTION_MODELS:
            raise CalibrationError(
                f"distortion_model: '{self.distortion_model}' is not one of {', '.join(DISTORTION_MODELS)}"
            )
        lengths = DISTORTION_MODELS[self.distortion_model]
        if self.d and len(self.d) not in lengths:
            raise CalibrationError(
                f"D: {len(self.d)} numbers, {self.distortion_model} has {' or '.join(map(str, lengths))}"
            )
        if not all(map(math.isfinite, self.d)):
            raise CalibrationError("D: holds a number that is not finite")
        if len(self.r) != 9 or not all(map(math.isfinite, self.r)):
            raise CalibrationError("R: expected 9 finite numbers")
        check_rotation(self.rotation, "R")
        if self.p is not None:
            _check_matrix("P", self.p, 12)
        if self.rectified and self.p is None and self.k is None:
            raise CalibrationError("P: missing, and images that are rectified are described by it")

    @property
    def has_lens(self) -> bool:
        """Whether it is known how the camera projects: by K, or, for images that are rectified, by P."""
        return self.k is not None or (self.rectified and self.p is not None)

    @property
    def matrix(self) -> FloatArray:
        """K as (3, 3) float64.

        Raises:
            CalibrationError: It is not known.
        """
        if self.k is None:
            raise CalibrationError("K: missing, and expected for this")
        return np.array(self.k, np.float64).reshape(3, 3)

    @property
    def rotation(self) -> FloatArray:
        """R as (3, 3) float64."""
        return np.array(self.r, np.float64).reshape(3, 3)

    @property
    def rectified_matrix(self) -> FloatArray:
        """The first three columns of P as (3, 3) float64; K where there is no P."""
        if self.p is None:
            return self.matrix
        return np.ascontiguousarray(np.array(self.p, np.float64).reshape(3, 4)[:, :3])

    @property
    def has_distortion(self) -> bool:
        """Whether the lens bends straight lines: equidistant always does."""
        return self.distortion_model == "equidistant" or any(self.d)

    def scaled(self, size: tuple[int, int]) -> CameraModel:
        """Return the camera whose image is this one's, resized to (height, width) as cv2.resize does it.

        The middle of a pixel is at a whole number, so a position x becomes (x + 0.5)·s − 0.5, and so do cx and cy.
        """
        if size == self.size:
            return self
        sy, sx = size[0] / self.size[0], size[1] / self.size[1]

        def resized(values: tuple[float, ...] | None, columns: int) -> tuple[float, ...] | None:
            if values is None:
                return None
            matrix = np.array(values, np.float64).reshape(3, columns)
            matrix = scaling(sx, sy) @ matrix
            return tuple(float(value) for value in matrix.ravel())

        return replace(self, size=size, k=resized(self.k, 3), p=resized(self.p, 4))

    def cropped(self, top: int, bottom: int) -> CameraModel:
        """Return the camera whose image is this one's without the given numbers of rows.

        Raises:
            CalibrationError: No row would be left.
        """
        if not (top or bottom):
            return self
        height = self.size[0] - top - bottom
        if height < 1:
            raise CalibrationError(f"height: {self.size[0]} rows, of which {top} and {bottom} are to be cropped")

        def moved(values: tuple[float, ...] | None, cy: int) -> tuple[float, ...] | None:
            return None if values is None else (*values[:cy], values[cy] - top, *values[cy + 1 :])

        return replace(self, size=(height, self.size[1]), k=moved(self.k, 5), p=moved(self.p, 6))


def scaling(sx: float, sy: float) -> FloatArray:
    """Return the (3, 3) matrix that turns pixels of an image into those of the image resized by sx and sy."""
    return np.array(((sx, 0, (sx - 1) / 2), (0, sy, (sy - 1) / 2), (0, 0, 1)), np.float64)


def _check_matrix(key: str, values: Sequence[float], count: int) -> None:
    """Refuse a K (9) or P (12) that projects nothing."""
    columns = count // 3
    if len(values) != count or not all(map(math.isfinite, values)):
        raise CalibrationError(f"{key}: expected {count} finite numbers, row by row")
    fx, fy = values[0], values[columns + 1]
    if fx == 0:
        raise CalibrationError(f"{key}: {key}[0] (fx) is 0, which says that the camera is not calibrated")
    if fx < 0 or fy <= 0:
        raise CalibrationError(f"{key}: fx {fx:g} and fy {fy:g} are focal lengths in pixels and have to be positive")
    others = (values[1], values[columns], *values[2 * columns : 2 * columns + 2])
    if any(others) or values[2 * columns + 2] != 1:
        raise CalibrationError(f"{key}: expected fx 0 cx, 0 fy cy, 0 0 1 (no skew), not {list(values)}")
