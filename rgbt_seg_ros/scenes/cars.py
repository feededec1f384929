"""Cars, vans and trucks: a side profile swept across their width, seen from any direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.camera import NEAR
from rgbt_seg_ros.scenes.canvas import Canvas, Material, cross
from rgbt_seg_ros.scenes.car_shapes import SHAPES, Shape
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import CAR, Points
from rgbt_seg_ros.scenes.palette import CARS, pick, shade
from rgbt_seg_ros.scenes.things import Light, Standing, Track

SMALLEST = 9.0

_World = Callable[[AnyArray, "AnyArray | float"], Float32Array]

_TURN = np.linspace(0, 2 * math.pi, 16, endpoint=False)
_WHEEL: Float32Array = np.stack((np.cos(_TURN), np.sin(_TURN)), 1).astype(np.float32)


@dataclass(frozen=True)
class Car(Standing):
    """A vehicle along ``track.heading``; ``running`` warms its engine, ``lamps`` lights it."""

    track: Track
    shape: Shape
    body: Material
    glass: Material
    dark: Material
    tyre: Material
    rim: Material
    chrome: Material
    engine: float
    lamps: bool
    braking: bool
    taxi: bool
    stripe: Material | None
    seed: int

    def _axes(self) -> tuple[Float32Array, Float32Array]:
        s, c = math.sin(self.track.heading), math.cos(self.track.heading)
        return np.array((s, 0, c), np.float32), np.array((c, 0, -s), np.float32)

    def lights(self, time: float) -> tuple[Light, ...]:
        """Return its head lamps, as one beam each, where they are lit."""
        if not self.lamps:
            return ()
        x, z = self.place(time)
        ahead, across = self._axes()
        half, side = self.shape.length / 2 + 0.1, self.shape.width * 0.37
        found = []
        for sign in (-1, 1):
            at = np.array((x, 0.65, z)) + ahead * half + across * side * sign
            direction = (float(ahead[0]), -0.07, float(ahead[2]))
            found.append(Light((float(at[0]), 0.65, float(at[2])), (7.0, 6.6, 5.6), direction, 22.0))
        rear = np.array((x, 0.8, z)) - ahead * (half + 0.1)
        strength = 0.5 if self.braking else 0.12
        found.append(Light((float(rear[0]), 0.8, float(rear[2])), (strength, 0.04 * strength, 0.02), None))
        return tuple(found)

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        heading = np.array((math.sin(self.track.heading), math.cos(self.track.heading)))
        share = abs(float(heading @ side))
        half = (self.shape.length * share + self.shape.width * (1 - share)) / 2
        h = self.shape.height
        corners = ((half, 0), (half * 0.95, h * 0.65), (half * 0.6, h))
        return [np.array((*corners, *((-x, y) for x, y in reversed(corners))), np.float32)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        shape = self.shape
        camera = canvas.camera
        depth = camera.depth_of(x, z)
        if depth < 1.5 or shape.height * camera.focal / depth / camera.unit < SMALLEST:
            return
        ahead, across = self._axes()
        base = np.array((x, 0, z), np.float32)
        eye = camera.position - base
        lead, side = float(eye @ ahead), float(eye @ across)
        sign = 1.0 if side > 0 else -1.0
        half = shape.width / 2
        profile = np.array(shape.corners, np.float32) * (shape.length, shape.height)
        lean = np.where(
            profile[:, 1] > shape.belt * shape.height,
            1 - shape.lean * (profile[:, 1] / shape.height - shape.belt) / (1 - shape.belt),
            1.0,
        )
        up = np.array((0, 1, 0), np.float32)

        def world(points: AnyArray, lateral: AnyArray | float) -> Float32Array:
            flat = np.asarray(points, np.float32)
            sideways = np.broadcast_to(np.asarray(lateral, np.float32), (len(flat),))
            moved: Float32Array = base + flat[:, :1] * ahead + flat[:, 1:] * up + sideways[:, None] * across
            return moved

        footprint = np.array(((0.46, 0), (-0.46, 0)), np.float32) * (shape.length, 1)
        corners = np.concatenate((world(footprint, half * 0.98), world(footprint[::-1], -half * 0.98)))
        canvas.fill_ground(corners, canvas.occlusion, 215)
        if self.engine > 2:
            canvas.fill_ground(corners, canvas.heat, int(min(self.engine * 9, 250)))
        near_side, far_side = world(profile, half * lean * sign), world(profile, -half * lean * sign)
        if float(camera.to_camera(np.concatenate((near_side, far_side)))[:, 2].min()) < NEAR:
            return
        self._wheels(canvas, world, -sign * half * 0.8, sign, flat=True)
        count = len(profile)
        faces = []
        for index in range(count):
            a, b = profile[index], profile[(index + 1) % count]
            normal = np.array((b[1] - a[1], a[0] - b[0]))  # the corners run anticlockwise
            normal = normal / (np.hypot(*normal) + 1e-6)
            if (lead - a[0]) * normal[0] + (float(eye[1]) - a[1]) * normal[1] > 0:
                middle = (a + b) / 2
                distance = math.hypot(lead - middle[0], float(eye[1]) - middle[1])
                faces.append((distance, index, normal))
        for _, index, normal in sorted(faces, key=lambda face: -face[0]):
            following = (index + 1) % count
            quad = np.stack((near_side[index], near_side[following], far_side[following], far_side[index]))
            outward = ahead * normal[0] + up * normal[1]
            surface = canvas.plane(quad[0], across, cross(across, outward), normal=outward, seed=self.seed + index)
            self._strip(canvas, quad, shape.faces[index], surface, normal)
        surface = canvas.plane(near_side[0], ahead, up, normal=across * sign + up * 0.15, seed=self.seed)
        canvas.fill_world(near_side, canvas.part(self.body, surface), CAR)
        self._flank(canvas, world, sign, surface)
        self._wheels(canvas, world, sign * half * 1.005, sign, flat=False)
        self._ends(canvas, world, lead, half)

    def _strip(self, canvas: Canvas, quad: AnyArray, kind: str, surface: int, normal: AnyArray) -> None:
        warm = self.body.temp
        if kind == "g":
            canvas.fill_world(quad, canvas.part(self.body, surface), CAR)
            middle = quad.mean(0)
            canvas.fill_world(middle + (quad - middle) * 0.9, canvas.part(self.glass, surface), CAR)
            return
        material = self.body
        if kind == "h":
            material = self.body._replace(temp=warm + self.engine, heat_coarse=0.3 + self.engine * 0.12, density=1.5)
        elif kind == "f":
            material = self.body._replace(temp=warm + self.engine * 0.7)
        elif kind == "u":
            material = self.dark
        canvas.fill_world(quad, canvas.part(material, surface), CAR)

    def _flank(self, canvas: Canvas, world: _World, sign: float, surface: int) -> None:
        shape = self.shape
        scale = np.array((shape.length, shape.height), np.float32)

        def lateral(points: AnyArray) -> Float32Array:
            height = points[:, 1] / shape.height
            inward = np.clip((height - shape.belt) / (1 - shape.belt), 0, 1) * shape.lean
            result: Float32Array = (sign * shape.width / 2 * (1 - inward)).astype(np.float32)
            return result

        def outline(points: Points, material: Material) -> None:
            flat = np.asarray(points, np.float32) * scale
            canvas.fill_world(world(flat, lateral(flat)), canvas.part(material, surface), CAR)

        sill = shape.corners[0][1]
        outline(((0.5, sill), (0.5, sill + 0.08), (-0.5, sill + 0.08), (-0.5, sill)), self.dark)
        if self.stripe is not None:
            outline(((0.48, 0.42), (0.48, 0.52), (-0.49, 0.52), (-0.49, 0.42)), self.stripe)
        for window in shape.windows:
            outline(window, self.glass)
        seam = self.body._replace(color=shade(self.body.color, 0.55))
        middle = (shape.windows[0][-1][0] + 0.0) - 0.01
        outline(
            ((middle, sill + 0.08), (middle + 0.004, sill + 0.08), (middle + 0.004, shape.belt), (middle, shape.belt)),
            seam,
        )
        outline(
            (
                (middle + 0.03, shape.belt - 0.06),
                (middle + 0.065, shape.belt - 0.06),
                (middle + 0.065, shape.belt - 0.04),
                (middle + 0.03, shape.belt - 0.04),
            ),
            self.chrome,
        )

    def _wheels(self, canvas: Canvas, world: _World, lateral: float, sign: float, flat: bool) -> None:
        radius, length = self.shape.wheel, self.shape.length
        surface = canvas.plane(
            world(np.zeros((1, 2)), 0.0)[0], (1, 0, 0), (0, 1, 0), normal=(0, 0.3, -0.7), seed=self.seed
        )
        hot = self.engine * 0.8
        for at in (0.31, -0.31):
            hub = np.array((at * length, radius), np.float32)
            if not flat:
                arch = _WHEEL[_WHEEL[:, 1] > -0.3] * radius * 1.18 + hub
                canvas.fill_world(world(arch, lateral * 0.998), canvas.part(self.dark, surface), CAR)
                inner = world(_WHEEL * radius + hub, lateral * 0.8)
                canvas.fill_world(inner, canvas.part(self.dark, surface), CAR)
            tyre = self.tyre._replace(temp=self.tyre.temp + hot * 0.7)
            canvas.fill_world(world(_WHEEL * radius + hub, lateral), canvas.part(tyre, surface), CAR)
            if not flat:
                rim = self.rim._replace(temp=self.rim.temp + hot)
                canvas.fill_world(world(_WHEEL * radius * 0.64 + hub, lateral), canvas.part(rim, surface), CAR)
                canvas.fill_world(world(_WHEEL * radius * 0.22 + hub, lateral), canvas.part(self.dark, surface), CAR)

    def _ends(self, canvas: Canvas, world: _World, lead: float, half: float) -> None:
        """Paint lamps, grille and number plate on the end that is seen."""
        shape = self.shape
        front = lead > shape.length / 2
        if not front and lead > -shape.length / 2:
            return
        at = shape.length * (0.501 if front else -0.501)
        surface = canvas.plane(
            world(np.array(((at, 0.5),)), 0.0)[0], (1, 0, 0), (0, 1, 0), normal=(0, 0.2, -0.7), seed=self.seed
        )
        h = shape.height

        def box(y0: float, y1: float, z0: float, z1: float, material: Material) -> None:
            points = world(
                np.array(((at, y0), (at, y0), (at, y1), (at, y1)), np.float32), np.array((z0, z1, z1, z0)) * half
            )
            canvas.fill_world(points, canvas.part(material, surface), CAR)

        sill = shape.corners[0][1]
        hot = self.dark._replace(temp=self.dark.temp + self.engine * (0.9 if front else 0.2))
        box(h * (sill - 0.02), h * (sill + 0.07), -0.96, 0.96, hot)
        if front:
            box(h * 0.34, h * 0.44, -0.5, 0.5, hot)
            emission = (14.0, 13.4, 12.0) if self.lamps else (0.0, 0.0, 0.0)
            lamp = Material((225, 228, 230), self.chrome.temp + (12 if self.lamps else 0), emission=emission)
            for side in (-1, 1):
                box(h * 0.37, h * 0.46, 0.62 * side, 0.93 * side, lamp)
        else:
            bright = 3.5 if self.braking else 0.7
            emission = (bright, bright * 0.06, bright * 0.04) if self.lamps else (0.0, 0.0, 0.0)
            lamp = Material((150, 20, 20), self.body.temp + (2 if self.lamps else 0), emission=emission)
            for side in (-1, 1):
                box(h * 0.42, h * 0.6, 0.72 * side, 0.95 * side, lamp)
            if self.engine > 2:
                box(h * sill - 0.1, h * sill, 0.45, 0.6, self.dark._replace(temp=self.dark.temp + self.engine * 2.5))
        box(h * 0.29, h * 0.29 + 0.13, -0.2, 0.2, Material((226, 226, 214), self.chrome.temp))


def draw_car(rng: np.random.Generator, conditions: Conditions, track: Track, running: bool | None = None) -> Car:
    """Draw a vehicle; one that stands is parked unless ``running`` says otherwise."""
    running = track.speed > 0 if running is None else running
    name = str(rng.choice(tuple(SHAPES), p=(0.26, 0.2, 0.2, 0.1, 0.16, 0.08)))
    shape = SHAPES[name]
    scale = rng.uniform(0.93, 1.08)
    color = pick(rng, CARS)
    body = Material(
        color, conditions.temp("paint", rng.normal(0, 1.5)), grain=0.01, mid=0.04, coarse=0.12, heat_coarse=0.8
    )
    engine = float(rng.uniform(3, 16)) if running else float(rng.uniform(0.5, 6)) if rng.random() < 0.25 else 0.0
    lamps = running and (conditions.lamps_on or rng.random() < 0.1)
    return Car(
        track=track,
        shape=Shape(
            shape.length * scale,
            shape.width * rng.uniform(0.96, 1.04),
            shape.height * rng.uniform(0.94, 1.06),
            shape.corners,
            shape.faces,
            shape.windows,
            shape.belt,
            shape.lean,
            shape.wheel,
        ),
        body=body,
        glass=Material(
            (38, 44, 50), conditions.temp("glass", rng.normal(0, 0.7)), grain=0.0, mid=0.1, coarse=0.4, heat_coarse=1.0
        ),
        dark=Material((22, 22, 24), conditions.temp("rubber", rng.normal(0, 0.6)), mid=0.15),
        tyre=Material((30, 30, 32), conditions.temp("rubber", rng.normal(0, 0.8)), mid=0.1),
        rim=Material(
            pick(rng, ((150, 152, 156), (110, 112, 116), (60, 60, 64))), conditions.temp("metal"), mid=0.25, density=3.0
        ),
        chrome=Material((170, 172, 176), conditions.temp("metal", 0.5)),
        engine=engine,
        lamps=bool(lamps),
        braking=bool(rng.random() < 0.35),
        taxi=bool(rng.random() < 0.1),
        stripe=Material(pick(rng, CARS, 20), body.temp, grain=0.01) if rng.random() < 0.12 else None,
        seed=int(rng.integers(1 << 16)),
    )
