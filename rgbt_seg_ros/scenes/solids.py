"""Boxes, upright poles and cylinders: what wheel stops, bollards, planters and cabinets are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import Float32Array
from rgbt_seg_ros.scenes.board import Board
from rgbt_seg_ros.scenes.camera import NEAR
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.labels import BACKGROUND
from rgbt_seg_ros.scenes.palette import shade
from rgbt_seg_ros.scenes.things import Standing, Track, Unlit


def upright(half: float, height: float) -> Float32Array:
    """Return a rectangle on the ground as the outline of a shadow's thrower."""
    return np.array(((-half, 0), (half, 0), (half, height), (-half, height)), np.float32)


_SIDES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))


@dataclass(frozen=True)
class Box(Unlit, Standing):
    """A box: ``length`` across its heading, ``width`` along it, ``height``; ``taper`` narrows its top.

    ``top`` and ``front`` (the face towards -heading) may be of another material; ``lift`` raises it off the ground.
    """

    track: Track
    length: float
    width: float
    height: float
    material: Material
    top: Material | None = None
    front: Material | None = None
    taper: float = 0.0
    lift: float = 0.0
    label: int = BACKGROUND
    casts: bool = True
    seed: int = 0

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        half = max(self.length, self.width) / 2
        return [upright(half, self.height)] if self.casts else []

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint the faces that are seen."""
        x, z = self.place(time)
        s, c = math.sin(self.track.heading), math.cos(self.track.heading)
        across, ahead = np.array((c, 0, -s), np.float32), np.array((s, 0, c), np.float32)
        base = np.array((x, self.lift, z), np.float32)
        half, deep, inner = self.length / 2, self.width / 2, 1 - self.taper
        flat = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        low = [base + across * half * a + ahead * deep * b for a, b in flat]
        up = np.array((0, self.height, 0), np.float32)
        high = [base + across * (half - deep * self.taper) * a + ahead * deep * inner * b + up for a, b in flat]
        corners = np.stack((*low, *high))
        seen = canvas.camera.to_camera(corners)
        if float(seen[:, 2].min()) < NEAR:
            return
        pixels = canvas.camera.to_pixels(seen)
        if self.casts:
            canvas.fill_ground(base + (corners[:4] - base) * 1.12, canvas.occlusion, 110)
        eye = canvas.camera.position - base
        normals = (-ahead, across, ahead, -across)
        reach = (deep, half, deep, half)
        for index, (face, normal, distance) in enumerate(zip(_SIDES, normals, reach, strict=True)):
            if float(eye @ normal) > distance:
                material = self.front if index == 0 and self.front is not None else self.material
                surface = canvas.plane(
                    corners[face[0]], across if index % 2 == 0 else ahead, (0, 1, 0), normal=normal, seed=self.seed
                )
                canvas.fill(pixels[list(face)], canvas.part(material, surface), self.label)
        if float(eye[1]) > self.height:
            material = self.top or self.material._replace(color=shade(self.material.color, 1.08))
            surface = canvas.plane(corners[4], across, ahead, normal=(0, 1, 0), seed=self.seed)
            canvas.fill(pixels[4:], canvas.part(material, surface), self.label)


@dataclass(frozen=True)
class Pole(Unlit, Standing):
    """A thin upright: pole, bollard, post; ``bands`` are (low, high) shares of its height in a second material."""

    track: Track
    radius: float
    height: float
    material: Material
    band: Material | None = None
    bands: tuple[tuple[float, float], ...] = ()
    cap: bool = False
    seed: int = 0

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        return [upright(self.radius, self.height)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        board = Board(canvas, x, z, 0.0, self.seed)
        if board.depth < 1.0:
            return
        r, h = self.radius, self.height
        board.rect(-r, 0, r, h, self.material)
        dark = self.material._replace(color=shade(self.material.color, 0.7), temp=self.material.temp - 0.2)
        board.rect(r * 0.25, 0, r, h, dark)
        if self.cap:
            board.ellipse(0, h, r, r * 0.6, self.material)
        if self.band is not None:
            for low, high in self.bands:
                board.rect(-r * 1.02, h * low, r * 1.02, h * high, self.band)
