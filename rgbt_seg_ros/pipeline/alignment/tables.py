"""The tables of the modes that do not change from frame to frame: homography and plane."""

from __future__ import annotations

import math

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.alignment.resample import Table, working_size
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.camera import scaling
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, pixel_grid, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse


def homography_table(calibration: Calibration, size: tuple[int, int]) -> Table:
    """Return the table of a fitted homography for an RGB image resized to (H, W).

    Raises:
        CalibrationError: The calibration holds no homography.
    """
    step = _homography_step(homography_at(calibration, size, calibration.thermal.size), calibration.thermal.size)
    source = working_size(calibration.thermal.size, step)
    matrix = homography_at(calibration, size, source)
    return Table.of(_through(np.asarray(np.linalg.inv(matrix), np.float64), matrix, size, source), source)


def homography_at(calibration: Calibration, size: tuple[int, int], source: tuple[int, int]) -> FloatArray:
    """Return H_rgb_thermal (3, 3) between a thermal image resized to ``source`` and an RGB image resized to ``size``."""
    rgb, thermal = calibration.rgb.size, calibration.thermal.size
    there = scaling(size[1] / rgb[1], size[0] / rgb[0])
    back = np.linalg.inv(scaling(source[1] / thermal[1], source[0] / thermal[0]))
    return np.asarray(there @ calibration.homography @ back)


def _homography_step(matrix: FloatArray, thermal: tuple[int, int]) -> float:
    """Return how many thermal pixels lie between two pixels of the result, in the middle of the thermal image."""
    weight = matrix[2] @ np.array(((thermal[1] - 1) / 2, (thermal[0] - 1) / 2, 1.0))
    # The area that a small square keeps, det(H) / w³.
    return float(math.sqrt(abs(weight**3 / np.linalg.det(matrix))))


def _through(back: FloatArray, there: FloatArray, size: tuple[int, int], source: tuple[int, int]) -> FloatArray:
    """Return where (H, W) pixels lie in the thermal image; NaN beyond the horizon."""
    middle = there @ np.array(((source[1] - 1) / 2, (source[0] - 1) / 2, 1.0))
    sign = np.sign((back @ (middle / middle[2]))[2])
    grid = pixel_grid(size)
    points = grid @ back[:, :2].T + back[:, 2]
    weight = points[..., 2:] * sign
    return np.asarray(points[..., :2] * sign / np.where(weight > 1e-12, weight, np.nan))


def plane_table(calibration: Calibration, distance: float, size: tuple[int, int]) -> Table:
    """Return the table for what lies on the plane z = ``distance`` (m) of the RGB camera's optical frame.

    Args:
        calibration: Both cameras and the extrinsic.
        distance: m along the RGB camera's axis.
        size: (H, W) that the RGB image is resized to.

    Raises:
        CalibrationError: An intrinsic or the extrinsic is missing.
    """
    source = working_size(calibration.thermal.size, sampling_step(calibration, size))
    return Table.of(plane_positions(calibration, distance, size, source), source)


def plane_positions(
    calibration: Calibration, distance: float, size: tuple[int, int], source: tuple[int, int]
) -> FloatArray:
    """Return (H, W, 2) positions in a thermal image resized to ``source``; NaN where it does not look."""
    points = rays(calibration.rgb.scaled(size), pixel_grid(size)) * distance
    transform = inverse(calibration.extrinsic)
    return project(calibration.thermal.scaled(source), points @ transform[:3, :3].T + transform[:3, 3])


def sampling_step(calibration: Calibration, size: tuple[int, int]) -> float:
    """Return how many thermal pixels lie between two pixels of an RGB image resized to (H, W), by the focal lengths."""
    thermal = effective_matrix(calibration.thermal)
    rgb = effective_matrix(calibration.rgb.scaled(size))
    return float(min(thermal[0, 0] / rgb[0, 0], thermal[1, 1] / rgb[1, 1]))
