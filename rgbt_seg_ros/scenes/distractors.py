"""Things of no class that look like one: poles, bollards, signs, boxes, warm cabinets, posters of people, dogs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from rgbt_seg_ros.arrays import Float32Array
from rgbt_seg_ros.scenes.board import Board
from rgbt_seg_ros.scenes.canvas import Canvas, Material
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.labels import BACKGROUND, RGB
from rgbt_seg_ros.scenes.palette import CLOTHES, CONES, SIGNS, STONE, WALLS, pick
from rgbt_seg_ros.scenes.persons import Person, draw_person
from rgbt_seg_ros.scenes.solids import Box, Pole, upright
from rgbt_seg_ros.scenes.things import Light, Standing, Thing, Track, Unlit


@dataclass(frozen=True)
class Lamp(Standing):
    """A street lamp: pole, arm and head."""

    track: Track
    height: float
    arm: float
    pole: Material
    head: Material
    color: RGB
    globe: bool

    def lights(self, time: float) -> tuple[Light, ...]:
        """Return its light, where it is on."""
        if max(self.color) <= 0:
            return ()
        return (Light((self.track.x + self.arm, self.height - 0.2, self.track.z), self.color),)

    def shadow(self, side: Float32Array) -> list[Float32Array]:
        """Return the outline that throws a shadow."""
        return [upright(0.07, self.height)]

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        board = Board(canvas, self.track.x, self.track.z)
        if board.depth < 1.0:
            return
        board.limb(np.array((0, 0)), np.array((0, self.height)), 0.09, 0.05, self.pole)
        if self.globe:
            board.ellipse(self.arm, self.height, 0.2, 0.2, self.head)
            return
        board.limb(np.array((0, self.height)), np.array((self.arm, self.height + 0.15)), 0.04, 0.04, self.pole)
        board.ellipse(self.arm, self.height + 0.08, 0.34, 0.1, self.head)


def draw_lamp(rng: np.random.Generator, conditions: Conditions, track: Track, style: int) -> Lamp:
    """Draw a street lamp; those of one ``style`` look alike, though one may have failed."""
    look = np.random.default_rng(style)
    height = float(look.uniform(3.0, 8.0))
    tint = ((1.0, 0.8, 0.5), (1.0, 1.0, 0.9), (0.8, 1.0, 0.75), (1.0, 0.62, 0.25), (0.9, 0.97, 1.0))[
        int(look.integers(5))
    ]
    strength = float(np.exp(look.uniform(math.log(0.4), math.log(9.0)))) * (height / 5) ** 1.5
    on = conditions.lamps_on and rng.random() < 0.85
    color = (tint[0] * strength, tint[1] * strength, tint[2] * strength) if on else (0.0, 0.0, 0.0)
    glow = (tint[0] * 9, tint[1] * 9, tint[2] * 9) if on else (0.0, 0.0, 0.0)
    gray = float(look.uniform(40, 170))
    pole = Material((gray, gray, gray), conditions.temp("metal", 1.0))
    warm = float(look.uniform(4, 26)) if on else 0.0
    head = Material((220, 220, 210), conditions.air + warm, emission=glow, heat_mid=0.0)
    return Lamp(track, height, float(look.uniform(-1.6, 1.6)), pole, head, color, bool(look.random() < 0.35))


@dataclass(frozen=True)
class Sign(Unlit, Standing):
    """A sign on a pole, or a free-standing board where the pole is short."""

    track: Track
    pole: Material
    plate: Material
    ink: Material
    height: float
    width: float
    tall: float
    shape: str
    seed: int

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        board = Board(canvas, self.track.x, self.track.z, 0.0, self.seed)
        if board.depth < 1.0:
            return
        w, h, y = self.width / 2, self.tall / 2, self.height
        board.rect(-0.04, 0, 0.04, y, self.pole)
        if self.shape == "disc":
            board.ellipse(0, y, w, w, self.plate)
            board.ellipse(0, y, w * 0.7, w * 0.7, self.ink)
            return
        if self.shape == "triangle":
            board.poly(np.array(((-w, y + w * 0.8), (w, y + w * 0.8), (0, y - w * 0.9))), self.plate)
            board.poly(np.array(((-w * 0.6, y + w * 0.6), (w * 0.6, y + w * 0.6), (0, y - w * 0.5))), self.ink)
            return
        board.rect(-w, y - h, w, y + h, self.plate)
        for row in (-0.5, 0.0, 0.5):
            board.rect(-w * 0.8, y + row * h - h * 0.12, w * 0.7, y + row * h + h * 0.12, self.ink)


def draw_sign(rng: np.random.Generator, conditions: Conditions, track: Track) -> Sign:
    """Draw a road sign or a notice board."""
    metal = conditions.temp("metal", rng.normal(0.5, 1))
    gray = float(rng.uniform(80, 200))
    shape = str(rng.choice(("disc", "triangle", "board"), p=(0.3, 0.2, 0.5)))
    glow: RGB = (0.0, 0.0, 0.0)
    if conditions.lamps_on and rng.random() < 0.2:
        strength = float(rng.uniform(0.1, 1.5))
        glow = (strength, strength, strength * 0.9)
    return Sign(
        track,
        Material((gray, gray, gray), metal),
        Material(pick(rng, SIGNS, 12), metal + float(rng.normal(0, 1)), emission=glow),
        Material(pick(rng, SIGNS, 12), metal + float(rng.normal(0, 1)), emission=glow),
        float(rng.uniform(0.6, 2.8)),
        float(rng.uniform(0.45, 1.2)),
        float(rng.uniform(0.4, 1.4)),
        shape,
        int(rng.integers(1 << 16)),
    )


@dataclass(frozen=True)
class Poster(Unlit, Standing):
    """A board with a picture of a person: the look of one without the warmth."""

    track: Track
    board: Material
    figure: Person
    width: float
    height: float

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        board = Board(canvas, self.track.x, self.track.z)
        if board.depth < 1.2:
            return
        half = self.width / 2
        board.rect(-half, 0.3, half, self.height, self.board)
        self.figure.draw(canvas, 0.0)


def draw_poster(rng: np.random.Generator, conditions: Conditions, track: Track) -> Poster:
    """Draw a poster."""
    temp = conditions.temp("wall", rng.normal(0, 1))
    glow: RGB = (0.0, 0.0, 0.0)
    if conditions.lamps_on and rng.random() < 0.5:
        glow = (0.2, 0.2, 0.18)
    person = draw_person(rng, conditions, Track(track.x, track.z, track.heading), "stand", lift=0.5)
    flat = {
        field.name: getattr(person.outfit, field.name)._replace(temp=temp, heat_mid=0.1, emission=glow)
        for field in fields(person.outfit)
        if isinstance(getattr(person.outfit, field.name), Material)
    }
    figure = replace(
        person,
        outfit=replace(person.outfit, **{**flat, "umbrella": None}),
        label=BACKGROUND,
        height=float(rng.uniform(1.0, 1.8)),
    )
    material = Material(pick(rng, WALLS, 20), temp, emission=glow, mid=0.2)
    return Poster(track, material, figure, float(rng.uniform(0.9, 2.0)), figure.height + 0.8)


@dataclass(frozen=True)
class Dog(Unlit, Standing):
    """A warm animal on four legs."""

    track: Track
    size: float
    coat: Material

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        x, z = self.place(time)
        board = Board(canvas, x, z)
        if board.depth < 1.2:
            return
        k = self.size
        flip = 1.0 if math.sin(self.track.heading) > 0 else -1.0
        for at in (-0.5, -0.38, 0.32, 0.45):
            board.limb(
                np.array((at * k * flip, 0.02)), np.array((at * k * flip, 0.6 * k)), 0.05 * k, 0.08 * k, self.coat
            )
        board.limb(
            np.array((-0.45 * k * flip, 0.7 * k)), np.array((0.42 * k * flip, 0.72 * k)), 0.17 * k, 0.2 * k, self.coat
        )
        board.limb(
            np.array((0.45 * k * flip, 0.78 * k)), np.array((0.72 * k * flip, 1.05 * k)), 0.12 * k, 0.14 * k, self.coat
        )
        board.limb(
            np.array((-0.5 * k * flip, 0.8 * k)), np.array((-0.8 * k * flip, 1.0 * k)), 0.05 * k, 0.03 * k, self.coat
        )


def draw_distractor(rng: np.random.Generator, conditions: Conditions, track: Track) -> Thing:
    """Draw one thing of no class."""
    kind, seed = rng.random(), int(rng.integers(1 << 16))
    if kind < 0.2:
        return draw_sign(rng, conditions, track)
    if kind < 0.38:
        color = pick(rng, ((60, 60, 60), (160, 160, 160), (40, 70, 120), (200, 120, 40), (120, 80, 50)))
        band = Material(pick(rng, ((240, 240, 240), (230, 190, 50), (200, 60, 40))), conditions.temp("plastic"))
        return Pole(
            track,
            float(rng.uniform(0.05, 0.13)),
            float(rng.uniform(0.6, 1.15)),
            Material(color, conditions.temp("metal", rng.normal(1, 1.5))),
            band if rng.random() < 0.6 else None,
            ((0.75, 0.88),) if rng.random() < 0.6 else ((0.5, 0.6), (0.75, 0.85)),
            True,
            seed,
        )
    if kind < 0.5:
        return Pole(
            track,
            float(rng.uniform(0.08, 0.2)),
            float(rng.uniform(4, 9)),
            Material(pick(rng, STONE, 20), conditions.temp("concrete")),
            seed=seed,
        )
    if kind < 0.72:
        color = pick(rng, STONE + WALLS, 15)
        if rng.random() < 0.25:
            color = pick(rng, CONES + SIGNS, 10)
        material = Material(color, conditions.temp("concrete", rng.normal(0, 1.5)), mid=0.15, heat_mid=0.4)
        top = Material((60, 80, 44), conditions.temp("foliage"), mid=0.6, density=2.0) if rng.random() < 0.4 else None
        return Box(
            track,
            float(rng.uniform(0.3, 1.4)),
            float(rng.uniform(0.3, 0.9)),
            float(rng.uniform(0.2, 0.9)),
            material,
            top,
            seed=seed,
        )
    if kind < 0.84:
        material = Material(pick(rng, WALLS, 15), conditions.temp("paint", rng.uniform(0, 4)), mid=0.05)
        front = material
        if conditions.lamps_on and rng.random() < 0.5:  # a vending machine
            glow = float(rng.uniform(0.3, 2.5))
            front = material._replace(
                emission=(glow, glow, glow), mid=0.6, density=2.0, temp=material.temp + float(rng.uniform(1, 8))
            )
        elif rng.random() < 0.4:
            front = material._replace(temp=material.temp + float(rng.uniform(2, 12)))
        return Box(
            track,
            float(rng.uniform(0.6, 1.3)),
            float(rng.uniform(0.5, 0.8)),
            float(rng.uniform(1.1, 1.9)),
            material,
            None,
            front,
            seed=seed,
        )
    if kind < 0.94:
        return draw_poster(rng, conditions, track)
    warm = Material(
        pick(rng, CLOTHES, 10),
        conditions.air + (30 - conditions.air) * float(rng.uniform(0.4, 0.8)),
        mid=0.2,
        heat_mid=0.6,
        density=3.0,
    )
    return Dog(
        Track(track.x, track.z, float(rng.uniform(-3, 3)), float(rng.uniform(0, 0.8))),
        float(rng.uniform(0.4, 0.75)),
        warm,
    )
