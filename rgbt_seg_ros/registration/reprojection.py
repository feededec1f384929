"""Where a calibration says that points seen by both cameras lie, against where they were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.calibration.camera import FloatArray
from rgbt_seg_ros.pipeline.calibration.projection import project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.homography_fit import apply


@dataclass(frozen=True)
class Reprojection:
    """Reprojection errors in the thermal image.

    Attributes:
        expected: (N, 2) float64, thermal pixels (x, y) where the points should be; NaN where the camera does not look.
        errors: (N,) float64, px from there to where they were seen; NaN likewise.
        rgb_errors: (N,) float64, the same as px of the RGB image.
    """

    expected: FloatArray
    errors: FloatArray
    rgb_errors: FloatArray

    @property
    def rms(self) -> float:
        """RMS of the errors in thermal px; infinite where the camera does not see a single point."""
        return _rms(self.errors)

    @property
    def rgb_rms(self) -> float:
        """RMS of the errors in RGB px, likewise."""
        return _rms(self.rgb_errors)


def _rms(errors: FloatArray) -> float:
    seen = errors[np.isfinite(errors)]
    return float(np.sqrt(np.mean(seen**2))) if len(seen) else float("inf")


def reproject(aligner: Aligner, points: Correspondences) -> Reprojection:
    """Bring the RGB points into the thermal image as a mode does.

    Args:
        aligner: With its calibration; mode ``homography``, ``plane`` or ``depth``.
        points: At least one; for mode ``depth`` with positions or depths.

    Raises:
        PointsError: There is no point, or mode ``depth`` and no depth.
    """
    if not len(points):
        raise PointsError("no points; at least one was expected")
    expected = _expected(aligner, points)
    errors = np.linalg.norm(expected - points.thermal, axis=1)
    # A pixel's worth of the RGB image, measured in the thermal image where the point is.
    sizes = []
    for axis in range(2):
        step = np.zeros(2)
        step[axis] = 0.5
        moved = [_expected(aligner, _moved(points, sign * step)) for sign in (-1, 1)]
        sizes.append(np.linalg.norm(moved[1] - moved[0], axis=1))
    return Reprojection(expected, errors, errors / np.mean(sizes, 0))


def _moved(points: Correspondences, step: FloatArray) -> Correspondences:
    if points.position is None:
        return Correspondences(points.rgb + step, points.thermal, None, points.depth)
    # Of a point in space only its distance stays.
    return Correspondences(points.rgb + step, points.thermal, None, points.position[:, 2])


def _expected(aligner: Aligner, points: Correspondences) -> FloatArray:
    calibration = aligner.calibration
    assert calibration is not None
    if aligner.mode == "homography":
        return apply(np.asarray(np.linalg.inv(calibration.homography), np.float64), points.rgb)
    if aligner.mode == "plane":
        positions = rays(calibration.rgb, points.rgb) * aligner.plane_distance
    elif not points.has_range:
        raise PointsError("mode depth: the points have no depth; expected a column depth, or X, Y and Z")
    else:
        positions = points.positions(calibration.rgb)
    back = inverse(calibration.extrinsic)
    return project(calibration.thermal, positions @ back[:3, :3].T + back[:3, 3])
