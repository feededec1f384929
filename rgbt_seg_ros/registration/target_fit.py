"""Intrinsics and extrinsic from views of a board (Zhang 2000), by OpenCV; what they leave uncertain from JᵀJ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, project
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse
from rgbt_seg_ros.registration.board import Board, BoardError
from rgbt_seg_ros.registration.bundle import Rig, adjust
from rgbt_seg_ros.registration.pose_fit import ideal_pixels
from rgbt_seg_ros.registration.target_views import View, board_pose

LEAST_INTRINSIC = 6
"""Views from which a lens is calibrated."""

LEAST_EXTRINSIC = 3

_LEAST_TILT = np.radians(10.0)
"""Between the two views that differ most: boards that are all parallel do not tell the focal length."""

_LARGEST_FOCAL_SIGMA = 0.02
"""Of the focal length."""

_LARGEST_RMS = 3.0
"""px RMS."""

_OUTLIER = 3.0
"""A view with this many times the median error is left out, if that is more than ``_OUTLIER_PX``."""
_OUTLIER_PX = 0.5


@dataclass(frozen=True)
class CameraFit:
    """Intrinsics from views of a board.

    Attributes:
        camera: The camera, plumb_bob.
        rms: Reprojection error, px.
        sigma: (9,) standard deviations of fx fy cx cy (px) and k1 k2 p1 p2 k3, 0 for one that was not fitted.
        views: How many were used.
        left_out: Indices of views that fit far worse than the others.
    """

    camera: CameraModel
    rms: float
    sigma: FloatArray
    views: int
    left_out: tuple[int, ...]


@dataclass(frozen=True)
class StereoFit:
    """An extrinsic from views of a board.

    Attributes:
        rig: The cameras and T_rgb_thermal.
        rms: Reprojection error over both cameras, px: root of the mean square distance.
        rgb_rms: Of the RGB camera.
        thermal_rms: Of the thermal camera.
        covariance: (6 + L, 6 + L) of a small rotation vector (rad), applied from the left, and the translation (m), in the RGB
            camera's frame, and the L lens parameters that were fitted, as of ``bundle.Bundle``.
        views: Names of the shared views used.
        left_out: Names of views that fit far worse than the others.
    """

    rig: Rig
    rms: float
    rgb_rms: float
    thermal_rms: float
    covariance: FloatArray
    views: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def sigma(self) -> FloatArray:
        """Standard deviations, the roots of the covariance's diagonal."""
        return np.sqrt(np.diag(self.covariance))


def fit_camera(
    views: Sequence[FloatArray], size: tuple[int, int], board: Board, name: str, with_k3: bool = False
) -> CameraFit:
    """Calibrate the lens of one camera: plumb_bob.

    Args:
        views: (N, 2) pixels of the board's points, of distinct poses.
        size: (height, width) of its images.
        board: The board.
        name: Of the camera, for errors.
        with_k3: Whether k3 is fitted; else it is 0.

    Raises:
        BoardError: Fewer views than ``LEAST_INTRINSIC``, or they do not tell the focal length.
    """
    kept = list(range(len(views)))
    while True:
        if len(kept) < LEAST_INTRINSIC:
            raise BoardError(
                f"{name} camera: {len(kept)} usable views of the board; at least {LEAST_INTRINSIC} at different places and "
                "tilts were expected for its intrinsics"
            )
        points = [board.points.astype(np.float32)] * len(kept)
        pixels = [views[index].astype(np.float32).reshape(-1, 1, 2) for index in kept]
        try:
            rms, matrix, distortion, turns, _, deviations, _, errors = cv2.calibrateCameraExtended(
                points, pixels, (size[1], size[0]), np.eye(3), np.zeros(5), flags=0 if with_k3 else cv2.CALIB_FIX_K3
            )
        except cv2.error as error:
            raise BoardError(f"{name} camera: {_one_tilt()}") from error
        bad = _outliers(np.asarray(errors, np.float64).ravel())
        if not bad:
            break
        kept = [index for position, index in enumerate(kept) if position not in bad]
    sigma = np.asarray(deviations, np.float64).ravel()[:9]
    normals = np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
    tilt = float(np.arccos(np.clip((normals @ normals.T).min(), -1, 1)))
    if tilt < _LEAST_TILT or not np.isfinite(matrix).all():
        raise BoardError(f"{name} camera: {_one_tilt()}")
    if max(sigma[0] / matrix[0, 0], sigma[1] / matrix[1, 1]) > _LARGEST_FOCAL_SIGMA:
        raise BoardError(
            f"{name} camera: the views leave the focal length {matrix[0, 0]:.0f} px uncertain by {sigma[0]:.0f} px; "
            "more views at different places and tilts, and nearer ones, were expected"
        )
    camera = CameraModel(size=size, k=flat(matrix), d=tuple(float(value) for value in distortion.ravel()[:5]))
    left_out = tuple(index for index in range(len(views)) if index not in kept)
    return CameraFit(camera, float(rms), sigma, len(kept), left_out)


