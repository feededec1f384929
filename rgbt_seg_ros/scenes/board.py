"""Upright flat figures that face the camera, drawn in metres: people, cycles, signs."""

from __future__ import annotations

import math

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.canvas import Canvas, Material

_TURN = np.linspace(0, 2 * math.pi, 14, endpoint=False, dtype=np.float32)
CIRCLE: Float32Array = np.stack((np.cos(_TURN), np.sin(_TURN)), 1)
_HALF = np.linspace(-math.pi / 2, math.pi / 2, 5, dtype=np.float32)
_CAP: Float32Array = np.stack((np.cos(_HALF), np.sin(_HALF)), 1)


class Board:
    """The upright plane at a world point (x, y, z), seen square on; coordinates are metres right of it and above it."""

    def __init__(self, canvas: Canvas, x: float, z: float, y: float = 0.0, seed: int = 0) -> None:
        camera = canvas.camera
        self.canvas = canvas
        seen = camera.to_camera(np.array(((x, y, z),), np.float32))[0]
        self.depth = float(seen[2])
        right, down, forward = camera.rotation
        self.scale = camera.focal / max(self.depth, 0.1)
        cx, cy = camera.centre
        self.origin = np.array((cx + seen[0] * self.scale, cy + seen[1] * self.scale), np.float32)
        roll = camera.pose.roll
        self._turn = (
            np.array(((math.cos(roll), -math.sin(roll)), (-math.sin(roll), -math.cos(roll))), np.float32) * self.scale
        )
        facing = -forward * 0.85 + np.array((0, 0.4, 0))
        self.surface = canvas.plane((x, y, z), right, -down, normal=facing, seed=seed)

    @property
    def size(self) -> float:
        """Pixels a metre takes, as in an image 480 high."""
        return self.scale / self.canvas.camera.unit

    def pixels(self, points: AnyArray) -> Float32Array:
        """Turn (N, 2) metres into pixels."""
        moved: Float32Array = np.asarray(points, np.float32) @ self._turn + self.origin
        return moved

    def poly(self, points: AnyArray, material: Material, label: int = 0) -> None:
        """Paint a polygon of (N, 2) metres."""
        self.canvas.fill(self.pixels(points), self.canvas.part(material, self.surface), label)

    def mark(self, points: AnyArray, label: int) -> None:
        """Label a polygon of (N, 2) metres without painting it."""
        self.canvas.mark(self.pixels(points), label)

    def rect(self, x0: float, y0: float, x1: float, y1: float, material: Material, label: int = 0) -> None:
        """Paint an upright rectangle."""
        self.poly(np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float32), material, label)

    def ellipse(self, x: float, y: float, rx: float, ry: float, material: Material, label: int = 0) -> None:
        """Paint an ellipse round (x, y)."""
        self.poly(CIRCLE * (rx, ry) + (x, y), material, label)

    def limb(self, start: AnyArray, end: AnyArray, r0: float, r1: float, material: Material, label: int = 0) -> None:
        """Paint a tapered bar with round ends, from ``start`` of radius ``r0`` to ``end`` of radius ``r1``."""
        self.poly(capsule(start, end, r0, r1), material, label)


def xy(x: float, y: float) -> Float32Array:
    """Return a point, or the way from one to another."""
    return np.array((x, y), np.float32)


def capsule(start: AnyArray, end: AnyArray, r0: float, r1: float) -> Float32Array:
    """Return the outline of a tapered bar with round ends, (10, 2)."""
    dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
    length = math.hypot(dx, dy) or 1e-6
    c, s = dx / length, dy / length
    turn = np.array(((c, s), (-s, c)), np.float32)
    return np.concatenate((_CAP @ turn * r1 + end, -_CAP @ turn * r0 + start)).astype(np.float32)
