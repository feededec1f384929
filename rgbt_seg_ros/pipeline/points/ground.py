"""Points without any depth: rays of pixels that show the ground meet a plane, and obstacles stand where they touch it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray, IntArray
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, rays
from rgbt_seg_ros.pipeline.masks import UNLABELED

_COARSEST = 0.5
"""m on the ground from one row of pixels to the next; beyond, one pixel says too little about where something is."""

_OVERHANG = 3.0
"""px that a foot may lie above the line between the feet beside it: an arm or a bumper above the ground lies higher."""


@dataclass(frozen=True)
class Plane:
    """The ground in the RGB camera's optical frame: points p with normal · p = height.

    Attributes:
        normal: Unit vector from the camera down to the ground.
        height: m, of the camera above the ground; above 0.
    """

    normal: tuple[float, float, float]
    height: float


def plane_of_mount(height: float, pitch: float) -> Plane:
    """Return the ground below a camera.

    Args:
        height: m, of the camera above the ground.
        pitch: rad, by which the camera looks down; it does not lean to a side.
    """
    return Plane((0.0, float(np.cos(pitch)), float(np.sin(pitch))), height)


def plane_of_frame(transform: FloatArray) -> Plane | None:
    """Return the plane z = 0 of a frame whose z axis points up; None where the camera is not above it.

    Args:
        transform: (4, 4), from that frame into the RGB camera's optical frame.
    """
    up = transform[:3, 2]
    height = -float(up @ transform[:3, 3])
    return Plane((-float(up[0]), -float(up[1]), -float(up[2])), height) if height > 0 else None


class GroundPoints:
    """Where the ground lies that the pixels of an RGB image show; the rays of the pixels are worked out once."""

    def __init__(self, camera: CameraModel) -> None:
        """Prepare for the images of an RGB camera.

        Raises:
            CalibrationError: The intrinsics are not known.
        """
        directions = rays(camera, pixel_grid(camera.size))
        self._rays = tuple(np.ascontiguousarray(directions[..., axis], dtype=np.float32) for axis in range(3))
        self._plane: Plane | None = None
        self._met: tuple[Float32Array, ...] = ()

    def planes(
        self, label: ByteArray, ground: npt.NDArray[np.bool_], plane: Plane
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Return x, y and z in the RGB camera's optical frame, each (H, W) float32 in m.

        Args:
            label: (H, W) uint8 class ids.
            ground: (256,) bool, which of them are ground; all others but 255 are obstacles.
            plane: Where the ground lies.

        Returns:
            NaN but for pixels of the ground and the feet of obstacles: the lowest pixels that show them, where the pixel below
            shows the ground. What stands above a foot says nothing about the ground behind it.
        """
        if plane != self._plane:
            self._plane, self._met = plane, self._meet(plane)
        flat = np.asarray(cv2.LUT(label, ground.view(np.uint8)), np.uint8).view(np.bool_)
        kept = flat | feet(flat, label != UNLABELED)
        kept &= self._reached
        x, y, z = (np.where(kept, values, np.float32(np.nan)) for values in self._met)
        return x, y, z

    def _meet(self, plane: Plane) -> tuple[Float32Array, ...]:
        nx, ny, nz = (np.float32(value) for value in plane.normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.float32(plane.height) / (self._rays[0] * nx + self._rays[1] * ny + self._rays[2] * nz)
            step = np.abs(np.diff(distance, axis=0, append=distance[-1:]))
            self._reached = (distance > 0) & (distance < np.inf) & (step < _COARSEST)
        return tuple(ray * distance for ray in self._rays)


def feet(ground: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels where obstacles touch the ground, both (H, W).

    Of each obstacle only those pixels count that lie on the line around its lowest ones: below an arm, a handlebar or a bumper
    the ground is seen too, but farther away than they are.

    Args:
        ground: Which pixels show the ground.
        known: Which pixels have a label.
    """
    obstacle = known & ~ground
    touching = np.zeros_like(ground)
    touching[:-1] = obstacle[:-1] & ground[1:]
    if not touching.any():
        return touching
    _, parts = cv2.connectedComponents(obstacle.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    row, column = np.nonzero(touching)
    part = np.asarray(parts)[row, column]
    order = np.argsort(part, kind="stable")
    for run in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        high = run[row[run] < _lowest(column[run], row[run]) - _OVERHANG]
        touching[row[high], column[high]] = False
    return touching


def _lowest(column: IntArray, row: IntArray) -> FloatArray:
    """Return for pixels (N,) of one obstacle the row of the line around their lower side (their convex hull) in each column."""
    hull = np.asarray(cv2.convexHull(np.stack((column, row), 1).astype(np.int32))).reshape(-1, 2)
    left, right = hull[:, 0].min(), hull[:, 0].max()
    ends = [hull[hull[:, 0] == end, 1].max() for end in (left, right)]
    if left == right:
        return np.full(len(column), float(ends[0]))
    chord = ends[0] + (hull[:, 0] - left) * (ends[1] - ends[0]) / (right - left)
    lower = hull[hull[:, 1] >= chord]
    lower = lower[np.lexsort((lower[:, 1], lower[:, 0]))]
    # Of two corners in one column the lower one, which comes last.
    last = np.append(np.diff(lower[:, 0]) > 0, True)
    return np.asarray(np.interp(column, lower[last, 0], lower[last, 1]), np.float64)
