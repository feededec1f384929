"""The extrinsic of points whose place in space is known: RANSAC and PnP by OpenCV, then least squares in the thermal image.

The lens is taken out of the pixels first, so every distortion model and rectified images do; residuals are those of the images
as they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.fit_report import PointErrors
from rgbt_seg_ros.registration.homography_fit import check_share, off_line
from rgbt_seg_ros.registration.least_squares import Solution, minimise

LEAST = 6

POSE_STEPS = np.full(6, 1e-6)
"""rad and m: steps for derivatives by a pose."""

_MOST_TURN, _MOST_SHIFT = np.radians(3.0), 0.3
"""rad and m: by how much points that err by 1 px may leave the extrinsic uncertain."""

_ON_A_LINE = 0.01
"""Of the points' mean distance."""

_ROUNDS = 10


@dataclass(frozen=True)
class PoseFit:
    """An extrinsic and how well it fits.

    Attributes:
        transform: (4, 4) float64 T_rgb_thermal: p_rgb = T · p_thermal, m.
        errors: Distances in the thermal image, px.
        covariance: (6, 6) of a small rotation vector (rad), applied from the left, and the translation (m), both in the RGB
            camera's frame; from JᵀJ and the residuals' variance.
    """

    transform: FloatArray
    errors: PointErrors
    covariance: FloatArray


def moved(transform: FloatArray, step: FloatArray) -> FloatArray:
    """Return a rigid (4, 4) transform turned by a rotation vector step[:3] (rad) from the left, and shifted by step[3:] (m)."""
    result = np.array(transform, np.float64)
    result[:3, :3] = cv2.Rodrigues(np.ascontiguousarray(step[:3]))[0] @ transform[:3, :3]
    result[:3, 3] += step[3:]
    return result


def ideal_pixels(camera: CameraModel, pixels: FloatArray) -> FloatArray:
    """Return (N, 2) pixels as the same camera without distortion and rectification would see them; NaN: no ray."""
    return np.asarray(
        rays(camera, pixels)[:, :2] @ effective_matrix(camera)[:2, :2].T + effective_matrix(camera)[:2, 2]
    )


def check_positions(points: Correspondences, rgb: CameraModel, threshold: float) -> FloatArray:
    """Return (N, 3) positions of the points in the RGB camera's frame, NaN where one has none.

    Raises:
        PointsError: Positions are given, and the RGB camera sees most of them elsewhere than its pixels say.
    """
    positions = points.positions(rgb)
    if points.position is None:
        return positions
    seen = project(rgb, positions)
    off = np.linalg.norm(np.nan_to_num(seen, nan=np.inf) - points.rgb, axis=1)
    if np.median(off) > threshold:
        far = f"{np.median(off):.3g} px (median) from" if np.isfinite(np.median(off)) else "nowhere near"
        raise PointsError(
            f"X, Y, Z: the RGB camera sees these points {far} their rgb_x, rgb_y; metres in its "
            "optical frame (x right, y down, z ahead) were expected, and intrinsics of these images"
        )
    return np.where(off[:, None] <= threshold, positions, np.nan)


