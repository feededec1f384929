"""The homography that brings thermal pixels onto RGB pixels, of points seen by both cameras, some of them wrong.

RANSAC (Fischler and Bolles 1981) by cv2.findHomography, then least squares of the distances in the RGB image over what agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.calibration.rig import check_homography
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.fit_report import PointErrors
from rgbt_seg_ros.registration.least_squares import Solution, minimise

LEAST = 4
SHARE = 0.5
"""Of the points that have to agree: fewer agree by chance too."""

_ON_A_LINE = 1.0
"""px RMS off the best line: what clicking errs by."""

_UNCERTAIN = 0.25
"""Of the RGB image's diagonal: by how much points that err by 1 px may leave a corner uncertain."""

_ROUNDS = 10


@dataclass(frozen=True)
class HomographyFit:
    """A homography and how well it fits.

    Attributes:
        matrix: (3, 3) float64 H_rgb_thermal, thermal pixel (x, y, 1) to RGB pixel, with 1 at the lower right.
        errors: Distances in the RGB image, px.
        covariance: (8, 8) of h11 h12 h13 h21 h22 h23 h31 h32, from JᵀJ and the residuals' variance; None: with exactly four
            points nothing is left to tell it from.
        corner_sigma: px, standard deviation of where the worst corner of the thermal image falls; None with exactly four points.
    """

    matrix: FloatArray
    errors: PointErrors
    covariance: FloatArray | None
    corner_sigma: float | None


def apply(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Return (N, 2) pixels brought over by a (3, 3) homography; NaN beyond its horizon."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mapped[:, :2] / np.where(mapped[:, 2:] > 0, mapped[:, 2:], np.nan))


def fit_homography(
    points: Correspondences, rgb_size: tuple[int, int], thermal_size: tuple[int, int], threshold: float = 3.0
) -> HomographyFit:
    """Fit a homography.

    Args:
        points: At least four.
        rgb_size: (height, width) of the RGB image.
        thermal_size: (height, width) of the thermal image.
        threshold: px in the RGB image up to which a point agrees.

    Raises:
        PointsError: Fewer than four points, all on a line, or fewer than half agree, or they say too little about the corners.
        CalibrationError: The homography that they give mirrors the image or has its horizon in it.
    """
    count = len(points)
    if count < LEAST:
        raise PointsError(f"{count} points; a homography needs at least {LEAST}")
    _check_spread(points, np.ones(count, bool), "points")
    inliers = _ransac(points, threshold)
    _check_spread(points, inliers, "points that agree")
    matrix = np.eye(3)
    for _ in range(_ROUNDS):
        solution = _refine(points.thermal[inliers], points.rgb[inliers])
        matrix = np.append(solution.parameters, 1.0).reshape(3, 3)
        residuals = np.linalg.norm(apply(matrix, points.thermal) - points.rgb, axis=1)
        agreeing = residuals <= threshold
        if agreeing.sum() < LEAST or np.array_equal(agreeing, inliers):
            break
        inliers = agreeing
    check_share(int(inliers.sum()), count, LEAST, threshold)
    check_homography(flat(matrix), thermal_size, rgb_size)
    unit = solution.covariance(1.0)
    uncertain = np.inf if unit is None else corner_sigma(matrix, unit, thermal_size)
    if uncertain > _UNCERTAIN * float(np.hypot(*rgb_size)):
        raise PointsError(
            f"the {inliers.sum()} points that agree leave a corner of the thermal image uncertain by "
            f"{min(uncertain, 1e6):.0f} px for each px of theirs; points spread over the image, no three of four on a line, "
            "were expected"
        )
    variance = solution.variance
    covariance = None if variance is None else solution.covariance(variance)
    sigma = None if covariance is None else corner_sigma(matrix, covariance, thermal_size)
    return HomographyFit(matrix, PointErrors(np.nan_to_num(residuals, nan=np.inf), inliers), covariance, sigma)


def _check_spread(points: Correspondences, used: npt.NDArray[np.bool_], which: str) -> None:
    """Refuse points that lie, all but one at least, on a line: every homography maps those alike."""
    for name, pixels in (("RGB", points.rgb[used]), ("thermal", points.thermal[used])):
        if off_line(pixels) < _ON_A_LINE:
            raise PointsError(f"all {which} lie on one line of the {name} image; points spread over it were expected")
        if min(off_line(np.delete(pixels, index, 0)) for index in range(len(pixels))) < _ON_A_LINE:
            raise PointsError(
                f"all {which} but one lie on one line of the {name} image; points spread over it were expected"
            )


def off_line(points: FloatArray) -> float:
    """Return by how much (RMS) points (N, any) lie off the line that fits them best."""
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return float(np.linalg.norm(spread[1:]) / np.sqrt(len(points)))


def check_share(inliers: int, count: int, least: int, threshold: float) -> None:
    """Refuse a consensus that chance gives too.

    Raises:
        PointsError: Fewer than ``least``, or less than ``SHARE``, of the points agree.
    """
    if inliers < max(least, SHARE * count):
        raise PointsError(
            f"only {inliers} of {count} points agree within {threshold:g} px; at least {max(least, -(-count // 2))} were expected"
        )


def _ransac(points: Correspondences, threshold: float) -> npt.NDArray[np.bool_]:
    cv2.setRNGSeed(0)
    try:
        matrix, mask = cv2.findHomography(
            points.thermal, points.rgb, cv2.RANSAC, threshold, maxIters=5000, confidence=0.9999
        )
    except cv2.error:  # a degenerate set, in some releases
        matrix, mask = None, None
    inliers = np.zeros(len(points), bool) if matrix is None else np.asarray(mask).ravel().astype(bool)
    check_share(int(inliers.sum()), len(points), LEAST, threshold)
    return inliers


def _refine(thermal: FloatArray, rgb: FloatArray) -> Solution:
    matrix, _ = cv2.findHomography(thermal, rgb, 0)
    if matrix is None or not np.isfinite(matrix).all() or abs(matrix[2, 2]) < 1e-12:
        raise CalibrationError("homography: the points that agree do not determine it")

    def residuals(parameters: FloatArray) -> FloatArray:
        return (apply(np.append(parameters, 1.0).reshape(3, 3), thermal) - rgb).ravel()

    reach = max(float(np.abs(thermal).max()), 1.0)
    start = (np.asarray(matrix, np.float64) / matrix[2, 2]).ravel()[:8]
    linear = 1e-4 / reach
    steps = np.array((linear, linear, 1e-4, linear, linear, 1e-4, linear / reach, linear / reach))
    return minimise(residuals, start, steps)


def corner_sigma(matrix: FloatArray, covariance: FloatArray, size: tuple[int, int]) -> float:
    """Return the largest standard deviation (px) of where the corners of an image of (height, width) fall."""
    height, width = size
    largest = 0.0
    for x, y in ((0.0, 0.0), (width - 1.0, 0.0), (0.0, height - 1.0), (width - 1.0, height - 1.0)):
        u, v, w = matrix @ (x, y, 1.0)
        row = np.array((x, y, 1.0)) / w
        jacobian = np.zeros((2, 8))
        jacobian[0, :3], jacobian[1, 3:6] = row, row
        jacobian[0, 6:], jacobian[1, 6:] = -u / w * row[:2], -v / w * row[:2]
        trace = float(np.trace(jacobian @ covariance @ jacobian.T))
        largest = max(largest, float(np.sqrt(max(trace, 0.0))))
    return largest