def _one_tilt() -> str:
    return (
        "all views show the board at about one tilt, which does not tell the focal length; a board tilted by 20° to 45° to all "
        "sides was expected"
    )


def _outliers(errors: FloatArray) -> set[int]:
    limit = max(_OUTLIER * float(np.median(errors)), _OUTLIER_PX)
    return {int(index) for index in np.flatnonzero(errors > limit)}


def fit_stereo(
    views: Sequence[View],
    board: Board,
    rgb: CameraModel,
    thermal: CameraModel,
    free: tuple[int, int] = (0, 0),
) -> StereoFit:
    """Fit the extrinsic of two cameras, from good intrinsics: of stereoCalibrate, then with everything at once.

    Args:
        views: Of distinct poses, with points counted alike (``target_views.in_one_order``); those of one camera alone help
            to fit its lens.
        board: The board.
        rgb: The RGB camera, any distortion model, rectified or not.
        thermal: The thermal camera.
        free: As of ``bundle.Rig``: what of the lenses is fitted too.

    Raises:
        BoardError: Fewer shared views than ``LEAST_EXTRINSIC``, or they contradict each other.
    """
    kept, left_out = list(views), []
    while True:
        shared = [view for view in kept if view.is_shared]
        if len(shared) < LEAST_EXTRINSIC:
            raise BoardError(
                f"{len(shared)} views of the board in both cameras from different places; at least {LEAST_EXTRINSIC} were "
                "expected for the extrinsic"
            )
        rig = Rig(rgb, thermal, _stereo(shared, board, rgb, thermal), free)
        found = [_pose_in_rgb(view, board, rig) for view in kept]
        kept = [view for view, pose in zip(kept, found, strict=True) if pose is not None]
        bundle = adjust(kept, board, rig, [pose for pose in found if pose is not None])
        errors = [bundle.rig.errors(view, board, pose) for view, pose in zip(kept, bundle.poses, strict=True)]
        bad = _outliers(np.array([_rms(list(error.values())) for error in errors]))
        if not bad:
            break
        left_out += [view.name for index, view in enumerate(kept) if index in bad]
        kept = [view for index, view in enumerate(kept) if index not in bad]
    rms = _rms([part for error in errors for part in error.values()])
    if not rms <= _LARGEST_RMS:
        raise BoardError(
            f"the cameras' views of the board do not fit together: {rms:.1f} px RMS over {len(kept)} views; pairs of one moment, "
            "a board that is held still, and intrinsics of these images were expected"
        )
    if bundle.covariance is None:
        raise BoardError("the views do not determine the extrinsic; views at different places and tilts were expected")
    return StereoFit(
        bundle.rig,
        rms,
        _rms([error["rgb"] for error in errors if "rgb" in error]),
        _rms([error["thermal"] for error in errors if "thermal" in error]),
        bundle.covariance,
        tuple(view.name for view in kept if view.is_shared),
        tuple(left_out),
    )


