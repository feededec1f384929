"""A calibrated rig: an RGB camera, a thermal camera, and what brings pixels of one into the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError, CameraModel, check_rotation, scaling

DEPTH_PIXELS = ("rectified", "raw")

LARGEST_TIME_OFFSET = 10.0
"""s; as the parameter sync.thermal_offset."""


@dataclass(frozen=True)
class Calibration:
    """A calibrated rig. Vectors are columns; T_a_b takes points of frame b into frame a, and H_a_b pixels in the same way.

    Attributes:
        rgb: The RGB camera.
        thermal: The thermal camera.
        t_rgb_thermal: T_rgb_thermal (4x4), row by row, metres: p_rgb = T_rgb_thermal · p_thermal, between the optical frames;
            what tf2 answers to lookup_transform(target=rgb frame, source=thermal frame). None: not known.
        h_rgb_thermal: H_rgb_thermal (3x3), row by row: thermal pixels into RGB pixels, both of the cameras' sizes and of the
            images as they arrive. None: not known.
        plane_distance: m along the RGB camera's optical axis: where mode ``plane`` has its plane; None: not set.
        time_offset: s, to be added to thermal stamps before pairing, as ``sync.thermal_offset``.
        depth_pixels: Whose pixels a depth image has: ``rectified`` (R and P of the RGB camera, as depth_image_proc
            registers it) or ``raw`` (the RGB image's own, distortion and all, as some drivers align it).
        provenance: Where it came from and how good it is; free keys with texts, numbers and lists of numbers.

    Raises:
        CalibrationError: A value that no rig has, by its key.
    """

    rgb: CameraModel
    thermal: CameraModel
    t_rgb_thermal: tuple[float, ...] | None = None
    h_rgb_thermal: tuple[float, ...] | None = None
    plane_distance: float | None = None
    time_offset: float = 0.0
    depth_pixels: str = "rectified"
    provenance: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what no rig has."""
        if self.t_rgb_thermal is not None:
            _check_transform(self.t_rgb_thermal)
        if self.h_rgb_thermal is not None:
            check_homography(self.h_rgb_thermal, self.thermal.size, self.rgb.size)
        if self.plane_distance is not None and not 0 < self.plane_distance < math.inf:
            raise CalibrationError("plane_distance", f"{self.plane_distance:g} is not a distance in m above 0")
        if not abs(self.time_offset) <= LARGEST_TIME_OFFSET:
            raise CalibrationError(
                "time_offset",
                f"{self.time_offset:g} s is not between -{LARGEST_TIME_OFFSET:g} and {LARGEST_TIME_OFFSET:g}",
            )
        if self.depth_pixels not in DEPTH_PIXELS:
            raise CalibrationError("depth.pixels", f"'{self.depth_pixels}' is not one of {', '.join(DEPTH_PIXELS)}")

    @property
    def extrinsic(self) -> FloatArray:
        """T_rgb_thermal as (4, 4) float64: p_rgb = T · p_thermal, metres.

        Raises:
            CalibrationError: It is not known.
        """
        if self.t_rgb_thermal is None:
            raise CalibrationError("extrinsic.T_rgb_thermal", "missing")
        return np.array(self.t_rgb_thermal, np.float64).reshape(4, 4)

    @property
    def homography(self) -> FloatArray:
        """H_rgb_thermal as (3, 3) float64: thermal pixel (x, y, 1) → RGB pixel, with 1 at the lower right.

        So scaled, the third coordinate is positive all over the thermal image: its corner (0, 0) is on the same side of the
        horizon as the rest (``check_homography``).

        Raises:
            CalibrationError: It is not known.
        """
        if self.h_rgb_thermal is None:
            raise CalibrationError("homography.H_rgb_thermal", "missing")
        return np.array(self.h_rgb_thermal, np.float64).reshape(3, 3) / self.h_rgb_thermal[8]

    def check_cameras(
        self, rgb_frame: str = "", thermal_frame: str = "", rgb_serial: str = "", thermal_serial: str = ""
    ) -> None:
        """Refuse images of other cameras; what is empty here or in the calibration is not compared.

        Raises:
            CalibrationError: A frame_id or a serial number is given on both sides and differs.
        """
        given = (
            ("rgb.frame_id", self.rgb.frame_id, rgb_frame),
            ("thermal.frame_id", self.thermal.frame_id, thermal_frame),
            ("rgb.serial", self.rgb.serial, rgb_serial),
            ("thermal.serial", self.thermal.serial, thermal_serial),
        )
        for key, ours, theirs in given:
            # tf2 drops a leading slash; so do frames that come from an old bag.
            if ours and theirs and ours.lstrip("/") != theirs.lstrip("/"):
                raise CalibrationError(key, f"the calibration is for '{ours}', the images come from '{theirs}'")

    def check_sizes(self, rgb: tuple[int, int], thermal: tuple[int, int]) -> None:
        """Refuse images of other sizes (height, width) than the calibration is for.

        Raises:
            CalibrationError: Either size differs.
        """
        for key, ours, theirs in (("rgb", self.rgb.size, rgb), ("thermal", self.thermal.size, thermal)):
            if ours != theirs:
                raise CalibrationError(
                    f"{key}.size",
                    f"the calibration is for images of {ours[0]}x{ours[1]} (HxW), this one has {theirs[0]}x{theirs[1]}",
                )


def _check_transform(values: tuple[float, ...]) -> None:
    key = "extrinsic.T_rgb_thermal"
    if len(values) != 16 or not all(map(math.isfinite, values)):
        raise CalibrationError(key, "wrong length or not finite", "4 rows of 4 finite numbers")
    if values[12:] != (0, 0, 0, 1):
        raise CalibrationError(key, f"the last row is {list(values[12:])}", "0 0 0 1")
    matrix = np.array(values, np.float64).reshape(4, 4)
    check_rotation(matrix[:3, :3], key)
    if np.linalg.norm(matrix[:3, 3]) > 10:
        raise CalibrationError(
            key, f"the cameras are {np.linalg.norm(matrix[:3, 3]):.3g} m apart", "a translation in m, at most 10"
        )


def check_homography(values: tuple[float, ...], thermal: tuple[int, int], rgb: tuple[int, int]) -> None:
    """Refuse a homography that is singular, flipped, or tears the thermal image apart.

    Args:
        values: H_rgb_thermal, row by row.
        thermal: (height, width) of the thermal image.
        rgb: (height, width) of the RGB image.

    Raises:
        CalibrationError: The sentence says which.
    """
    key = "homography.H_rgb_thermal"
    if len(values) != 9 or not all(map(math.isfinite, values)):
        raise CalibrationError(key, "wrong length or not finite", "3 rows of 3 finite numbers")
    matrix = np.array(values, np.float64).reshape(3, 3)
    # In units of the images, so that a determinant near 0 means the same at every resolution.
    unit = scaling(1 / rgb[1], 1 / rgb[0]) @ matrix @ np.linalg.inv(scaling(1 / thermal[1], 1 / thermal[0]))
    largest = float(np.abs(unit).max())
    if largest == 0 or abs(np.linalg.det(unit / largest)) < 1e-6:
        raise CalibrationError(key, "singular: it maps the thermal image onto a line or a point")
    height, width = thermal
    corners = np.array(
        ((-0.5, -0.5, 1), (width - 0.5, -0.5, 1), (-0.5, height - 0.5, 1), (width - 0.5, height - 0.5, 1))
    )
    weights = corners @ matrix[2]
    if not (np.all(weights > 0) or np.all(weights < 0)):
        raise CalibrationError(key, "the horizon runs through the thermal image, so part of it lies at infinity")
    # The sign of the area that a small square keeps: det(H) / w³, of one sign where w is.
    if np.linalg.det(matrix) * np.sign(weights[0]) < 0:
        raise CalibrationError(
            key, "flipped: it mirrors the thermal image, as points in another order or along another axis do"
        )
