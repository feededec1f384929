"""One camera as sensor_msgs/CameraInfo describes it: intrinsics, distortion, rectification, size, names.

Pixels are counted as in OpenCV and ROS: (0, 0) is the middle of the top left pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.errors import SettingError

DISTORTION_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
"""Distortion model → how many coefficients D may have (sensor_msgs/distortion_models.hpp; OpenCV's thin prism and tilt)."""

LARGEST = 16384
"""Pixels along a side of an image; cv2.remap takes coordinates of 16 bits."""

_UNIT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_TOLERANCE = 1e-4
"""Of R·Rᵀ from the unit matrix: files hold rotations with a few decimals."""


class CalibrationError(SettingError):
    """A calibration that cannot be used.

    Where one of its keys is wrong, ``key`` is that key, and the reader of the file, the topic or the camera puts that place
    before it (``within``). What concerns the whole file is one sentence and no problem.
    """

    def __init__(self, key: str, problem: str = "", expected: str = "", prefix: str = "") -> None:
        """Take the key and what is wrong with it, or one sentence."""
        super().__init__(key, problem, expected, prefix)


@contextmanager
def within(place: str, names: Mapping[str, str] | None = None, between: str = ": ") -> Iterator[None]:
    """Say where the calibration lies that is refused in this block.

    The place becomes part of the key, so that no face takes a file's ``plane_distance`` for its own setting of that name.

    Args:
        place: A file, a topic or a camera (``rgb``); empty: none.
        names: For the key of the model, such as ``K``, the key of the file, such as ``camera_matrix.data``.
        between: What stands between place and key.

    Raises:
        CalibrationError: Of the block, or a SettingError of it, with the place before its key.
    """
    try:
        yield
    except SettingError as error:
        key = (names or {}).get(error.key, error.key)
        key = f"{place}{between}{key}" if place and key else place or key
        raise CalibrationError(key, error.problem, error.expected) from error


def check_rotation(matrix: FloatArray, key: str) -> None:
    """Refuse a (3, 3) matrix that is not a rotation.

    Raises:
        CalibrationError: It is not orthonormal, or it mirrors (determinant -1).
    """
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=_TOLERANCE):
        raise CalibrationError(key, "not a rotation: its rows are not orthonormal")
    if np.linalg.det(matrix) < 0:
        raise CalibrationError(key, "a reflection (determinant -1)", "a rotation")


@dataclass(frozen=True)
class CameraModel:
    """A camera.

    Attributes:
        size: (height, width) in pixels of the images that the intrinsics belong to.
        k: Intrinsic matrix K of the raw image, row by row: fx 0 cx, 0 fy cy, 0 0 1 in pixels; None: not known, and not needed
            for the modes ``none`` and ``homography``.
        distortion_model: A key of ``DISTORTION_MODELS``.
        d: Its coefficients in OpenCV's order: k1 k2 p1 p2 [k3]; k1 k2 p1 p2 k3 k4 k5 k6 [s1 s2 s3 s4 [τx τy]]; or k1 k2 k3 k4.
            Empty: no distortion.
        r: Rectification R, row by row: turns points of the camera's optical frame (REP 103: x right, y down, z ahead)
            into its rectified frame.
        p: Projection P (3x4), row by row, of the rectified image; None: K with zeros. Its fourth column, which ties two
            stereo cameras together, is not used: here the extrinsic does that.
        rectified: Whether the images that arrive have been rectified already (``image_rect``): they are then those of R and P,
            without distortion.
        frame_id: Optical frame of the images, empty: any.
        serial: Serial number of the camera, empty: any.

    Raises:
        CalibrationError: A value that no camera has, by its key.
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
            raise CalibrationError("size", f"{self.size} is not a height and width of 1 to {LARGEST} pixels")
        if self.k is not None:
            _check_matrix("K", self.k, 9)
        if self.distortion_model not in DISTORTION_MODELS:
            raise CalibrationError(
                "distortion_model", f"'{self.distortion_model}' is not one of {', '.join(DISTORTION_MODELS)}"
            )
        lengths = DISTORTION_MODELS[self.distortion_model]
        if self.d and len(self.d) not in lengths:
            raise CalibrationError(
                "D", f"{len(self.d)} numbers, {self.distortion_model} has {' or '.join(map(str, lengths))}"
            )
        if not all(map(math.isfinite, self.d)):
            raise CalibrationError("D", "holds a number that is not finite")
        if len(self.r) != 9 or not all(map(math.isfinite, self.r)):
            raise CalibrationError("R", f"{len(self.r)} numbers", "9 finite numbers")
        check_rotation(self.rotation, "R")
        if self.p is not None:
            _check_matrix("P", self.p, 12)
        if self.rectified and self.p is None and self.k is None:
            raise CalibrationError("P", "missing, and it describes images that are rectified")

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
            raise CalibrationError("K", "missing")
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
            raise CalibrationError("height", f"{self.size[0]} rows, of which {top} and {bottom} are to be cropped")
        return self.window(0, top, (height, self.size[1]))

    def window(self, left: int, top: int, size: tuple[int, int]) -> CameraModel:
        """Return the camera whose image is the part of this one's of (height, width) from column ``left`` and row ``top``."""

        def moved(values: tuple[float, ...] | None, cx: int, cy: int) -> tuple[float, ...] | None:
            if values is None:
                return None
            shifts = {cx: left, cy: top}
            return tuple(value - shifts.get(index, 0) for index, value in enumerate(values))

        return replace(self, size=size, k=moved(self.k, 2, 5), p=moved(self.p, 2, 6))


def scaling(sx: float, sy: float) -> FloatArray:
    """Return the (3, 3) matrix that turns pixels of an image into those of the image resized by sx and sy."""
    return np.array(((sx, 0, (sx - 1) / 2), (0, sy, (sy - 1) / 2), (0, 0, 1)), np.float64)


def _check_matrix(key: str, values: Sequence[float], count: int) -> None:
    """Refuse a K (9) or P (12) that projects nothing."""
    columns = count // 3
    if len(values) != count or not all(map(math.isfinite, values)):
        raise CalibrationError(key, "wrong length or not finite", f"{count} finite numbers, row by row")
    fx, fy = values[0], values[columns + 1]
    if fx == 0:
        raise CalibrationError(key, f"{key}[0] (fx) is 0: the camera is not calibrated")
    if fx < 0 or fy <= 0:
        raise CalibrationError(key, f"fx {fx:g} and fy {fy:g} are not focal lengths in pixels, above 0")
    others = (values[1], values[columns], *values[2 * columns : 2 * columns + 2])
    if any(others) or values[2 * columns + 2] != 1:
        raise CalibrationError(key, f"{list(values)} is not of the form fx 0 cx, 0 fy cy, 0 0 1 (no skew)")
