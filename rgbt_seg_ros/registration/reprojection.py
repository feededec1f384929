"""Where a calibration says that points seen by both cameras lie, against where they were seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.calibration.projection import project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.homography_fit import apply
from rgbt_seg_ros.registration.pose_fit import check_positions

_SAME_POINT = 1 / 32
"""Of the RGB image's width: positions that lie farther from their pixels in most cases are of another frame or unit, which is no
matter of the calibration that is to be checked."""


@dataclass(frozen=True)
class Reprojection:
    """Reprojection errors in the thermal image.

    Attributes:
        expected: (N, 2) float64, thermal pixels (x, y) where the points should be; NaN where the calibration gives them no place.
        errors: (N,) float64, px from there to where they were seen; NaN where ``expected`` is.
        rgb_errors: (N,) float64, the same as px of the RGB image.
    """

    expected: FloatArray
    errors: FloatArray
    rgb_errors: FloatArray

    @property
    def rms(self) -> float:
        """RMS of the errors in thermal px, of the points that have one; infinite where there is none. See ``lost``."""
        return _rms(self.errors)

    @property
    def rgb_rms(self) -> float:
        """RMS of the errors in RGB px, in the same way."""
        return _rms(self.rgb_errors)

    @property
    def lost(self) -> int:
        """How many points have no finite error: both cameras saw them, and by the calibration they cannot have."""
        return int(np.sum(~(np.isfinite(self.errors) & np.isfinite(self.rgb_errors))))

    def in_words(self) -> str:
        """Return what the points err by, in px of the RGB image; points without an error are told."""
        count = len(self.errors)
        if self.lost == count:
            return f"have no place in the thermal image by this calibration, none of {count}"
        err = f"err by {self.rgb_rms:.1f} px RMS"
        return (
            f"{err}, {self.lost} of {count} having no place in the thermal image by this calibration"
            if self.lost
            else err
        )


def _rms(errors: FloatArray) -> float:
    seen = errors[np.isfinite(errors)]
    return float(np.sqrt(np.mean(seen**2))) if len(seen) else float("inf")


def reproject(aligner: Aligner, points: Correspondences) -> Reprojection:
    """Bring the RGB points into the thermal image as a mode does.

    Args:
        aligner: With its calibration; mode ``homography``, ``plane`` or ``depth``.
        points: At least one; for mode ``depth`` with positions or depths. Of a position its Z counts, with the RGB pixel, as
            of a depth image: an error of the RGB camera's lens shows too.

    Raises:
        PointsError: There is no point, mode ``depth`` and no depth, or positions that the RGB camera sees far from their pixels.
    """
    if not len(points):
        raise PointsError("no points; at least one was expected")
    calibration = aligner.calibration
    if aligner.mode == "depth" and points.position is not None and calibration is not None:
        positions = check_positions(points, calibration.rgb, _SAME_POINT * calibration.rgb.size[1])
        points = replace(points, position=None, depth=positions[:, 2])
    expected = _expected(aligner, points)
    errors = np.linalg.norm(expected - points.thermal, axis=1)
    # A pixel's worth of the RGB image, measured in the thermal image where the point is.
    sizes = []
    for axis in range(2):
        step = np.zeros(2)
        step[axis] = 0.5
        moved = [_expected(aligner, replace(points, rgb=points.rgb + sign * step)) for sign in (-1, 1)]
        sizes.append(np.linalg.norm(moved[1] - moved[0], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Reprojection(expected, errors, errors / np.mean(sizes, 0))


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
