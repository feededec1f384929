"""Rigid transforms: matrices, quaternions, and what tf2 answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CalibrationError


def flat(matrix: AnyArray) -> tuple[float, ...]:
    """Return a matrix row by row as a tuple, as the calibration's classes hold it."""
    return tuple(float(value) for value in matrix.ravel())


def inverse(transform: FloatArray) -> FloatArray:
    """Return T_b_a of a rigid T_a_b (4, 4), exactly rigid again."""
    result = np.eye(4)
    result[:3, :3] = transform[:3, :3].T
    result[:3, 3] = -transform[:3, :3].T @ transform[:3, 3]
    return result


def transform_from(translation: Sequence[float], quaternion: Sequence[float], key: str = "transform") -> FloatArray:
    """Return the (4, 4) matrix of a translation (x, y, z in m) and a quaternion (x, y, z, w), as geometry_msgs has them.

    Raises:
        CalibrationError: A number is not finite, or the quaternion is not of length 1 (within 1 %); ``key`` names it.
    """
    x, y, z, w = quaternion
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not all(map(math.isfinite, (*translation, norm))) or abs(norm - 1) > 0.01:
        raise CalibrationError(
            key, f"translation {list(translation)} and quaternion {list(quaternion)} are not a rigid transform"
        )
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    matrix = np.eye(4)
    matrix[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    matrix[:3, 3] = translation
    return matrix


def quaternion_of(rotation: FloatArray) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w), w at least 0, of a (3, 3) rotation; by its largest part (Shepperd 1978)."""
    m = rotation
    trace = float(np.trace(m))
    candidates = np.array((m[0, 0], m[1, 1], m[2, 2], trace))
    largest = int(np.argmax(candidates))
    if largest == 3:
        parts = np.array((m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1 + trace))
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        parts = np.empty(4)
        parts[i] = 1 + m[i, i] - m[j, j] - m[k, k]
        parts[j] = m[j, i] + m[i, j]
        parts[k] = m[k, i] + m[i, k]
        parts[3] = m[k, j] - m[j, k]
    parts = parts / np.linalg.norm(parts)
    x, y, z, w = (float(value) for value in (parts if parts[3] >= 0 else -parts))
    return x, y, z, w
