"""The small classes of a street: traffic cones, wheel stops, guardrails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.board import Board
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import CAR_STOP, CONE, GUARDRAIL
from rgbt_seg_ros.scenes.palette import CONES, pick, shade
from rgbt_seg_ros.scenes.solids import Box
from rgbt_seg_ros.scenes.things import Standing, Track, Unlit


@dataclass(frozen=True)
class Cone(Unlit, Standing):
    """A traffic cone: a tapered body with bands on a square foot; ``tilt`` leans it (radians)."""

    track: Track
    height: float
    width: float
    body: Material
    band: Material
    foot: Material
    bands: tuple[tuple[float, float], ...]
    tilt: float
    seed: int

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        return [np.array(((-self.width / 2, 0), (self.width / 2, 0), (0, self.height)), np.float32)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        board = Board(canvas, x, z, 0.0, self.seed)
        if board.depth < 1.2 or self.height * board.size < 8:
            return
        h, half = self.height, self.width / 2
        top = 0.16 * half
        lean = math.tan(self.tilt)

        def slice_of(low: float, high: float) -> AnyArray:
            a, b = half * 0.86 + (top - half * 0.86) * low, half * 0.86 + (top - half * 0.86) * high
            y0, y1 = 0.04 + (h - 0.04) * low, 0.04 + (h - 0.04) * high
            return np.array(
                ((-a + lean * y0, y0), (a + lean * y0, y0), (b + lean * y1, y1), (-b + lean * y1, y1)), np.float32
            )

        drop = board.depth and float(canvas.camera.position[1]) / board.depth * half
        foot = np.array(
            ((-half * 1.1, -drop * 0.5), (half * 1.1, -drop * 0.5), (half, 0.06), (-half, 0.06)), np.float32
        )
        board.poly(foot, self.foot, CONE)
        shade_side = self.body._replace(color=shade(self.body.color, 0.72), temp=self.body.temp - 0.4)
        board.poly(slice_of(0.0, 1.0), self.body, CONE)
        for low, high in self.bands:
            board.poly(slice_of(low, high), self.band, CONE)
        edge = slice_of(0.0, 1.0)
        edge[0] = edge[0] * 0.45 + edge[1] * 0.55
        edge[3] = edge[3] * 0.45 + edge[2] * 0.55
        if not self.bands:
            board.poly(edge, shade_side, CONE)
        canvas.fill_ground(
            np.array(
                ((x - half, 0, z - half), (x + half, 0, z - half), (x + half, 0, z + half), (x - half, 0, z + half))
            ),
            canvas.occlusion,
            90,
        )


def draw_cone(rng: np.random.Generator, conditions: Conditions, track: Track, style: int) -> Cone:
    """Draw a cone; those of one ``style`` look alike but for small differences."""
    look = np.random.default_rng(style)
    height = float(look.choice((0.45, 0.7, 0.75, 0.9))) * rng.uniform(0.96, 1.04)
    delta = float(look.normal(0, 1.4)) - (0.6 if conditions.group == "night" else 0.0)
    temp = conditions.temp("plastic", delta)
    color = pick(look, CONES, 8)
    kind = int(look.integers(4))
    bands = ((), ((0.55, 0.78),), ((0.28, 0.48), (0.66, 0.84)), ((0.12, 0.27), (0.42, 0.57), (0.72, 0.86)))[kind]
    white = (236.0, 236.0, 230.0) if look.random() < 0.85 else (236.0, 210.0, 60.0)
    return Cone(
        track=track,
        height=height,
        width=height * float(look.uniform(0.5, 0.62)),
        body=Material(color, temp, mid=0.08, heat_mid=0.4),
        band=Material(white, temp - float(look.uniform(0, 1.2)), mid=0.06),
        foot=Material(color if look.random() < 0.6 else (40.0, 40.0, 42.0), temp + 0.3),
        bands=bands,
        tilt=float(rng.normal(0, 0.03)) if rng.random() < 0.9 else float(rng.normal(0, 0.2)),
        seed=int(rng.integers(1 << 16)),
    )


@dataclass(frozen=True)
class WheelStop(Unlit, Standing):
    """A low bar on the ground that stops a car's wheels; ``marks`` are reflectors on it."""

    track: Track
    body: Box
    marks: tuple[Box, ...]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        depth = canvas.camera.depth_of(self.track.x, self.track.z)
        if depth < 1.2 or self.body.height * canvas.camera.focal / depth / canvas.camera.unit < 3.0:
            return
        self.body.draw(canvas, time)
        for mark in self.marks:
            mark.draw(canvas, time)


