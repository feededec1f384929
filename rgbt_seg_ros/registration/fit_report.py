"""What is said of a fit: residuals of every point, and what goes into the provenance of a calibration file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import Calibration


@dataclass(frozen=True)
class PointErrors:
    """Reprojection errors.

    Attributes:
        residuals: (N,) float64 px, of every point given.
        inliers: (N,) bool, which of them the fit is made of.
    """

    residuals: FloatArray
    inliers: npt.NDArray[np.bool_]

    def metrics(self) -> dict[str, float]:
        """Return RMS, median and largest of the inliers, px."""
        kept = self.residuals[self.inliers]
        return {
            "rms_px": float(np.sqrt(np.mean(kept**2))),
            "median_px": float(np.median(kept)),
            "max_px": float(np.max(kept)),
        }


def kept_notes(base: Calibration, fitted: Collection[str]) -> list[str]:
    """Return what parts of an earlier calibration were kept that no longer go with what was fitted, a sentence each.

    Args:
        base: The earlier one.
        fitted: Its parts that were fitted: ``extrinsic``, ``homography``.
    """
    notes = []
    if "extrinsic" in fitted and "homography" not in fitted and base.h_rgb_thermal is not None:
        notes.append("note: the homography is kept as it was, and is not of the new extrinsic")
    lenses = base.rgb.has_lens and base.thermal.has_lens
    if "extrinsic" not in fitted and lenses and base.t_rgb_thermal is not None and base.plane_distance:
        notes.append(
            "note: alignment.mode auto takes the extrinsic and plane_distance that were kept, not this homography; "
            "set alignment.mode to homography for it"
        )
    return notes


def stamped(calibration: Calibration, what: str, tool: str, metrics: Mapping[str, Any]) -> Calibration:
    """Return the calibration with provenance of one of its parts.

    Args:
        calibration: With the new part in it.
        what: The part, such as ``extrinsic``; every key begins with it, and older ones that do are gone.
        tool: Command that made it.
        metrics: Keys and values, numbers or texts or arrays; None is left out.
    """
    kept = {key: value for key, value in calibration.provenance.items() if not key.startswith(f"{what}_")}
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    new = {"tool": tool, "date": date, **{key: value for key, value in metrics.items() if value is not None}}
    return replace(calibration, provenance={**kept, **{f"{what}_{key}": value for key, value in new.items()}})
