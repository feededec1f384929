"""How the thermal image is to be aligned."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rgbt_seg_ros.errors import UserError

MODES = ("auto", "none", "homography", "plane", "depth")


class AlignmentError(UserError):
    """An alignment setting that cannot be used, or an image that cannot be aligned with it."""


@dataclass(frozen=True)
class AlignmentSettings:
    """How the thermal image is brought into the RGB image's pixels.

    Attributes:
        mode: One of ``MODES``. ``auto`` does what the calibration holds: ``plane`` where it has a plane's distance, both lenses
            and the extrinsic, else ``homography``; ``none`` without a calibration.
        calibration: Path of a calibration file; empty for none, or where the calibration comes from camera_info and TF. Mode
            ``none`` reads no file and refuses one, since a calibration that is silently ignored looks like one that works.
        plane_distance: m along the RGB camera's axis, for mode ``plane``; 0: the calibration's.
        depth_missing: m, the distance that mode ``depth`` takes for pixels without depth (sky, or beyond the sensor's reach);
            0: they are not aligned, and unlabeled.
    """

    mode: str = "auto"
    calibration: str = ""
    plane_distance: float = 0.0
    depth_missing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist, a calibration nothing would read, and distances that are none."""
        if self.mode not in MODES:
            raise AlignmentError(f"alignment.mode: '{self.mode}' is not one of {', '.join(MODES)}")
        if self.calibration and self.mode == "none":
            raise AlignmentError(
                f"alignment.calibration: mode '{self.mode}' reads no calibration file, but "
                f"'{self.calibration}' was given; leave it empty"
            )
        for name, value in (("plane_distance", self.plane_distance), ("depth_missing", self.depth_missing)):
            if not 0 <= value < math.inf:
                raise AlignmentError(f"alignment.{name}: {value:g} is no distance in metres, nor 0")
