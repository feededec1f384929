"""The road and what lies flat on it or along it: surfaces, markings, kerbs, bumps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.camera import NEAR
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.labels import BACKGROUND, BUMP, CURVE, Points
from rgbt_seg_ros.scenes.palette import shade


@dataclass(frozen=True)
class Path:
    """The middle of a road: x = x0 + slope·z + curvature·z²/2, metres."""

    x0: float
    slope: float
    curvature: float

    def heading(self, z: float) -> float:
        """Return its direction at z (radians from ahead to the right)."""
        return math.atan(self.slope + self.curvature * z)

    def points(self, offset: float, z: AnyArray) -> Float32Array:
        """Return (N, 2) ground points (x, z) at ``offset`` metres to the right of the middle."""
        z = np.asarray(z, np.float32)
        angle = np.arctan(self.slope + self.curvature * z)
        x = self.x0 + self.slope * z + self.curvature * z * z / 2
        points: Float32Array = np.stack((x + offset * np.cos(angle), z - offset * np.sin(angle)), 1).astype(np.float32)
        return points

    def at(self, offset: float, z: float) -> tuple[float, float]:
        """Return the ground point (x, z) at ``offset`` metres to the right of the middle."""
        point = self.points(offset, np.array((z,)))[0]
        return float(point[0]), float(point[1])


class Flat(Protocol):
    """Something of the ground, painted before everything that stands on it."""

    def draw(self, canvas: Canvas) -> None:
        """Paint it."""
        ...


def lift(points: AnyArray, height: float = 0.0) -> Float32Array:
    """Turn (N, 2) ground points into (N, 3) world points."""
    flat = np.asarray(points, np.float32)
    raised: Float32Array = np.stack((flat[:, 0], np.full(len(flat), height, np.float32), flat[:, 1]), 1)
    return raised


@dataclass(frozen=True)
class Ground:
    """The ground from the horizon down."""

    material: Material

    def draw(self, canvas: Canvas) -> None:
        """Paint everything below the horizon."""
        height, width = canvas.ids.shape
        a, b, c = canvas.surfaces[canvas.ground][:3]
        edge = 1 / 400.0
        left, right = (-(a * x + c - edge) / b for x in (-10.0, width + 10.0))
        low = height + 10.0
        canvas.fill(
            np.array(((-10, left), (width + 10, right), (width + 10, low), (-10, low))),
            canvas.part(self.material, canvas.ground),
        )


@dataclass(frozen=True)
class Patch:
    """A polygon, or several of one material, lying on the ground: (N, 2) points (x, z) each."""

    outlines: Sequence[Float32Array]
    material: Material
    label: int = BACKGROUND

    def draw(self, canvas: Canvas) -> None:
        """Paint it."""
        part = canvas.part(self.material, canvas.ground)
        for outline in self.outlines:
            canvas.fill_world(lift(outline), part, self.label)


def strip(path: Path, left: float, right: float, z: AnyArray) -> Float32Array:
    """Return the outline of a lane between two offsets of a path."""
    return np.concatenate((path.points(left, z), path.points(right, z)[::-1]))


@dataclass(frozen=True)
class Kerb:
    """A raised stone edge along (N, 2) ground points: a face on either side, and a top ``width`` wide.

    It is labelled as long as it looks at least ``thinnest`` px thick in an image 480 high.
    """

    inner: Float32Array
    outer: Float32Array
    height: float
    top: Material
    face: Material
    thinnest: float = 3.2

    def draw(self, canvas: Canvas) -> None:
        """Paint it piece by piece from far to near."""
        camera = canvas.camera
        top, face = canvas.part(self.top, canvas.ground), canvas.part(self.face, canvas.ground)
        rows = np.concatenate(
            (lift(self.inner), lift(self.inner, self.height), lift(self.outer, self.height), lift(self.outer))
        )
        count = len(self.inner)
        seen = camera.to_camera(rows).reshape(4, count, 3)
        depth = seen[..., 2].mean(0)
        ahead = seen[..., 2].min(0) > NEAR
        pixels = camera.to_pixels(np.where(seen[..., 2:] > NEAR, seen, 1.0).reshape(-1, 3)).reshape(4, count, 2)
        labels = self._labels(canvas, depth)
        # Faces first: the top covers what it hides of the face behind it.
        strips = ((face, 3, 2), (face, 0, 1), (top, 1, 2))
        for i in np.argsort(-(depth[:-1] + depth[1:])).tolist():
            if max(depth[i], depth[i + 1]) < 0.4:
                continue
            for part, p, q in strips:
                if ahead[i] and ahead[i + 1]:
                    quad = pixels[(p, p, q, q), (i, i + 1, i + 1, i)]
                    canvas.fill(quad, part, labels[i])
                else:
                    points = rows.reshape(4, count, 3)[(p, p, q, q), (i, i + 1, i + 1, i)]
                    canvas.fill_world(points, part, labels[i])

    def _labels(self, canvas: Canvas, depth: AnyArray) -> list[int]:
        """Return the label of each span: the class where it looks thick enough."""
        camera = canvas.camera
        along = self.inner[1:] - self.inner[:-1]
        view = (self.inner[1:] + self.inner[:-1]) / 2 - camera.position[[0, 2]]
        cross = np.abs(along[:, 0] * view[:, 1] - along[:, 1] * view[:, 0])
        sine = cross / (np.hypot(*along.T) * np.hypot(*view.T) + 1e-6)
        reach = np.maximum((depth[1:] + depth[:-1]) / 2, 0.3)
        breadth = np.hypot(*(self.inner - self.outer).T)[:-1]
        # Across the view a top is foreshortened by the camera's height; along the view it is seen in its full breadth.
        flat = breadth * (1 - sine + sine * float(camera.position[1]) / reach)
        thick = (flat + self.height * 0.9) * camera.focal / reach / camera.unit
        return [CURVE if wide else BACKGROUND for wide in thick >= self.thinnest]


@dataclass(frozen=True)
class Bump:
    """A band across the road, ``half`` to each side along it, from ``left`` to ``right``, striped.

    ``kind`` is rubber (short blocks in turn), chevrons (a hump with slanted bars) or tiles (rows of studs).
    """

    origin: tuple[float, float]
    heading: float
    left: float
    right: float
    half: float
    height: float
    base: Material
    mark: Material
    kind: str
    pitch: float

    def draw(self, canvas: Canvas) -> None:
        """Paint it."""
        s, c = math.sin(self.heading), math.cos(self.heading)
        x, z = self.origin

        def world(points: Points, height: float) -> Float32Array:
            flat = np.asarray(points, np.float32)
            ground = np.stack((x + flat[:, 0] * c + flat[:, 1] * s, z - flat[:, 0] * s + flat[:, 1] * c), 1)
            return lift(ground, height)

        camera = canvas.camera
        depth = camera.depth_of(x, z)
        if depth < 0.8:
            return
        thick = (
            camera.focal / camera.unit * (2 * self.half * float(camera.position[1]) / depth**2 + self.height / depth)
        )
        if thick < 4.0:
            return
        base, mark = canvas.part(self.base, canvas.ground), canvas.part(self.mark, canvas.ground)
        dark = canvas.part(self.base._replace(color=shade(self.base.color, 0.75)), canvas.ground)
        inner = self.half * 0.55
        left, right, h, half = self.left, self.right, self.height, self.half
        low, high = world(((left, -half), (right, -half)), 0.0), world(((right, -inner), (left, -inner)), h)
        back = world(((left, half), (right, half)), 0.0)
        canvas.fill_world(np.concatenate((back, high)), base, BUMP)
        canvas.fill_world(
            np.concatenate((world(((left, -inner), (right, -inner)), h), world(((right, inner), (left, inner)), h))),
            base,
            BUMP,
        )
        canvas.fill_world(np.concatenate((low, high)), dark, BUMP)
        count = max(2, int((right - left) / self.pitch))
        step = (right - left) / count
        for i in range(count):
            a = left + i * step
            if self.kind == "tiles":
                for y in (-0.6, -0.2, 0.2, 0.6):
                    dot = (
                        (a, (y - 0.1) * half),
                        (a + step * 0.55, (y - 0.1) * half),
                        (a + step * 0.55, (y + 0.1) * half),
                        (a, (y + 0.1) * half),
                    )
                    canvas.fill_world(world(dot, h), mark, BUMP)
                continue
            if self.kind == "rubber" and i % 2:
                continue
            slant = step * 0.5 if self.kind == "chevrons" else 0.0
            b = a + step * (0.5 if self.kind == "chevrons" else 1.0)
            front = np.concatenate(
                (world(((a, -half), (b, -half)), 0.0), world(((b + slant, -inner), (a + slant, -inner)), h))
            )
            body = np.concatenate(
                (
                    world(((a + slant, -inner), (b + slant, -inner)), h),
                    world(((b + slant * 2, inner), (a + slant * 2, inner)), h),
                )
            )
            canvas.fill_world(body, mark, BUMP)
            canvas.fill_world(front, mark, BUMP)