def fit_pose(points: Correspondences, rgb: CameraModel, thermal: CameraModel, threshold: float = 3.0) -> PoseFit:
    """Fit the extrinsic.

    Args:
        points: At least six, with positions or depths.
        rgb: The RGB camera, with its intrinsics.
        thermal: The thermal camera, with its intrinsics.
        threshold: px in the thermal image up to which a point agrees.

    Raises:
        PointsError: Fewer than six points, all on a line, or fewer than half agree, or they say too little.
        CalibrationError: Intrinsics are not known.
    """
    count = len(points)
    if count < LEAST:
        raise PointsError(f"{count} points; an extrinsic needs at least {LEAST} with X, Y, Z or depth")
    positions = check_positions(points, rgb, threshold)
    ideal = ideal_pixels(thermal, points.thermal)
    usable = np.asarray(np.isfinite(positions).all(1) & np.isfinite(ideal).all(1))
    if usable.sum() < LEAST:
        raise PointsError(
            f"{usable.sum()} of {count} points lie within both lenses' models; at least {LEAST} were expected"
        )
    distance = float(np.linalg.norm(positions[usable], axis=1).mean())
    if off_line(positions[usable]) < _ON_A_LINE * distance:
        raise PointsError(
            "all points lie on one line in space or in one spot; points spread over the view were expected"
        )
    start, inliers = _ransac(positions, ideal, usable, thermal, threshold, count)
    for _ in range(_ROUNDS):
        start, solution = _refine(start, positions[inliers], points.thermal[inliers], thermal)
        residuals = _residuals(start, positions, points.thermal, thermal)
        agreeing = usable & (residuals <= threshold)
        if agreeing.sum() < LEAST or np.array_equal(agreeing, inliers):
            break
        inliers = agreeing
    check_share(int(inliers.sum()), count, LEAST, threshold)
    unit = solution.covariance(1.0)
    sigma = np.full(6, np.inf) if unit is None else np.sqrt(np.diag(unit))
    turn, shift = float(np.linalg.norm(sigma[:3])), float(np.linalg.norm(sigma[3:]))
    if turn > _MOST_TURN or shift > _MOST_SHIFT:
        raise PointsError(
            "the points do not determine the extrinsic: for each px that they err by it errs by "
            f"{np.degrees(min(turn, 9.0)):.2g}° and {min(shift, 1e3):.2g} m; "
            "points at several distances, spread over the view, were expected"
        )
    covariance = solution.covariance(solution.variance or 0.0)
    assert covariance is not None
    return PoseFit(start, PointErrors(residuals, inliers), covariance)


def _residuals(transform: FloatArray, positions: FloatArray, pixels: FloatArray, thermal: CameraModel) -> FloatArray:
    """Return (N,) distances in the thermal image, infinite where a point is not seen."""
    back = inverse(transform)
    seen = project(thermal, positions @ back[:3, :3].T + back[:3, 3])
    return np.asarray(np.nan_to_num(np.linalg.norm(seen - pixels, axis=1), nan=np.inf))


def _ransac(
    positions: FloatArray,
    ideal: FloatArray,
    usable: npt.NDArray[np.bool_],
    thermal: CameraModel,
    threshold: float,
    count: int,
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return T_rgb_thermal and which points agree with it."""
    cv2.setRNGSeed(0)
    try:
        found, turn, shift, chosen = cv2.solvePnPRansac(
            np.ascontiguousarray(positions[usable]),
            np.ascontiguousarray(ideal[usable]),
            effective_matrix(thermal),
            None,
            iterationsCount=5000,
            reprojectionError=threshold,
            confidence=0.9999,
            flags=cv2.SOLVEPNP_EPNP,
        )
    except cv2.error:  # a degenerate set
        found, chosen = False, None
    inliers = np.zeros(count, bool)
    if found and chosen is not None:
        inliers[np.flatnonzero(usable)[np.asarray(chosen).ravel()]] = True
    check_share(int(inliers.sum()), count, LEAST, threshold)
    turn, shift = cv2.solvePnPRefineLM(
        np.ascontiguousarray(positions[inliers]),
        np.ascontiguousarray(ideal[inliers]),
        effective_matrix(thermal),
        None,
        turn,
        shift,
    )
    there = np.eye(4)
    there[:3, :3], there[:3, 3] = cv2.Rodrigues(turn)[0], np.asarray(shift).ravel()
    return inverse(there), inliers


def _refine(
    start: FloatArray, positions: FloatArray, pixels: FloatArray, thermal: CameraModel
) -> tuple[FloatArray, Solution]:
    def residuals(step: FloatArray) -> FloatArray:
        back = inverse(moved(start, step))
        return (project(thermal, positions @ back[:3, :3].T + back[:3, 3]) - pixels).ravel()

    solution = minimise(residuals, np.zeros(6), POSE_STEPS)
    return moved(start, solution.parameters), solution