def draw_wheel_stop(rng: np.random.Generator, conditions: Conditions, track: Track, style: int) -> WheelStop:
    """Draw a wheel stop across ``track.heading``; those of one ``style`` look alike."""
    look = np.random.default_rng(style)
    length, width = float(look.choice((0.6, 0.65, 1.6, 1.9))), float(look.uniform(0.12, 0.2))
    height = float(look.uniform(0.1, 0.16))
    rubber = look.random() < 0.3
    gray = float(look.uniform(120, 205))
    color = (46.0, 46.0, 46.0) if rubber else (gray, gray * 0.98, gray * 0.94)
    offset = float(look.uniform(0.7, 2.6)) * (1 if look.random() < 0.5 else -1)
    temp = conditions.temp("asphalt", offset * (0.6 if conditions.crossover else 1.0))
    material = Material(color, temp, grain=0.08, mid=0.12, heat_mid=0.3)
    body = Box(track, length, width, height, material, taper=0.25, label=CAR_STOP, seed=int(rng.integers(1 << 16)))
    marks: list[Box] = []
    count = int(look.integers(0, 5)) if not rubber else int(look.integers(2, 6))
    yellow = (230.0, 190.0, 50.0) if rubber or look.random() < 0.5 else (232.0, 232.0, 226.0)
    c, s = math.cos(track.heading), math.sin(track.heading)
    for index in range(count):
        along = ((index + 0.5) / count - 0.5) * length
        spot = Track(track.x + c * along, track.z - s * along, track.heading)
        size = min(length / count * 0.45, 0.25)
        mark = Material(yellow, temp - 0.3, mid=0.05)
        marks.append(Box(spot, size, width * 1.02, height * 1.01, mark, taper=0.25, label=CAR_STOP, casts=False))
    return WheelStop(track, body, tuple(marks))


@dataclass(frozen=True)
class GuardrailSpan(Unlit):
    """A piece of guardrail between two posts: (x, z) to (x, z); ``kind`` beam, pipes or cable mesh."""

    start: tuple[float, float]
    end: tuple[float, float]
    kind: str
    height: float
    rail: Material
    groove: Material
    post: Material
    seed: int

    def place(self, time: float) -> tuple[float, float]:
        """Return its middle (x, z)."""
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        (x0, z0), (x1, z1) = self.start, self.end
        camera = canvas.camera
        depth = max(camera.depth_of(x0, z0), camera.depth_of(x1, z1))
        size = self.height * camera.focal / max(depth, 0.1) / camera.unit
        if depth < 0.6 or size < 8:
            return
        length = math.hypot(x1 - x0, z1 - z0) or 1e-3
        along = ((x1 - x0) / length, 0.0, (z1 - z0) / length)
        surface = canvas.plane((x0, 0, z0), along, (0, 1, 0), seed=self.seed)
        h = self.height

        def band(low: float, high: float, a: float = 0.0, b: float = 1.0) -> AnyArray:
            xa, za, xb, zb = x0 + (x1 - x0) * a, z0 + (z1 - z0) * a, x0 + (x1 - x0) * b, z0 + (z1 - z0) * b
            return np.array(((xa, low * h, za), (xb, low * h, zb), (xb, high * h, zb), (xa, high * h, za)), np.float32)

        rail, groove, post = (canvas.part(m, surface) for m in (self.rail, self.groove, self.post))
        thick = 0.06 / length
        canvas.fill_world(band(0.0, 0.96, 0.0, thick), post, GUARDRAIL)
        if self.kind == "beam":
            canvas.fill_world(band(0.48, 1.0), rail, GUARDRAIL)
            canvas.fill_world(band(0.68, 0.8), groove, GUARDRAIL)
            canvas.fill_world(band(0.48, 0.53), groove, GUARDRAIL)
            return
        pixels = canvas.project(band(0.3, 1.0))
        if pixels is not None:
            canvas.mark(pixels, GUARDRAIL)
        for low, high in ((0.92, 1.0), (0.6, 0.67), (0.3, 0.37)):
            canvas.fill_world(band(low, high), rail, GUARDRAIL)


def guardrail(rng: np.random.Generator, conditions: Conditions, points: AnyArray) -> list[GuardrailSpan]:
    """Draw a guardrail along (N, 2) ground points (x, z), one span between each two."""
    kind = "beam" if rng.random() < 0.65 else "pipes"
    white = rng.random() < 0.55
    gray = float(rng.uniform(140, 215))
    color = (226.0, 226.0, 222.0) if white else (gray, gray, gray * 1.02)
    if rng.random() < 0.12:
        color = (150.0, 110.0, 70.0)
    temp = conditions.temp("metal", rng.normal(0, 0.6))
    rail = Material(color, temp, grain=0.02, mid=0.06, coarse=0.08, heat_mid=0.3, heat_coarse=0.5)
    groove = rail._replace(color=shade(color, 0.62), temp=temp + float(rng.uniform(0.2, 1.0)))
    post = rail._replace(color=shade(color, 0.8), temp=temp + 0.4)
    height = float(rng.uniform(0.65, 0.95))
    return [
        GuardrailSpan(
            (float(a[0]), float(a[1])),
            (float(b[0]), float(b[1])),
            kind,
            height,
            rail,
            groove,
            post,
            int(rng.integers(1 << 16)),
        )
        for a, b in pairwise(points)
    ]
