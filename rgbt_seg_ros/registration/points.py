"""A calibration from points that both cameras see: an extrinsic where lenses and distances are known, else a homography."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.correspondences import Correspondences, PointsError
from rgbt_seg_ros.registration.fit_report import PointErrors, stamped
from rgbt_seg_ros.registration.homography_fit import HomographyFit, fit_homography
from rgbt_seg_ros.registration.pose_fit import PoseFit, fit_pose

TOOL = "rgbt-seg calibrate points"

MODELS = ("auto", "homography", "extrinsic")


@dataclass(frozen=True)
class PointsResult:
    """A calibration, and how well it fits the points.

    Attributes:
        calibration: With provenance.
        model: ``homography`` or ``extrinsic``.
        fit: Of it.
    """

    calibration: Calibration
    model: str
    fit: HomographyFit | PoseFit

    @property
    def errors(self) -> PointErrors:
        """Reprojection errors of every point: in the RGB image for a homography, in the thermal image for an extrinsic."""
        return self.fit.errors


def choose_model(points: Correspondences, base: Calibration, wanted: str = "auto") -> str:
    """Return what can be fitted.

    Raises:
        PointsError: An extrinsic is wanted, and intrinsics or distances are missing; the sentence says which.
    """
    lenses = all(camera.has_lens for camera in (base.rgb, base.thermal))
    if wanted == "extrinsic" and not (lenses and points.has_range):
        missing = "the intrinsics of both cameras" if not lenses else "X, Y, Z or depth of the points"
        raise PointsError(f"an extrinsic needs {missing}; without, a homography can be fitted")
    if wanted == "auto":
        return "extrinsic" if lenses and points.has_range else "homography"
    return wanted


def calibrate_points(
    points: Correspondences, base: Calibration, wanted: str = "auto", threshold: float = 3.0
) -> PointsResult:
    """Fit a homography or an extrinsic.

    Args:
        points: Points seen by both cameras.
        base: Sizes and, where known, intrinsics; all that is not fitted is kept.
        wanted: One of ``MODELS``.
        threshold: px up to which a point agrees.

    Raises:
        PointsError: The points do not determine it.
        CalibrationError: What they determine is not a homography of two cameras.
    """
    model = choose_model(points, base, wanted)
    if model == "extrinsic":
        pose = fit_pose(points, base.rgb, base.thermal, threshold)
        calibration = replace(base, t_rgb_thermal=flat(pose.transform))
        what = "rotation vector (rad) and translation (m), in the RGB camera's frame; intrinsics taken as exact"
        return PointsResult(_stamped(calibration, model, pose.errors, what, pose.covariance), model, pose)
    fit = fit_homography(points, base.rgb.size, base.thermal.size, threshold)
    calibration = replace(base, h_rgb_thermal=flat(fit.matrix))
    what = "h11 h12 h13 h21 h22 h23 h31 h32, with h33 = 1"
    return PointsResult(_stamped(calibration, model, fit.errors, what, fit.covariance), model, fit)


def _stamped(
    calibration: Calibration, model: str, errors: PointErrors, what: str, covariance: FloatArray | None
) -> Calibration:
    counts = {"points": len(errors.residuals), "inliers": int(errors.inliers.sum())}
    uncertain = {} if covariance is None else {"covariance_of": what, "covariance": covariance}
    return stamped(calibration, model, TOOL, {**counts, **errors.metrics(), **uncertain})
