"""Trees, bushes and hedges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.scenes.board import Board
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.noise import CANOPIES, canopy
from rgbt_seg_ros.scenes.palette import LEAVES, pick, shade
from rgbt_seg_ros.scenes.solids import upright
from rgbt_seg_ros.scenes.things import Standing, Track, Unlit


def _outline(index: int, mirrored: bool) -> ByteArray:
    outline = canopy(index % CANOPIES)
    return np.ascontiguousarray(outline[:, ::-1]) if mirrored else outline


@dataclass(frozen=True)
class Clump:
    """One mass of foliage of a plant: its middle right of and above the foot, its radii (m), its outline and shade."""

    x: float
    y: float
    rx: float
    ry: float
    outline: int
    mirrored: bool
    material: Material


@dataclass(frozen=True)
class Plant(Unlit, Standing):
    """A tree or bush: trunk and branches as (start, end, radius, radius), then clumps of foliage."""

    track: Track
    trunk: Material
    wood: tuple[tuple[tuple[float, float], tuple[float, float], float, float], ...]
    clumps: tuple[Clump, ...]
    seed: int

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        turn = np.linspace(0, 2 * math.pi, 9, endpoint=False)
        shapes = [
            np.stack((c.x + np.cos(turn) * c.rx * 0.8, np.maximum(c.y + np.sin(turn) * c.ry * 0.8, 0)), 1)
            for c in self.clumps
        ]
        return [*shapes, upright(0.15, 4.0)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        board = Board(canvas, x, z, 0.0, self.seed)
        if board.depth < 1.5:
            return
        for start, end, r0, r1 in self.wood:
            board.limb(np.array(start), np.array(end), r0, r1, self.trunk)
        ox, oy = board.origin.tolist()
        for clump in self.clumps:
            cx, cy = ox + clump.x * board.scale, oy - clump.y * board.scale
            rx, ry = clump.rx * board.scale, clump.ry * board.scale
            part = canvas.part(clump.material, board.surface)
            canvas.stamp(_outline(clump.outline, clump.mirrored), (cx - rx, cy - ry, cx + rx, cy + ry), part)


def _leaves(rng: np.random.Generator, conditions: Conditions, density: float) -> Material:
    return Material(
        pick(rng, LEAVES, 8),
        conditions.temp("foliage", rng.normal(0, 0.3)),
        grain=0.25,
        mid=float(rng.uniform(0.45, 0.85)),
        coarse=0.3,
        heat_grain=0.5,
        heat_mid=float(rng.uniform(0.5, 1.3)),
        heat_coarse=0.8,
        density=density,
    )


def draw_tree(rng: np.random.Generator, conditions: Conditions, track: Track, leafless: bool | None = None) -> Plant:
    """Draw a tree."""
    height = float(rng.uniform(5, 16))
    bole = float(rng.uniform(1.6, 3.6))
    radius = float(rng.uniform(0.1, 0.34))
    bark = float(rng.uniform(40, 105))
    trunk = Material(
        (bark, bark * 0.9, bark * 0.78),
        conditions.temp("trunk", rng.normal(0, 0.5)),
        mid=0.35,
        grain=0.15,
        heat_mid=0.7,
        heat_coarse=0.5,
        density=1.5,
    )
    wood: list[tuple[tuple[float, float], tuple[float, float], float, float]] = []
    lean = rng.normal(0, 0.25)
    fork = (float(lean), bole + 0.8)
    wood.append(((0.0, -0.05), fork, radius * 1.15, radius * 0.75))
    bare = bool(rng.random() < 0.12) if leafless is None else leafless
    for _ in range(int(rng.integers(3, 8)) + (8 if bare else 0)):
        angle, reach = float(np.clip(rng.normal(0, 0.45), -0.8, 0.8)), rng.uniform(0.3, 0.75) * (height - bole)
        start = (fork[0], float(bole * rng.uniform(0.8, 1.3)))
        end = (start[0] + math.sin(angle) * reach, start[1] + math.cos(angle) * reach)
        wood.append((start, end, radius * rng.uniform(0.25, 0.6), radius * 0.1))
    clumps: list[Clump] = []
    if not bare:
        spread = rng.uniform(0.32, 0.6) * height
        leaf = _leaves(rng, conditions, rng.uniform(0.35, 0.8))
        for _ in range(int(rng.integers(2, 6))):
            share = rng.uniform(0.3, 0.95)
            light = rng.uniform(0.6, 1.25)
            material = leaf._replace(color=shade(leaf.color, light), temp=leaf.temp + (light - 1) * 1.2)
            clumps.append(
                Clump(
                    float(rng.normal(0, 0.35) * spread),
                    float(bole + (height - bole) * share),
                    float(spread * rng.uniform(0.5, 0.95)),
                    float((height - bole) * rng.uniform(0.3, 0.6)),
                    int(rng.integers(CANOPIES)),
                    bool(rng.random() < 0.5),
                    material,
                )
            )
    return Plant(track, trunk, tuple(wood), tuple(clumps), int(rng.integers(1 << 16)))


def draw_bush(rng: np.random.Generator, conditions: Conditions, track: Track, height: float | None = None) -> Plant:
    """Draw a bush, or one piece of a hedge of a given height (m)."""
    tall = float(rng.uniform(0.4, 1.6)) if height is None else height * float(rng.uniform(0.9, 1.1))
    leaf = _leaves(rng, conditions, rng.uniform(0.9, 1.6))
    clumps = []
    for _ in range(int(rng.integers(1, 4))):
        material = leaf._replace(color=shade(leaf.color, rng.uniform(0.7, 1.2)))
        wide = float(tall * rng.uniform(0.6, 1.2))
        x, outline = float(rng.normal(0, 0.3) * tall), int(rng.integers(CANOPIES))
        clumps.append(Clump(x, tall * 0.5, wide, tall * 0.62, outline, bool(rng.random() < 0.5), material))
    bark = Material((60, 52, 44), leaf.temp)
    return Plant(track, bark, (), tuple(clumps), int(rng.integers(1 << 16)))
