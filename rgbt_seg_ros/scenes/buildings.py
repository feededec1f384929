"""What closes the view: walls, facades with windows, fences, the skyline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.scenes.camera import NEAR
from rgbt_seg_ros.scenes.canvas import SHIFT, Canvas, Material, fixed
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import RGB
from rgbt_seg_ros.scenes.palette import SIGNS, WALLS, pick, shade
from rgbt_seg_ros.scenes.things import Unlit


@dataclass(frozen=True)
class Facade(Unlit):
    """An upright wall from (x, z) to (x, z), with rectangles (left, bottom, right, top in metres) of other materials."""

    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    wall: Material
    layers: tuple[tuple[Material, AnyArray], ...]
    seed: int

    def place(self, time: float) -> tuple[float, float]:
        """Return its middle (x, z)."""
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        (x0, z0), (x1, z1) = self.start, self.end
        length = math.hypot(x1 - x0, z1 - z0)
        along = np.array(((x1 - x0) / length, 0, (z1 - z0) / length), np.float32)
        surface = canvas.plane((x0, 0, z0), along, (0, 1, 0), seed=self.seed)
        base, up = np.array((x0, 0, z0), np.float32), np.array((0, 1, 0), np.float32)

        def world(flat: AnyArray) -> AnyArray:
            moved: AnyArray = base + flat[..., :1] * along + flat[..., 1:] * up
            return moved

        outline = np.array(((0, 0), (length, 0), (length, self.height), (0, self.height)), np.float32)
        canvas.fill_world(world(outline), canvas.part(self.wall, surface))
        for material, rects in self.layers:
            if not len(rects):
                continue
            corners = rects[:, ((0, 1), (2, 1), (2, 3), (0, 3))]
            seen = canvas.camera.to_camera(world(corners).reshape(-1, 3))
            whole = (seen[:, 2].reshape(-1, 4) > NEAR).all(1)
            if not whole.any():
                continue
            pixels = canvas.camera.to_pixels(seen.reshape(-1, 4, 3)[whole].reshape(-1, 3))
            polygons = list(fixed(pixels)[0].reshape(-1, 4, 2))
            cv2.fillPoly(canvas.ids, polygons, canvas.part(material, surface), cv2.LINE_8, SHIFT)


def _grid(length: float, height: float, pitch: tuple[float, float], size: tuple[float, float], sill: float) -> AnyArray:
    """Return windows (N, 4) in rows and columns."""
    x = np.arange(pitch[0] * 0.5, length - size[0], pitch[0])
    y = np.arange(sill, height - size[1] - 0.3, pitch[1])
    if not len(x) or not len(y):
        return np.zeros((0, 4), np.float32)
    left, bottom = (axis.ravel() for axis in np.meshgrid(x, y))
    rects: AnyArray = np.stack((left, bottom, left + size[0], bottom + size[1]), 1).astype(np.float32)
    return rects


def _glow(rng: np.random.Generator, strength: float) -> RGB:
    tint = ((1.0, 0.86, 0.6), (1.0, 1.0, 0.95), (0.85, 1.0, 0.9), (1.0, 0.75, 0.45))[int(rng.integers(4))]
    return tint[0] * strength, tint[1] * strength, tint[2] * strength


def draw_facade(
    rng: np.random.Generator,
    conditions: Conditions,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    windows: bool = True,
) -> Facade:
    """Draw a wall or a house front from ``start`` to ``end`` (x, z)."""
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    color = pick(rng, WALLS, 8)
    temp = conditions.temp("wall", rng.normal(0, 1.0))
    wall = Material(
        color, temp, grain=0.06, mid=float(rng.uniform(0.04, 0.16)), coarse=0.12, heat_mid=0.3, heat_coarse=0.7
    )
    layers: list[tuple[Material, AnyArray]] = []
    band = wall._replace(color=shade(color, rng.uniform(0.6, 1.3)), temp=temp + float(rng.normal(0, 0.8)))
    rows = np.arange(0.0, height, rng.uniform(2.6, 4.2))
    if rng.random() < 0.5:
        layers.append((band, np.array([(0, y, length, y + 0.3) for y in rows], np.float32)))
    if rng.random() < 0.4:
        columns = np.arange(0.0, length, rng.uniform(2.5, 6))
        layers.append((band, np.array([(x, 0, x + 0.4, height) for x in columns], np.float32)))
    if windows:
        pitch = (float(rng.uniform(1.6, 4.5)), float(rng.uniform(2.8, 3.8)))
        size = (pitch[0] * float(rng.uniform(0.35, 0.85)), float(rng.uniform(1.0, 2.0)))
        rects = _grid(length, height, pitch, size, float(rng.uniform(0.8, 2.8)))
        frame = np.array((-0.08, -0.08, 0.08, 0.08), np.float32)
        layers.append((band._replace(color=shade(color, 0.75)), rects + frame))
        glass = Material(
            (46, 54, 62),
            conditions.temp("glass", rng.normal(0, 1)),
            coarse=0.5,
            mid=0.15,
            heat_coarse=1.2,
            heat_mid=0.3,
        )
        layers.append((glass, rects))
        share = rng.uniform(0.02, 0.4) if conditions.lamps_on else rng.uniform(0, 0.05)
        lit = rects[rng.random(len(rects)) < share]
        strength = float(np.exp(rng.uniform(-2.5, 0.8)))
        warm = Material(
            (200, 190, 160), glass.temp + float(rng.uniform(0.5, 7)), emission=_glow(rng, strength), mid=0.3, coarse=0.5
        )
        layers.append((warm, lit))
    count = int(rng.integers(0, 4))
    for _ in range(count):  # doors, vents, shop signs, posters
        x, kind = rng.uniform(0, max(length - 2, 0.1)), rng.random()
        if kind < 0.35:
            w, y, h = rng.uniform(0.9, 2.4), 0.0, rng.uniform(2.0, 2.8)
            material = Material(shade(color, rng.uniform(0.2, 0.8)), temp + float(rng.normal(0, 2.5)), mid=0.15)
        elif kind < 0.6:
            w, y, h = rng.uniform(0.4, 1.2), rng.uniform(0.3, 5), rng.uniform(0.3, 1.0)
            material = Material((110, 110, 112), temp + float(rng.uniform(1, 14)), mid=0.4, density=4.0)
        else:
            w, y, h = rng.uniform(0.6, 4), rng.uniform(0.8, 4), rng.uniform(0.5, 1.6)
            glow = (
                _glow(rng, float(rng.uniform(0.2, 2.0)))
                if conditions.lamps_on and rng.random() < 0.5
                else (0.0, 0.0, 0.0)
            )
            material = Material(
                pick(rng, SIGNS, 20), temp + float(rng.normal(0.5, 2)), emission=glow, mid=0.5, coarse=0.3, density=2.0
            )
        layers.append((material, np.array(((x, y, x + w, y + h),), np.float32)))
    return Facade(start, end, height, wall, tuple(layers), int(rng.integers(1 << 16)))


def draw_fence(
    rng: np.random.Generator, conditions: Conditions, start: tuple[float, float], end: tuple[float, float]
) -> Facade:
    """Draw a see-through fence of upright bars, or a low wall; neither is a guardrail."""
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    material = Material(
        pick(rng, ((60, 64, 60), (150, 130, 60), (120, 120, 120), (90, 70, 50))), conditions.temp("metal", 0.5)
    )
    height = float(rng.uniform(0.9, 1.8))
    pitch = float(rng.uniform(0.15, 0.4))
    bars = np.array([(x, 0.1, x + 0.035, height) for x in np.arange(0, length, pitch)], np.float32)
    rails = np.array(((0, height - 0.06, length, height), (0, 0.1, length, 0.16)), np.float32)
    return Facade(start, end, 0.02, material, ((material, bars), (material, rails)), int(rng.integers(1 << 16)))


@dataclass(frozen=True)
class Skyline(Unlit):
    """Far trees and houses: heights (m) at bearings, closing the view at a distance."""

    distance: float
    bearings: AnyArray
    heights: AnyArray
    material: Material
    seed: int

    def place(self, time: float) -> tuple[float, float]:
        """Return a place at its distance ahead."""
        return 0.0, self.distance

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        camera = canvas.camera
        x, z = np.sin(self.bearings) * self.distance, np.cos(self.bearings) * self.distance
        surface = canvas.plane((0, 0, self.distance), (1, 0, 0), (0, 1, 0), normal=(0, 0.3, -0.9), seed=self.seed)
        part = canvas.part(self.material, surface)
        top = np.stack((x, self.heights, z), 1)
        low = np.stack((x, np.full_like(x, -4.0), z), 1)
        ahead = camera.to_camera(top)[:, 2] > 3
        if int(ahead.sum()) < 2:
            return
        outline = np.concatenate((top[ahead], low[ahead][::-1]))
        canvas.fill_world(outline, part)


def draw_skyline(rng: np.random.Generator, conditions: Conditions, distance: float) -> Skyline:
    """Draw a row of far trees or houses."""
    count = 140
    bearings = np.linspace(-1.3, 1.3, count).astype(np.float32)
    trees = rng.random() < 0.6
    steps = np.repeat(rng.uniform(2, 10 if trees else 24, count), rng.integers(1, 9, count))[:count]
    ragged = rng.normal(0, 0.9 if trees else 0.0, count)
    heights = np.maximum(steps + ragged, 1.5).astype(np.float32) * distance / 90
    color: RGB = shade((58, 78, 48), rng.uniform(0.6, 1.3)) if trees else pick(rng, WALLS)
    kind = "foliage" if trees else "wall"
    material = Material(color, conditions.temp(kind, rng.normal(0, 0.4)), 0.2, 0.5, 0.3, 0.3, 0.6, 0.6, 0.3)
    return Skyline(distance, bearings, heights, material, int(rng.integers(1 << 16)))
