"""Points of a camera's optical frame to pixels and back, for every distortion model, whole images at a time.

The distortion formulas are those of OpenCV (calib3d, module overview; fisheye: Kannala and Brandt 2006). They are written out
here since cv2.projectPoints always computes its derivatives too: 2 s for the pixels of a 640x480 image, 10 ms here.
The way back is OpenCV's.
"""

from __future__ import annotations

import functools
import math
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CameraModel

Float = TypeVar("Float", np.float32, np.float64)

_ROUND_TRIP = 0.02
"""px; a pixel whose ray does not come back to it within this lies where the lens model has no inverse."""

_LONGEST = 60.0
"""Of a ray of depth 1, sideways: 89° off the axis."""


def distort(
    camera: CameraModel, x: npt.NDArray[Float], y: npt.NDArray[Float]
) -> tuple[npt.NDArray[Float], npt.NDArray[Float]]:
    """Bend ideal normalised coordinates (X/Z, Y/Z) as the lens does; any shape, dtype kept. D empty: as given."""
    if not camera.has_distortion:
        return x, y
    if camera.distortion_model == "equidistant":
        r = np.sqrt(x * x + y * y)
        scale = np.divide(_fisheye_angle(camera, r), r, out=np.ones_like(r), where=r > 1e-8)
        return x * scale, y * scale
    padded = camera.d + (0.0,) * (14 - len(camera.d))
    (k1, k2, p1, p2, k3, k4, k5, k6), more = padded[:8], padded[8:]
    # In place: for the pixels of an image these are memory-bound.
    r2 = x * x + y * y
    radial = _horner(r2, (k1, k2, k3))
    if k4 or k5 or k6:
        radial /= _horner(r2, (k4, k5, k6))
    if p1 == 0 and p2 == 0 and not any(more):
        return x * radial, y * radial
    xy = x * y
    xy *= 2
    bent_x = x * radial + p1 * xy + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + p2 * xy
    if not any(more):
        return bent_x, bent_y
    s1, s2, s3, s4, *tilt = more
    return _tilted(bent_x + (s1 + s2 * r2) * r2, bent_y + (s3 + s4 * r2) * r2, *tilt)


def _tilted(
    x: npt.NDArray[Float], y: npt.NDArray[Float], across: float, down: float
) -> tuple[npt.NDArray[Float], npt.NDArray[Float]]:
    """Project onto a sensor that is tilted by two angles (rad), as OpenCV's tilted model (Scheimpflug) has it."""
    if not (across or down):
        return x, y
    cx, sx, cy, sy = math.cos(across), math.sin(across), math.cos(down), math.sin(down)
    turn = np.array(((cy, 0, -sy), (0, 1, 0), (sy, 0, cy))) @ np.array(((1, 0, 0), (0, cx, sx), (0, -sx, cx)))
    onto = np.array(((turn[2, 2], 0, -turn[0, 2]), (0, turn[2, 2], -turn[1, 2]), (0, 0, 1))) @ turn
    a, b, c = onto.astype(x.dtype)
    weight = c[0] * x + c[1] * y + c[2]
    return (a[0] * x + a[1] * y + a[2]) / weight, (b[0] * x + b[1] * y + b[2]) / weight


def _horner(r2: npt.NDArray[Float], coefficients: tuple[float, ...]) -> npt.NDArray[Float]:
    """Return 1 + a·r² + b·r⁴ + …, a new array."""
    used = list(coefficients)
    while used and used[-1] == 0:
        used.pop()
    result = np.zeros_like(r2)
    for value in reversed(used):
        result += value
        result *= r2
    result += 1
    return result


