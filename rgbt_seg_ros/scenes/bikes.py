"""Bicycles and scooters: parked, in rows, and ridden."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.scenes.board import CIRCLE, capsule, xy
from rgbt_seg_ros.scenes.camera import NEAR
from rgbt_seg_ros.scenes.canvas import SHIFT, Canvas, Material, fixed
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import BIKE
from rgbt_seg_ros.scenes.palette import CLOTHES, CYCLES, pick
from rgbt_seg_ros.scenes.persons import Person
from rgbt_seg_ros.scenes.things import Light, Standing, Track

SMALLEST = 12.0


@dataclass(frozen=True)
class Bike(Standing):
    """A bicycle or a scooter along ``track.heading``, with a rider where there is one.

    Its outline is labelled filled, wheels and frame, as annotators do; what is painted has holes.
    """

    track: Track
    scooter: bool
    frame: Material
    tyre: Material
    metal: Material
    box: Material | None
    basket: bool
    lamp: bool
    engine: float
    seed: int
    rider: Person | None = None

    def lights(self, time: float) -> tuple[Light, ...]:
        """Return its head lamp, where it is lit."""
        if not self.lamp or self.rider is None:
            return ()
        x, z = self.place(time)
        s, c = math.sin(self.track.heading), math.cos(self.track.heading)
        return (Light((x + 0.6 * s, 0.9, z + 0.6 * c), (0.6, 0.6, 0.55), (s, -0.12, c), 12.0),)

    def shadow(self, side: AnyArray) -> list[AnyArray]:
        """Return the outline that throws a shadow, as of a thing half a metre wide."""
        share = 0.15 + 0.6 * abs(
            math.sin(self.track.heading) * float(side[0]) + math.cos(self.track.heading) * float(side[1])
        )
        return [np.array(((-share, 0), (share, 0), (share * 0.5, 1.0), (-share * 0.5, 0.9)))]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        depth = canvas.camera.depth_of(x, z)
        if depth < 1.3 or canvas.camera.focal / depth / canvas.camera.unit < SMALLEST:
            return
        figure = _Figure(canvas, x, z, self.track.heading, self.seed)
        if self.scooter:
            self._scooter(figure)
        else:
            self._bicycle(figure)
        if self.rider is not None:
            self.rider.draw(canvas, time)

    def _bicycle(self, figure: _Figure) -> None:
        wheel = 0.33
        rear, front = np.array((-0.52, wheel)), np.array((0.52, wheel))
        crank, seat, head = np.array((-0.08, 0.3)), np.array((-0.25, 0.84)), np.array((0.34, 0.86))
        handle = np.array((0.28, 1.02))
        for hub in (rear, front):
            figure.mark(CIRCLE * (wheel + 0.02) + hub)
        if figure.thin:
            figure.mark(np.array((rear, front, handle, seat)))
        figure.mark(
            np.array((rear, seat + xy(-0.1, 0.05), seat + xy(0.1, 0.06), handle, head, front, crank + xy(0.0, -0.08)))
        )
        if self.basket:
            wire = self.metal._replace(mid=0.5, density=5.0)
            figure.poly(np.array(((0.36, 0.72), (0.66, 0.74), (0.72, 1.0), (0.34, 1.0))), wire)
            figure.cross(np.array((0.5, 0.87)), 0.17, 0.13, wire)
        for hub in (rear, front):
            figure.ring(hub, wheel, 0.032, self.tyre)
            figure.bar(hub - xy(wheel * 0.7, wheel * 0.6), hub + xy(wheel * 0.7, wheel * 0.6), 0.006, self.metal)
            figure.bar(hub - xy(-wheel * 0.6, wheel * 0.7), hub + xy(-wheel * 0.6, wheel * 0.7), 0.006, self.metal)
            figure.arc(hub, wheel + 0.05, 0.02, self.frame)
        for start, end, width in (
            (rear, crank, 0.014),
            (rear, seat - xy(0.0, 0.12), 0.012),
            (crank, seat, 0.02),
            (crank, head - xy(0.0, 0.16), 0.024),
            (seat - xy(0.02, 0.18), head, 0.02),
            (front, head, 0.018),
        ):
            figure.bar(start, end, width, self.frame)
        figure.bar(head, handle, 0.018, self.metal)
        figure.bar(handle - xy(0.16, 0.01), handle + xy(0.04, 0.0), 0.018, self.tyre)
        figure.bar(seat - xy(0.13, 0.0), seat + xy(0.1, 0.02), 0.04, self.tyre)
        figure.cross(handle, 0.27, 0.02, self.metal)
        figure.cross(seat, 0.09, 0.04, self.tyre)
        if self.box is not None:
            figure.poly(np.array(((-0.75, 0.72), (-0.32, 0.72), (-0.34, 1.0), (-0.73, 1.0))), self.box)
        else:
            figure.bar(np.array((-0.72, 0.72)), np.array((-0.3, 0.72)), 0.015, self.metal)

    def _scooter(self, figure: _Figure) -> None:
        wheel = 0.24
        rear, front = np.array((-0.6, wheel)), np.array((0.62, wheel))
        hot = self.metal._replace(temp=self.metal.temp + self.engine * 2.2, color=(70, 70, 72))
        for hub in (rear, front):
            figure.poly(CIRCLE * wheel + hub, self.tyre)
            figure.poly(CIRCLE * wheel * 0.55 + hub, self.metal)
        figure.poly(
            np.array(
                (
                    (-0.85, 0.45),
                    (-0.75, 0.72),
                    (-0.1, 0.78),
                    (0.0, 0.42),
                    (0.22, 0.38),
                    (0.34, 0.9),
                    (0.5, 0.92),
                    (0.62, 0.5),
                    (0.4, 0.26),
                    (-0.3, 0.2),
                    (-0.6, 0.3),
                )
            ),
            self.frame._replace(temp=self.frame.temp + self.engine * 0.4),
        )
        figure.poly(np.array(((-0.78, 0.72), (-0.72, 0.82), (-0.05, 0.86), (-0.02, 0.78))), self.tyre)
        figure.poly(np.array(((-0.55, 0.2), (-0.1, 0.18), (-0.15, 0.4), (-0.5, 0.4))), hot)
        figure.bar(np.array((0.4, 0.9)), np.array((0.3, 1.06)), 0.03, self.frame)
        figure.bar(np.array((0.22, 1.06)), np.array((0.36, 1.08)), 0.03, self.tyre)
        figure.cross(np.array((0.3, 1.08)), 0.3, 0.025, self.tyre)
        figure.poly(
            CIRCLE * (0.07, 0.08) + xy(0.52, 0.86),
            self.metal._replace(color=(220, 220, 215), emission=(2.0, 2.0, 1.8) if self.lamp else (0, 0, 0)),
        )
        if self.box is not None:
            figure.poly(np.array(((-1.0, 0.8), (-0.55, 0.8), (-0.55, 1.2), (-1.0, 1.2))), self.box)


class _Figure:
    """An upright plane turned to a heading: coordinates are metres ahead of its middle and above the ground.

    The figure is given the thickness of a cycle where it is seen end on.
    """

    def __init__(self, canvas: Canvas, x: float, z: float, heading: float, seed: int) -> None:
        self.canvas = canvas
        self.ahead = np.array((math.sin(heading), 0.0, math.cos(heading)), np.float32)
        self.across = np.array((math.cos(heading), 0.0, -math.sin(heading)), np.float32)
        self.base = np.array((x, 0.0, z), np.float32)
        camera = canvas.camera
        right, down, forward = camera.rotation
        self.surface = canvas.plane((x, 0.0, z), right, -down, normal=-forward * 0.8 + np.array((0, 0.4, 0)), seed=seed)
        view = self.base - camera.position
        view = view / np.linalg.norm(view)
        # Where the plane is seen end on, its outlines are pulled apart to about 6 cm of real thickness.
        self.thin = abs(float(view @ self.across)) < 0.16
        self.label = BIKE

    def _pixels(self, points: AnyArray, shift: float = 0.0) -> AnyArray | None:
        flat = np.asarray(points, np.float32)
        world = (
            self.base + flat[:, :1] * self.ahead + flat[:, 1:] * np.array((0, 1, 0), np.float32) + shift * self.across
        )
        seen = self.canvas.camera.to_camera(world)
        if float(seen[:, 2].min()) < NEAR:
            return None
        return self.canvas.camera.to_pixels(seen)

    def _outline(self, points: AnyArray) -> AnyArray | None:
        if not self.thin:
            return self._pixels(points)
        one, two = self._pixels(points, -0.035), self._pixels(points, 0.035)
        if one is None or two is None:
            return None
        hull: AnyArray = cv2.convexHull(np.concatenate((one, two)))[:, 0]
        return hull

    def mark(self, points: AnyArray) -> None:
        pixels = self._outline(points)
        if pixels is not None:
            self.canvas.mark(pixels, BIKE)

    def poly(self, points: AnyArray, material: Material) -> None:
        pixels = self._outline(points)
        if pixels is not None:
            self.canvas.fill(pixels, self.canvas.part(material, self.surface), self.label)

    def bar(self, start: AnyArray, end: AnyArray, radius: float, material: Material) -> None:
        self.poly(capsule(start, end, radius, radius), material)

    def ring(self, hub: AnyArray, radius: float, width: float, material: Material) -> None:
        if self.thin:
            self.poly(CIRCLE * radius + hub, material)
            return
        outer, inner = self._pixels(CIRCLE * radius + hub), self._pixels(CIRCLE * (radius - width) + hub)
        if outer is None or inner is None:
            return
        part = self.canvas.part(material, self.surface)
        # Two outlines in one call: the even-odd rule leaves the inside free.
        cv2.fillPoly(self.canvas.ids, fixed(outer) + fixed(inner), part, cv2.LINE_8, SHIFT)
        self.canvas.mark(outer, BIKE)

    def arc(self, hub: AnyArray, radius: float, width: float, material: Material) -> None:
        upper = CIRCLE[CIRCLE[:, 1] > 0.2]
        self.poly(np.concatenate((upper * radius + hub, upper[::-1] * (radius - width) + hub)), material)

    def cross(self, at: AnyArray, half: float, radius: float, material: Material) -> None:
        """Paint a bar across the plane, such as a handlebar."""
        points = np.array(((at[0], at[1] - radius), (at[0], at[1] + radius)), np.float32)
        one, two = self._pixels(points, -half), self._pixels(points, half)
        if one is not None and two is not None:
            part = self.canvas.part(material, self.surface)
            self.canvas.fill(np.concatenate((one, two[::-1])), part, self.label)


def draw_bike(
    rng: np.random.Generator,
    conditions: Conditions,
    track: Track,
    rider: Person | None = None,
    scooter: bool | None = None,
) -> Bike:
    """Draw a bicycle or scooter; a ridden scooter has a warm engine."""
    if scooter is None:
        scooter = bool(rng.random() < 0.25)
    metal = Material(pick(rng, ((180, 182, 186), (120, 122, 126))), conditions.temp("metal", rng.normal(0, 0.7)))
    frame = Material(pick(rng, CYCLES), conditions.temp("paint", rng.normal(0, 0.8)))
    tyre = Material((34, 34, 36), conditions.temp("rubber", rng.normal(0, 0.7)), mid=0.15)
    box = None
    if rng.random() < 0.15:
        box = Material(pick(rng, CLOTHES, 20), conditions.temp("plastic"))
    return Bike(
        track=track,
        scooter=scooter,
        frame=frame,
        tyre=tyre,
        metal=metal,
        box=box,
        basket=bool(rng.random() < 0.5),
        lamp=conditions.lamps_on and rider is not None and bool(rng.random() < 0.7),
        engine=float(rng.uniform(4, 14)) if scooter and (rider is not None or rng.random() < 0.2) else 0.0,
        seed=int(rng.integers(1 << 16)),
        rider=rider,
    )
