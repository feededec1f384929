"""Both cameras, their places and every board pose at once: bundle adjustment (Triggs et al. 2000), poses eliminated.

Each camera calibrated alone errs in its principal point, which then looks like a turn between the cameras. Here the views of
both hold each other, and the covariance of the extrinsic contains what the intrinsics leave uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import distort, project
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.board import Board
from rgbt_seg_ros.registration.least_squares import inverse_information
from rgbt_seg_ros.registration.pose_fit import moved
from rgbt_seg_ros.registration.target_views import View

_ROUNDS = 30
_POINT_STEP = 1e-5
"""m: step for derivatives by a point."""


@dataclass(frozen=True)
class Rig:
    """What views are explained by.

    Attributes:
        rgb: The RGB camera.
        thermal: The thermal camera.
        transform: (4, 4) T_rgb_thermal, m.
        free: How many of fx fy cx cy k1 k2 p1 p2 k3 are fitted, of the RGB and of the thermal camera: 0, 8 or 9.
    """

    rgb: CameraModel
    thermal: CameraModel
    transform: FloatArray
    free: tuple[int, int] = (0, 0)

    @property
    def shared(self) -> int:
        """Number of parameters that all views share: extrinsic, RGB lens, thermal lens."""
        return 6 + sum(self.free)

    def moved(self, step: FloatArray) -> Rig:
        """Return it with its shared parameters changed by a step."""
        middle = 6 + self.free[0]
        return replace(
            self,
            rgb=_changed(self.rgb, step[6:middle]),
            thermal=_changed(self.thermal, step[middle:]),
            transform=moved(self.transform, step[:6]),
        )

    def errors(self, view: View, board: Board, pose: FloatArray) -> dict[str, FloatArray]:
        """Return (N, 2) px by camera, seen of a board at T_rgb_board less found; cameras that did not see it are left out."""
        points = board.points @ pose[:3, :3].T + pose[:3, 3]
        found = {}
        if view.rgb is not None:
            found["rgb"] = project(self.rgb, points) - view.rgb
        if view.thermal is not None:
            back = inverse(self.transform)
            found["thermal"] = project(self.thermal, points @ back[:3, :3].T + back[:3, 3]) - view.thermal
        return found


@dataclass(frozen=True)
class Bundle:
    """The best explanation of views.

    Attributes:
        rig: The cameras.
        poses: T_rgb_board (4, 4) of each view.
        covariance: (S, S) of the shared parameters: 6 of the extrinsic as in ``pose_fit.PoseFit``, the RGB camera's lens, the
            thermal camera's; None: the views do not determine them.
    """

    rig: Rig
    poses: tuple[FloatArray, ...]
    covariance: FloatArray | None


def _changed(camera: CameraModel, step: FloatArray) -> CameraModel:
    if not len(step):
        return camera
    k = camera.matrix
    k[0, 0], k[1, 1], k[0, 2], k[1, 2] = np.array((k[0, 0], k[1, 1], k[0, 2], k[1, 2])) + step[:4]
    d = np.array(camera.d)
    d[: len(step) - 4] += step[4:]
    return replace(camera, k=tuple(float(value) for value in k.ravel()), d=tuple(float(value) for value in d))


def adjust(views: Sequence[View], board: Board, rig: Rig, poses: Sequence[FloatArray]) -> Bundle:
    """Fit rig and poses to views, from a start that is near (Levenberg-Marquardt).

    Args:
        views: Seen by one camera or both, points counted alike.
        board: The board.
        rig: The start.
        poses: T_rgb_board of each view, the start.
    """
    found, damping, shared = list(poses), 1e-4, rig.shared
    cost = _cost(views, board, rig, found)
    for _ in range(_ROUNDS):
        parts = [linearised(view, board, rig, pose) for view, pose in zip(views, found, strict=True)]
        accepted = False
        while damping < 1e8:
            rig_step, pose_steps = _step(parts, shared, damping)
            try:
                tried = rig.moved(rig_step)
            except CalibrationError:  # a step to no lens at all
                damping *= 10
                continue
            turned = [moved(pose, step) for pose, step in zip(found, pose_steps, strict=True)]
            new = _cost(views, board, tried, turned)
            if np.isfinite(new) and new <= cost:
                accepted = True
                break
            damping *= 10
        if not accepted:
            break
        gain, rig, found, cost, damping = cost - new, tried, turned, new, max(damping / 10, 1e-12)
        if gain <= 1e-9 * cost:
            break
    parts = [linearised(view, board, rig, pose) for view, pose in zip(views, found, strict=True)]
    information, _ = _reduced(parts, shared, 0.0)
    freedom = sum(len(residuals) for residuals, _ in parts) - shared - 6 * len(parts)
    return Bundle(rig, tuple(found), inverse_information(information, cost / max(freedom, 1)))


def _flat(errors: dict[str, FloatArray]) -> FloatArray:
    return np.concatenate([part.ravel() for part in errors.values()])


def _cost(views: Sequence[View], board: Board, rig: Rig, poses: Sequence[FloatArray]) -> float:
    errors = (_flat(rig.errors(view, board, pose)) for view, pose in zip(views, poses, strict=True))
    return float(sum(error @ error for error in errors))


def linearised(view: View, board: Board, rig: Rig, pose: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return residuals (M,) of a view and their derivatives (M, S + 6) by shared parameters and pose."""
    shared = rig.shared
    points = board.points @ pose[:3, :3].T + pose[:3, 3]
    back = inverse(rig.transform)
    residuals, rows = [], []
    for index, camera, pixels in ((0, rig.rgb, view.rgb), (1, rig.thermal, view.thermal)):
        if pixels is None:
            continue
        seen = points if index == 0 else points @ back[:3, :3].T + back[:3, 3]
        by_point = _by_point(camera, seen)
        by_rgb_point = by_point if index == 0 else by_point @ back[:3, :3]
        jacobian = np.zeros((len(points), 2, shared + 6))
        # p_rgb = R·p_board + t, R turned from the left; p_thermal = R_eᵀ·(p_rgb − t_e), R_e turned from the left.
        jacobian[..., shared : shared + 3] = by_rgb_point @ -_cross(points - pose[:3, 3])
        jacobian[..., shared + 3 :] = by_rgb_point
        if index == 1:
            jacobian[..., :3] = by_rgb_point @ _cross(points - rig.transform[:3, 3])
            jacobian[..., 3:6] = -by_rgb_point
        first = 6 + rig.free[0] * index
        jacobian[..., first : first + rig.free[index]] = _by_lens(camera, seen, rig.free[index])
        residuals.append((project(camera, seen) - pixels).ravel())
        rows.append(jacobian.reshape(-1, shared + 6))
    return np.concatenate(residuals), np.concatenate(rows)