def _fisheye_angle(camera: CameraModel, r: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """Return the distorted angle of rays with a slope of r = tan θ."""
    theta = np.arctan(r)
    return np.asarray(theta * _horner(theta * theta, camera.d))


@functools.lru_cache(maxsize=16)
def widest_slope(camera: CameraModel) -> float:
    """Return the slope tan θ up to which a ray farther from the axis also falls farther from the image's middle.

    Beyond it a distortion polynomial folds back, and points far outside the view would fall into the image.
    """
    if camera.rectified or not camera.has_distortion:
        return _LONGEST
    slopes = np.tan(np.linspace(0, np.arctan(_LONGEST), 4000))
    if camera.distortion_model == "equidistant":
        radius = _fisheye_angle(camera, slopes)
    else:
        k1, k2, _, _, k3, k4, k5, k6 = (*camera.d[:8], *(0.0,) * (8 - len(camera.d)))
        below = _horner(slopes**2, (k4, k5, k6))
        radius = slopes * _horner(slopes**2, (k1, k2, k3)) / np.where(below > 0, below, np.nan)
    rising = np.diff(radius) > 0
    return float(slopes[-1] if rising.all() else slopes[int(np.argmin(rising))])


def effective_matrix(camera: CameraModel) -> FloatArray:
    """Return the (3, 3) matrix from (distorted) normalised coordinates to pixels of the images as they arrive."""
    return camera.rectified_matrix if camera.rectified else camera.matrix


def project(camera: CameraModel, points: AnyArray) -> FloatArray:
    """Project (..., 3) points in metres of the camera's optical frame to (..., 2) pixels of the images as they arrive.

    Returns:
        float64, wherever they fall, inside the image or not; NaN for points behind the camera or beyond ``widest_slope``.

    Raises:
        CalibrationError: The intrinsics are not known.
    """
    points = np.asarray(points, np.float64)
    if camera.rectified:
        points = points @ camera.rotation.T
    z = points[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = points[..., 0] / z, points[..., 1] / z
        seen = (z > 0) & (x * x + y * y <= widest_slope(camera) ** 2)
    x, y = np.where(seen, x, np.nan), np.where(seen, y, np.nan)
    if not camera.rectified:
        x, y = distort(camera, x, y)
    matrix = effective_matrix(camera)
    return np.stack((x * matrix[0, 0] + matrix[0, 2], y * matrix[1, 1] + matrix[1, 2]), -1)


def rays(camera: CameraModel, pixels: AnyArray) -> FloatArray:
    """Return (..., 3) rays, in the camera's optical frame, of (..., 2) pixels of the images as they arrive.

    Returns:
        float64, of depth 1 along z; NaN where a pixel has no ray of this lens, or one more than 89° off the axis.

    Raises:
        CalibrationError: The intrinsics are not known.
    """
    pixels = np.asarray(pixels, np.float64)
    ideal = _undistort(camera, pixels.reshape(-1, 2))
    directions = np.concatenate((ideal, np.ones((len(ideal), 1))), 1)
    if camera.rectified:
        directions = directions @ camera.rotation
        directions /= np.where(directions[:, 2:] > 0, directions[:, 2:], np.nan)
    directions[np.hypot(directions[:, 0], directions[:, 1]) > _LONGEST] = np.nan
    return directions.reshape(*pixels.shape[:-1], 3)


def _undistort(camera: CameraModel, pixels: FloatArray) -> FloatArray:
    matrix = effective_matrix(camera)
    start = (pixels - matrix[:2, 2]) / np.diag(matrix)[:2]
    if camera.rectified or not camera.has_distortion:
        return start
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    given = np.ascontiguousarray(pixels).reshape(-1, 1, 2)
    if camera.distortion_model == "equidistant":
        coefficients = np.array(camera.d or (0.0,) * 4)
        ideal = cv2.fisheye.undistortPoints(given, matrix, coefficients)
    elif hasattr(cv2, "undistortPointsIter"):  # OpenCV 4: the function below takes no criteria there
        ideal = cv2.undistortPointsIter(given, matrix, np.array(camera.d), np.eye(3), np.eye(3), criteria)
    else:
        ideal = cv2.undistortPoints(given, matrix, np.array(camera.d), criteria=criteria)
    found = np.asarray(ideal, np.float64).reshape(-1, 2)
    # OpenCV marks failures by numbers, not NaN, and its iteration may settle beyond the fold.
    x, y = distort(camera, found[:, 0], found[:, 1])
    errors = np.hypot((x - start[:, 0]) * matrix[0, 0], (y - start[:, 1]) * matrix[1, 1])
    good = (errors < _ROUND_TRIP) & (np.hypot(found[:, 0], found[:, 1]) <= widest_slope(camera))
    return np.where(good[:, None], found, np.nan)


def pixel_grid(size: tuple[int, int]) -> FloatArray:
    """Return the (H, W, 2) positions (x, y) of the pixels of an image of (height, width)."""
    height, width = size
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)), -1)
