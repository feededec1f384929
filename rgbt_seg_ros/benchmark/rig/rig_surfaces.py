"""Textured walls and boxes, and the ray casting that finds what a ray meets first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray

Vector = tuple[float, float, float]

_NEAR = 1e-6


@dataclass(frozen=True)
class Surface(ABC):
    """What rays meet. Metres, of the world's frame: x right, y down, z ahead.

    Attributes:
        place: A point of it; of a box, its middle.
        shape: Of a wall its unit normal, of a box half its sides.
        turn: Radians about the vertical; of boxes.
        label: Class id.
        warmth: Grey level in the thermal image, which a texture varies.
        colour: RGB, 0..255, which another texture varies.
        seed: Of both textures.
    """

    place: Vector
    shape: Vector
    turn: float
    label: int
    warmth: float
    colour: tuple[int, int, int]
    seed: int

    def local(self, points: FloatArray) -> FloatArray:
        """Turn (..., 3) points or directions into the surface's own axes (about its place, for points less ``place``)."""
        sine, cosine = np.sin(self.turn), np.cos(self.turn)
        return np.asarray(points @ np.array(((cosine, 0, -sine), (0, 1, 0), (sine, 0, cosine))).T)

    @abstractmethod
    def meet(self, origin: FloatArray, directions: FloatArray) -> FloatArray:
        """Return (...) multiples of (..., 3) directions at which rays from ``origin`` meet it; infinite where they do not."""


class Wall(Surface):
    """An endless plane, without a turn."""

    def __init__(
        self, place: Vector, normal: Vector, label: int, warmth: float, colour: tuple[int, int, int], seed: int
    ) -> None:
        """Put it through a point, with a unit normal."""
        super().__init__(place, normal, 0.0, label, warmth, colour, seed)

    def meet(self, origin: FloatArray, directions: FloatArray) -> FloatArray:
        """Return where rays meet the plane."""
        slope = directions @ np.array(self.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = float((np.array(self.place) - origin) @ np.array(self.shape)) / slope
        return np.where(distance > _NEAR, distance, np.inf)


class Box(Surface):
    """A box that stands upright, turned about the vertical."""

    def meet(self, origin: FloatArray, directions: FloatArray) -> FloatArray:
        """Return where rays enter the box (slabs; Kay and Kajiya 1986)."""
        start = self.local(origin - np.array(self.place))
        along = self.local(directions)
        half = np.array(self.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (-half - start) / along, (half - start) / along
        enter = np.minimum(first, second).max(-1)
        leave = np.maximum(first, second).min(-1)
        return np.where((enter <= leave) & (enter > _NEAR), enter, np.inf)


@dataclass(frozen=True)
class Hits:
    """What rays met first: multiples of their direction (infinite: nothing), index of the surface, and the world point."""

    distance: FloatArray
    surface: IntArray
    points: FloatArray

    def heat(self, surfaces: list[Surface]) -> ByteArray:
        """Return the grey levels of the thermal image."""
        return self._shade(surfaces, [(surface.warmth, 18.0, 0) for surface in surfaces])

    def colour(self, surfaces: list[Surface]) -> ByteArray:
        """Return the RGB image."""
        bands = [
            self._shade(surfaces, [(float(surface.colour[band]), 30.0, 100) for surface in surfaces])
            for band in range(3)
        ]
        return np.stack(bands, -1)

    def label(self, surfaces: list[Surface]) -> ByteArray:
        """Return class ids; 0 where there is nothing."""
        table = np.array([surface.label for surface in surfaces], np.uint8)
        return np.where(np.isfinite(self.distance), table[self.surface], np.uint8(0))

    def _shade(self, surfaces: list[Surface], levels: list[tuple[float, float, int]]) -> ByteArray:
        image = np.zeros(self.distance.shape)
        for index, (surface, (level, contrast, seed)) in enumerate(zip(surfaces, levels, strict=True)):
            here = (self.surface == index) & np.isfinite(self.distance)
            local = surface.local(self.points[here] - np.array(surface.place))
            image[here] = level + contrast * _texture(local, surface.seed + seed)
        return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _texture(points: FloatArray, seed: int) -> FloatArray:
    """Return -1 to 1 at (N, 3) points (m): waves of many directions, 0.15 to 1 m long."""
    rng = np.random.default_rng(seed)
    total = np.zeros(len(points))
    for _ in range(8):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / rng.uniform(0.15, 1.0) / np.linalg.norm(direction)
        total += np.sin(points @ direction + rng.uniform(0, 2 * np.pi))
    return np.tanh(total / 2)


def cast(surfaces: list[Surface], origin: FloatArray, directions: FloatArray) -> Hits:
    """Return what rays from (3,) ``origin`` along (..., 3) ``directions`` meet first; a NaN direction meets nothing."""
    nearest = np.full(directions.shape[:-1], np.inf)
    index = np.zeros(nearest.shape, np.int64)
    for number, surface in enumerate(surfaces):
        distance = surface.meet(origin, directions)
        closer = distance < nearest
        nearest[closer], index[closer] = distance[closer], number
    finite = np.where(np.isfinite(nearest), nearest, 0.0)
    return Hits(nearest, index, origin + np.nan_to_num(directions) * finite[..., None])