def _cross(vectors: FloatArray) -> FloatArray:
    """Return the (N, 3, 3) matrices of the cross products with (N, 3) vectors."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)


def _by_point(camera: CameraModel, points: FloatArray) -> FloatArray:
    """Return (N, 2, 3) derivatives of pixels by (N, 3) points, px/m."""
    # All six shifted copies in one call: a call costs more than its points do.
    shifts = _POINT_STEP * np.concatenate((np.eye(3), -np.eye(3)))
    pixels = project(camera, points + shifts[:, None])
    return np.asarray(np.moveaxis((pixels[:3] - pixels[3:]) / (2 * _POINT_STEP), 0, -1))


def _by_lens(camera: CameraModel, points: FloatArray, count: int) -> FloatArray:
    """Return (N, 2, count) derivatives of pixels by fx fy cx cy k1 k2 p1 p2 k3 of a plumb_bob lens, which are exact."""
    if not count:
        return np.zeros((len(points), 2, 0))
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    bent = distort(camera, x, y)
    fx, fy = camera.matrix[0, 0], camera.matrix[1, 1]
    r2 = x * x + y * y
    zero, one = np.zeros_like(x), np.ones_like(x)
    across = (
        bent[0],
        zero,
        one,
        zero,
        fx * x * r2,
        fx * x * r2**2,
        fx * 2 * x * y,
        fx * (r2 + 2 * x * x),
        fx * x * r2**3,
    )
    down = (
        zero,
        bent[1],
        zero,
        one,
        fy * y * r2,
        fy * y * r2**2,
        fy * (r2 + 2 * y * y),
        fy * 2 * x * y,
        fy * y * r2**3,
    )
    return np.stack((np.stack(across, -1), np.stack(down, -1)), 1)[..., :count]


def _reduced(
    parts: Sequence[tuple[FloatArray, FloatArray]], shared: int, damping: float
) -> tuple[FloatArray, FloatArray]:
    """Return JᵀJ and Jᵀr of the shared parameters with the poses eliminated (Schur complement)."""
    information, slope = np.zeros((shared, shared)), np.zeros(shared)
    for residuals, jacobian in parts:
        both, gradient = jacobian.T @ jacobian, jacobian.T @ residuals
        both[np.diag_indices_from(both)] *= 1 + damping
        across = np.linalg.solve(both[shared:, shared:], np.column_stack((both[shared:, :shared], gradient[shared:])))
        information += both[:shared, :shared] - both[:shared, shared:] @ across[:, :shared]
        slope += gradient[:shared] - both[:shared, shared:] @ across[:, shared]
    return information, slope


def _step(
    parts: Sequence[tuple[FloatArray, FloatArray]], shared: int, damping: float
) -> tuple[FloatArray, list[FloatArray]]:
    """Return the step of the shared parameters, and of each pose."""
    information, slope = _reduced(parts, shared, damping)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    step = -np.linalg.lstsq(information / np.outer(scale, scale), slope / scale, rcond=1e-14)[0] / scale
    steps = []
    for residuals, jacobian in parts:
        own, others = jacobian[:, shared:], jacobian[:, :shared]
        normal = own.T @ own
        normal[np.diag_indices_from(normal)] *= 1 + damping
        steps.append(-np.linalg.solve(normal, own.T @ (residuals + others @ step)))
    return step, steps