def _rms(parts: Sequence[FloatArray]) -> float:
    """Return the root of the mean square of (N, 2) px as lengths."""
    return float(np.sqrt(np.mean(np.concatenate([(part**2).sum(1) for part in parts]))))


def _pose_in_rgb(view: View, board: Board, rig: Rig) -> FloatArray | None:
    if view.rgb is not None:
        return board_pose(rig.rgb, board, view.rgb)
    assert view.thermal is not None
    pose = board_pose(rig.thermal, board, view.thermal)
    return None if pose is None else np.asarray(rig.transform @ pose)


def _stereo(views: Sequence[View], board: Board, rgb: CameraModel, thermal: CameraModel) -> FloatArray:
    """Return T_rgb_thermal by cv2.stereoCalibrate, on pixels that the lenses have been taken out of."""
    points = [board.points.astype(np.float32)] * len(views)
    seen = {
        camera: [ideal_pixels(model, getattr(view, camera)).astype(np.float32).reshape(-1, 1, 2) for view in views]
        for camera, model in (("rgb", rgb), ("thermal", thermal))
    }
    found = cv2.stereoCalibrate(
        points,
        seen["thermal"],
        seen["rgb"],
        effective_matrix(thermal).copy(),
        np.zeros(5),
        effective_matrix(rgb).copy(),
        np.zeros(5),
        (thermal.size[1], thermal.size[0]),
        flags=cv2.CALIB_FIX_INTRINSIC,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10),
    )
    transform = np.eye(4)
    # OpenCV rounds the rotation.
    left, _, right = np.linalg.svd(found[5])
    transform[:3, :3], transform[:3, 3] = left @ right, np.asarray(found[6]).ravel()
    return transform


def plane_homography(
    rgb: CameraModel, thermal: CameraModel, transform: FloatArray, distance: float
) -> tuple[FloatArray, FloatArray]:
    """Return the homography that best stands for what the cameras see of a plane, lens distortion and all.

    Args:
        rgb: The RGB camera.
        thermal: The thermal camera.
        transform: (4, 4) T_rgb_thermal.
        distance: m; the plane z = distance of the RGB camera's optical frame.

    Returns:
        (3, 3) H_rgb_thermal; and (N,) px by which it errs in the RGB image, over points that both cameras see.

    Raises:
        BoardError: The cameras have no part of that plane in common.
    """
    height, width = rgb.size
    grid = np.stack(np.meshgrid(np.linspace(0, width - 1, 33), np.linspace(0, height - 1, 25)), -1).reshape(-1, 2)
    matrix = effective_matrix(rgb)
    # Rays of an even grid of the image would not reach its rim through some lenses: take an even grid of the plane.
    slopes = (grid - matrix[:2, 2]) / np.diag(matrix)[:2] * 1.3
    points = np.concatenate((slopes, np.ones((len(slopes), 1))), 1) * distance
    back = inverse(transform)
    first, second = project(rgb, points), project(thermal, points @ back[:3, :3].T + back[:3, 3])
    with np.errstate(invalid="ignore"):
        seen = ((first >= 0) & (first <= (width - 1, height - 1))).all(1)
        seen &= ((second >= 0) & (second <= (thermal.size[1] - 1, thermal.size[0] - 1))).all(1)
    if seen.sum() < 20:
        raise BoardError(f"the cameras have hardly any of the plane at {distance:g} m in common")
    homography, _ = cv2.findHomography(second[seen], first[seen], 0)
    mapped = cv2.perspectiveTransform(second[seen].reshape(-1, 1, 2), homography).reshape(-1, 2)
    return np.asarray(homography, np.float64), np.asarray(np.linalg.norm(mapped - first[seen], axis=1))
