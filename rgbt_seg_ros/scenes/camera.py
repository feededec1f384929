"""The pinhole camera: world X to the right, Y up, Z ahead, in metres; camera x right, y down, z along the view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray

NEAR = 0.35
"""Depth (m) of the plane that everything is clipped at."""


@dataclass(frozen=True)
class Pose:
    """Where the camera is and looks: metres; radians, ``yaw`` to the right, ``pitch`` down, ``roll`` clockwise."""

    x: float
    height: float
    z: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Camera:
    """A pose, an image size (H, W), the focal length and the principal point (``middle``: x, y) in pixels."""

    pose: Pose
    size: tuple[int, int]
    focal: float
    rotation: AnyArray
    position: AnyArray
    middle: AnyArray

    @property
    def centre(self) -> tuple[float, float]:
        """The principal point (x, y) in pixels."""
        return (self.size[1] - 1) / 2, (self.size[0] - 1) / 2

    @property
    def unit(self) -> float:
        """Pixels per pixel of an image 480 high, for widths of blur and smallest sizes."""
        return self.size[0] / 480.0

    def to_camera(self, points: AnyArray) -> AnyArray:
        """Turn (N, 3) world points into camera coordinates."""
        moved: AnyArray = (np.asarray(points, np.float32) - self.position) @ self.rotation.T
        return moved

    def to_pixels(self, seen: AnyArray) -> AnyArray:
        """Project (N, 3) camera points, all before the near plane, to (N, 2) pixels."""
        pixels: AnyArray = seen[:, :2] * (self.focal / seen[:, 2:])
        pixels += self.middle
        return pixels

    def depth_of(self, x: float, z: float, y: float = 0.0) -> float:
        """Return how far along the view a world point lies (m)."""
        offset = np.array((x, y, z), np.float32) - self.position
        return float(self.rotation[2] @ offset)

    def ray_coefficients(self, axis: AnyArray) -> AnyArray:
        """Return (a, b, c) with a·column + b·row + c = axis · ray, for a camera-frame axis and rays of depth one."""
        cx, cy = self.centre
        a, b = axis[0] / self.focal, axis[1] / self.focal
        return np.array((a, b, axis[2] - a * cx - b * cy), np.float32)


def look(pose: Pose, size: tuple[int, int], focal: float) -> Camera:
    """Build the camera of a pose; ``focal`` is in widths of a 4:3 image of the same height."""
    sy, cy = math.sin(pose.yaw), math.cos(pose.yaw)
    sp, cp = math.sin(pose.pitch), math.cos(pose.pitch)
    forward = np.array((sy * cp, -sp, cy * cp))
    right = np.array((cy, 0.0, -sy))
    down = np.cross(right, forward)
    sr, cr = math.sin(pose.roll), math.cos(pose.roll)
    rotation = np.stack((cr * right + sr * down, cr * down - sr * right, forward)).astype(np.float32)
    position = np.array((pose.x, pose.height, pose.z), np.float32)
    middle = np.array(((size[1] - 1) / 2, (size[0] - 1) / 2), np.float32)
    return Camera(pose, size, focal * max(size[1], size[0] * 4 / 3), rotation, position, middle)


def clip_near(seen: AnyArray) -> AnyArray:
    """Cut the polygon of (N, 3) camera points at the near plane (Sutherland and Hodgman 1974); may be empty."""
    kept: list[AnyArray] = []
    previous = seen[-1]
    for point in seen:
        inside, before = point[2] >= NEAR, previous[2] >= NEAR
        if inside != before:
            kept.append(previous + (NEAR - previous[2]) / (point[2] - previous[2]) * (point - previous))
        if inside:
            kept.append(point)
        previous = point
    return np.asarray(kept, np.float32).reshape(-1, 3)
