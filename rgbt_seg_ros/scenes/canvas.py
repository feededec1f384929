"""What a scene is painted on: which part of which surface every pixel shows, and the tables that describe the parts.

Painting from far to near leaves one number a pixel. Colour, temperature, depth and texture coordinates follow from
tables, for all pixels at once, in the two radiometry modules.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array
from rgbt_seg_ros.scenes.camera import NEAR, Camera, clip_near
from rgbt_seg_ros.scenes.labels import RGB, Vector

SHIFT = 4
LIMIT = 30000.0 * (1 << SHIFT)


class Material(NamedTuple):
    """What a part is made of.

    Attributes:
        color: Reflectance as an sRGB-like triple, 0 to 255.
        temp: Apparent temperature (Celsius).
        grain, mid, coarse: Relative strength of three sizes of texture in RGB.
        heat_grain, heat_mid, heat_coarse: Strength of the same textures in thermal (Celsius).
        density: How much finer than usual the texture is.
        emission: Light it sends out by itself, linear, 1 = white paper in full sun.
    """

    color: RGB
    temp: float
    grain: float = 0.05
    mid: float = 0.05
    coarse: float = 0.05
    heat_grain: float = 0.1
    heat_mid: float = 0.2
    heat_coarse: float = 0.2
    density: float = 1.0
    emission: RGB = (0.0, 0.0, 0.0)


class Canvas:
    """Images of part numbers, labels, shadow and ground heat under one camera; part 0 is the sky."""

    def __init__(self, camera: Camera) -> None:
        height, width = camera.size
        self.camera = camera
        self.ids = np.zeros((height, width), np.int32)
        self.label: ByteArray = np.zeros((height, width), np.uint8)
        self.shadow: ByteArray = np.zeros((height, width), np.uint8)
        self.occlusion: ByteArray = np.zeros((height, width), np.uint8)
        self.heat: ByteArray = np.zeros((height, width), np.uint8)
        self.surfaces: list[tuple[float, ...]] = []
        self.parts: list[tuple[float, ...]] = []
        self._known: dict[tuple[Material, int], int] = {}
        self.sky = self.part(Material((128, 128, 128), 0.0), self.plane((0, 0, 900), (1, 0, 0), (0, 1, 0)))
        self.ground = self.plane((0, 0, 0), (1, 0, 0), (0, 0, 1), is_ground=True)

    def plane(
        self,
        origin: Vector,
        along: Vector,
        across: Vector,
        is_ground: bool = False,
        normal: Vector | None = None,
        seed: int = 0,
    ) -> int:
        """Add the plane through ``origin`` with two unit axes (world, metres) that texture is laid along."""
        camera = self.camera
        point = camera.to_camera(np.array((origin,), np.float32))[0]
        first = camera.rotation @ np.array(along, np.float32)
        second = camera.rotation @ np.array(across, np.float32)
        facing = cross(first, second)
        distance = float(facing @ point)
        if abs(distance) < 1e-3:
            distance = 1e-3
        inverse = camera.ray_coefficients(facing) / distance
        u = camera.ray_coefficients(first) - float(first @ point) * inverse
        v = camera.ray_coefficients(second) - float(second @ point) * inverse
        if normal is None:
            upright = cross(along, across)
            behind = float(upright @ (camera.position - np.asarray(origin, np.float32))) < 0
            normal = -upright if behind else upright
        offset = (float(seed * 37 % 1021), float(seed * 101 % 1019))
        self.surfaces.append((*inverse, *u, *v, *(float(n) for n in normal), float(is_ground), *offset))
        return len(self.surfaces) - 1

    def part(self, material: Material, surface: int) -> int:
        """Return the number of a material on a surface, new or known."""
        key = (material, surface)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = len(self.parts)
            self.parts.append(
                (
                    *material.color,
                    *material.emission,
                    material.temp,
                    material.grain,
                    material.mid,
                    material.coarse,
                    material.heat_grain,
                    material.heat_mid,
                    material.heat_coarse,
                    material.density,
                    surface,
                )
            )
        return known

    def fill(self, pixels: AnyArray, part: int, label: int = 0) -> None:
        """Paint a polygon of (N, 2) pixels."""
        points = fixed(pixels)
        cv2.fillPoly(self.ids, points, part, cv2.LINE_8, SHIFT)
        cv2.fillPoly(self.label, points, label, cv2.LINE_8, SHIFT)

    def mark(self, pixels: AnyArray, label: int) -> None:
        """Paint a polygon of (N, 2) pixels into the labels only."""
        cv2.fillPoly(self.label, fixed(pixels), label, cv2.LINE_8, SHIFT)

    def project(self, points: AnyArray) -> Float32Array | None:
        """Return the (M, 2) pixels of a polygon of (N, 3) world points, clipped at the near plane; None: nothing left."""
        seen = self.camera.to_camera(points)
        depth = seen[:, 2]
        if float(depth.min()) < NEAR:
            if float(depth.max()) < NEAR:
                return None
            seen = clip_near(seen)
            if len(seen) < 3:
                return None
        return self.camera.to_pixels(seen)

    def fill_world(self, points: AnyArray, part: int, label: int = 0) -> None:
        """Paint a polygon of (N, 3) world points."""
        pixels = self.project(points)
        if pixels is not None:
            self.fill(pixels, part, label)

    def fill_ground(self, points: AnyArray, target: ByteArray, value: int) -> None:
        """Paint a polygon of world points into ``shadow``, ``occlusion`` or ``heat``."""
        pixels = self.project(points)
        if pixels is not None:
            cv2.fillPoly(target, fixed(pixels), value, cv2.LINE_8, SHIFT)

    def stamp(self, outline: ByteArray, box: tuple[float, float, float, float], part: int, label: int = 0) -> None:
        """Paint where ``outline``, stretched over the pixel box (left, top, right, bottom), is at least 128."""
        height, width = self.ids.shape
        left, top, right, bottom = (round(value) for value in box)
        if right - left < 2 or bottom - top < 2:
            return
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if x0 >= x1 or y0 >= y1:
            return
        # Only the visible piece is resampled: near things can be many times the image.
        fx, fy = outline.shape[1] / (right - left), outline.shape[0] / (bottom - top)
        matrix = np.array(((fx, 0, (x0 - left) * fx), (0, fy, (y0 - top) * fy)), np.float32)
        piece = cv2.warpAffine(outline, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        mask = piece >= 128
        np.copyto(self.ids[y0:y1, x0:x1], part, where=mask)
        np.copyto(self.label[y0:y1, x0:x1], label, where=mask)


def cross(a: Vector, b: Vector) -> Float32Array:
    """Return the cross product of two vectors; numpy's own takes ten times as long for one pair."""
    ax, ay, az = (float(v) for v in a)
    bx, by, bz = (float(v) for v in b)
    return np.array((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), np.float32)


def fixed(pixels: AnyArray) -> list[AnyArray]:
    """Return pixels as the fixed-point list OpenCV draws."""
    return [(pixels * np.float32(1 << SHIFT)).clip(-LIMIT, LIMIT).astype(np.int32)]
