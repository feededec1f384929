"""How the thermal image is to be aligned."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rgbt_seg_ros.errors import SettingError

MODES = ("auto", "none", "homography", "plane", "depth")


class AlignmentError(SettingError):
    """An alignment setting that cannot be used, by its field, or an image that cannot be aligned, in one sentence."""

    def __init__(self, key: str, problem: str = "", expected: str = "", prefix: str = "") -> None:
        """Take the field and what is wrong with it, or one sentence."""
        super().__init__(key, problem, expected, prefix)


@dataclass(frozen=True)
class AlignmentSettings:
    """How the thermal image is brought into the RGB image's pixels.

    Attributes:
        mode: One of ``MODES``. ``auto`` does what the calibration holds: ``plane`` where it has a plane's distance, both lenses
            and the extrinsic, else ``homography``; ``none`` without a calibration.
        calibration: Path of a calibration file; empty: none, or the calibration comes from camera_info and TF. Mode ``none``
            reads no file and refuses one, since a calibration that is silently ignored looks like one that works.
        plane_distance: m along the RGB camera's axis, for mode ``plane``; 0: the calibration's.
        depth_missing: m, the distance that mode ``depth`` takes for pixels without depth (sky, or beyond the sensor's reach);
            0: they are not aligned, and unlabeled.
    """

    mode: str = "auto"
    calibration: str = ""
    plane_distance: float = 0.0
    depth_missing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist, a calibration that nothing would read, and distances below 0."""
        if self.mode not in MODES:
            raise AlignmentError("mode", f"'{self.mode}' is not one of {', '.join(MODES)}")
        if self.calibration and self.mode == "none":
            raise AlignmentError(
                "calibration", f"'{self.calibration}', but mode '{self.mode}' reads no calibration file; leave it empty"
            )
        for name, value in (("plane_distance", self.plane_distance), ("depth_missing", self.depth_missing)):
            if not 0 <= value < math.inf:
                raise AlignmentError(name, f"{value:g} is not a distance in m, or 0")
