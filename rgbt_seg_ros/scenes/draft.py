"""A scene while it is being laid out: what has been placed, and where there is room."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.ground import Flat, Path
from rgbt_seg_ros.scenes.things import Thing, Track
from rgbt_seg_ros.scenes.world import CameraPath


@dataclass
class Draft:
    """What a layout and the population of a scene are collected in; ``half`` is half the road's width (m)."""

    rng: np.random.Generator
    conditions: Conditions
    path: CameraPath
    road: Path
    half: float
    flats: list[Flat] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        """Return True in a share of the cases."""
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """Return a number from a range."""
        return float(self.rng.uniform(low, high))

    def seed(self) -> int:
        """Return a number for a style shared by several things."""
        return int(self.rng.integers(1 << 31))

    def is_free(self, x: float, z: float, radius: float) -> bool:
        """Return whether nothing placed so far is nearer than both radii."""
        return all((x - a) ** 2 + (z - b) ** 2 > (radius + r) ** 2 for a, b, r in self.taken)

    def take(self, x: float, z: float, radius: float) -> None:
        """Keep a place."""
        self.taken.append((x, z, radius))

    def in_view(self, depth: float, share: float) -> tuple[float, float]:
        """Return the ground point (x, z) at a depth, ``share`` (-1 to 1) from the left to the right image border."""
        start = self.path.start
        side = share * depth * 0.5 / self.path.focal
        s, c = math.sin(start.yaw), math.cos(start.yaw)
        return start.x + s * depth + c * side, start.z + c * depth - s * side

    def find(
        self, low: float, high: float, radius: float, share: float = 0.92, tries: int = 12
    ) -> tuple[float, float] | None:
        """Return a free place in view between two depths (m), near ones as likely as far ones by their logarithm."""
        for _ in range(tries):
            depth = float(np.exp(self.rng.uniform(math.log(low), math.log(high))))
            x, z = self.in_view(depth, float(self.rng.uniform(-share, share)))
            if self.is_free(x, z, radius):
                self.take(x, z, radius)
                return x, z
        return None

    def find_beside(
        self, low: float, high: float, radius: float, offsets: tuple[float, float], tries: int = 10
    ) -> tuple[float, float] | None:
        """Return a free place between two depths at an offset from the road's middle, on either side of it."""
        for _ in range(tries):
            z = self.between(low, high)
            x, z = self.road.at(float(self.rng.choice((-1, 1))) * self.between(*offsets), z)
            if self.is_free(x, z, radius):
                self.take(x, z, radius)
                return x, z
        return None

    def walk(self, x: float, z: float) -> Track:
        """Return a track of someone on foot from a place: mostly along the road, some across, some standing."""
        along = self.road.heading(z) + (0.0 if self.chance(0.5) else math.pi)
        kind = self.rng.random()
        if kind < 0.22:
            return Track(x, z, self.between(-math.pi, math.pi), 0.0)
        if kind < 0.75:
            return Track(x, z, along + float(self.rng.normal(0, 0.25)), self.between(0.8, 1.6))
        return Track(x, z, self.between(-math.pi, math.pi), self.between(0.7, 1.5))
