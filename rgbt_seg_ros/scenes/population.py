"""Who and what is in a scene: people, vehicles, cycles, cones, wheel stops, bumps, and things of no class."""

from __future__ import annotations

import math

import numpy as np

from rgbt_seg_ros.scenes.bikes import draw_bike
from rgbt_seg_ros.scenes.canvas import Material
from rgbt_seg_ros.scenes.cars import draw_car
from rgbt_seg_ros.scenes.distractors import draw_distractor
from rgbt_seg_ros.scenes.draft import Draft
from rgbt_seg_ros.scenes.ground import Bump, Patch
from rgbt_seg_ros.scenes.persons import draw_person
from rgbt_seg_ros.scenes.street_items import draw_cone, draw_wheel_stop, guardrail
from rgbt_seg_ros.scenes.things import Track


def add_people(draft: Draft) -> None:
    """Add single people, groups and riders."""
    rng, conditions = draft.rng, draft.conditions
    for _ in range(int(rng.choice((0, 1, 2, 3, 4), p=(0.1, 0.25, 0.3, 0.2, 0.15)))):
        depth = float(np.clip(np.exp(rng.normal(math.log(15), 0.62)), 3.2, 55))
        spot = draft.find(depth * 0.95, depth * 1.05, 0.4, 1.02)
        if spot is None:
            continue
        track = draft.walk(*spot)
        draft.things.append(draw_person(rng, conditions, track))
        if draft.chance(0.3):
            for _ in range(int(rng.integers(1, 5))):
                x, z = spot[0] + float(rng.normal(0, 0.8)), spot[1] + float(rng.normal(0, 0.8))
                draft.things.append(
                    draw_person(rng, conditions, Track(x, z, track.heading + float(rng.normal(0, 0.1)), track.speed))
                )


def add_cars(draft: Draft) -> None:
    """Add cars on the road, at its side and anywhere."""
    rng, conditions, half = draft.rng, draft.conditions, draft.half
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.3, 0.4, 0.2, 0.1)))):
        z = float(np.exp(rng.uniform(math.log(7), math.log(45))))
        away = draft.chance(0.5)
        x, at = draft.road.at(half * (-0.5 if away else 0.5) * (1 if draft.chance(0.8) else -1), z)
        if not draft.is_free(x, at, 2.2):
            continue
        draft.take(x, at, 2.2)
        heading = draft.road.heading(z) + (0.0 if away else math.pi) + float(rng.normal(0, 0.08))
        speed = draft.between(1.5, 8) if draft.chance(0.6) else 0.0
        draft.things.append(draw_car(rng, conditions, Track(x, at, heading, speed), running=draft.chance(0.75)))
    if draft.chance(0.5):  # a row at the side
        side, z = float(rng.choice((-1, 1))), draft.between(6, 16)
        across = draft.chance(0.4)
        for _ in range(int(rng.integers(1, 7))):
            offset = half + (draft.between(2.4, 2.9) if across else draft.between(0.6, 1.4))
            x, at = draft.road.at(side * offset, z)
            if draft.is_free(x, at, 1.2) and draft.chance(0.85):
                draft.take(x, at, 1.8)
                turn = math.pi / 2 * side if across else 0.0
                heading = (
                    draft.road.heading(z) + turn + (math.pi if draft.chance(0.4) else 0.0) + float(rng.normal(0, 0.03))
                )
                draft.things.append(draw_car(rng, conditions, Track(x, at, heading), running=False))
            z += draft.between(2.4, 2.8) if across else draft.between(5.2, 7)
    if draft.chance(0.3):
        spot = draft.find(5.5, 30, 2.2)
        if spot is not None:
            draft.things.append(
                draw_car(rng, conditions, Track(*spot, draft.between(-math.pi, math.pi)), running=draft.chance(0.3))
            )


def add_bikes(draft: Draft) -> None:
    """Add parked rows, single cycles and riders."""
    rng, conditions = draft.rng, draft.conditions
    if draft.chance(0.36):
        spot = draft.find(4.0, 20, 1.2)
        if spot is not None:
            heading = draft.between(-math.pi, math.pi)
            along = (
                draft.road.heading(spot[1]) + float(rng.normal(0, 0.2)) + (math.pi / 2 if draft.chance(0.3) else 0.0)
            )
            pitch = draft.between(0.45, 0.8)
            for index in range(int(rng.integers(1, 10))):
                x = spot[0] + math.sin(along) * pitch * index + float(rng.normal(0, 0.05))
                z = spot[1] + math.cos(along) * pitch * index
                scooter = None if draft.chance(0.3) else False
                draft.things.append(
                    draw_bike(rng, conditions, Track(x, z, heading + float(rng.normal(0, 0.08))), scooter=scooter)
                )
    for _ in range(int(rng.choice((0, 1, 2), p=(0.55, 0.33, 0.12)))):
        spot = draft.find(4.0, 24, 0.7)
        if spot is not None:
            draft.things.append(draw_bike(rng, conditions, Track(*spot, draft.between(-math.pi, math.pi))))
    for _ in range(int(rng.choice((0, 1, 2), p=(0.6, 0.3, 0.1)))):
        spot = draft.find(4.5, 26, 0.8)
        if spot is None:
            continue
        heading = draft.road.heading(spot[1]) + (0.0 if draft.chance(0.5) else math.pi)
        if draft.chance(0.45):
            heading = draft.between(-math.pi, math.pi)
        track = Track(*spot, heading, draft.between(2, 4.5) if draft.chance(0.8) else 0.0)
        back = Track(spot[0] - 0.2 * math.sin(heading), spot[1] - 0.2 * math.cos(heading), heading, track.speed)
        rider = draw_person(rng, conditions, back, "ride", lift=0.1)
        draft.things.append(draw_bike(rng, conditions, track, rider))


def add_cones(draft: Draft) -> None:
    """Add cones in a row, or scattered."""
    rng, conditions = draft.rng, draft.conditions
    if not draft.chance(0.62):
        return
    style = draft.seed()
    spot = draft.find(3.0, 11, 0.4)
    if spot is None:
        return
    along = draft.road.heading(spot[1]) + (float(rng.normal(0, 0.3)) if draft.chance(0.7) else draft.between(-1.5, 1.5))
    pitch = draft.between(0.9, 2.8)
    for index in range(int(rng.integers(1, 7))):
        x, z = spot[0] + math.sin(along) * pitch * index, spot[1] + math.cos(along) * pitch * index
        if index == 0 or draft.is_free(x, z, 0.3):
            look = draft.seed() if draft.chance(0.1) else style
            draft.things.append(draw_cone(rng, conditions, Track(x, z), look))
    if draft.chance(0.35):
        spot = draft.find(2.6, 9, 0.4)
        if spot is not None:
            draft.things.append(draw_cone(rng, conditions, Track(*spot), draft.seed()))


def add_wheel_stops(draft: Draft, surface: Material) -> None:
    """Add a row of wheel stops in painted bays, some of them with a car."""
    rng, conditions = draft.rng, draft.conditions
    if not draft.chance(0.62):
        return
    style = draft.seed()
    spot = draft.find(3.2, 9.5, 0.8, 0.8)
    if spot is None:
        return
    view = draft.path.start.yaw
    # Rows run beside the road, or across the view; bays open at right angles to the row.
    row = draft.road.heading(spot[1]) if draft.chance(0.45) else view + math.pi / 2 + float(rng.normal(0, 0.35))
    bay = row + math.pi / 2
    pitch, single = draft.between(2.2, 2.7), draft.chance(0.5)
    white = surface._replace(color=(222, 222, 216), temp=surface.temp - 0.4)
    s, c = math.sin(row), math.cos(row)
    bs, bc = math.sin(bay), math.cos(bay)
    away = 1.0 if bc > 0 else -1.0
    lines = []
    count = int(rng.integers(1, 5))
    for index in range(count):
        x, z = spot[0] + s * pitch * index, spot[1] + c * pitch * index
        for shift in (0.0,) if single else (-0.45, 0.45):
            at = Track(x + s * shift, z + c * shift, bay)
            draft.things.append(draw_wheel_stop(rng, conditions, at, style))
        if index > 0 and draft.chance(0.35):
            x1, z1 = x + bs * away * 2.4, z + bc * away * 2.4
            if draft.is_free(x1, z1, 1.6):
                draft.take(x1, z1, 1.8)
                heading = bay + (math.pi if draft.chance(0.5) else 0.0)
                draft.things.append(draw_car(rng, conditions, Track(x1, z1, heading), running=False))
        for edge in (-0.5, 0.5):
            a = np.array((x + s * pitch * edge, z + c * pitch * edge))
            b = a + np.array((bs, bc)) * away * 4.5
            side = np.array((s, c)) * 0.05
            lines.append(np.stack((a - side, a + side, b + side, b - side)).astype(np.float32))
    if draft.chance(0.65):
        draft.flats.append(Patch(lines, white))


def add_bumps(draft: Draft, surface: Material) -> None:
    """Add a bump or two across the road."""
    rng, conditions = draft.rng, draft.conditions
    if not draft.chance(0.62):
        return
    kind = str(rng.choice(("rubber", "chevrons", "tiles"), p=(0.45, 0.33, 0.22)))
    half = draft.between(0.18, 0.35) if kind == "rubber" else draft.between(0.3, 0.8)
    z = draft.between(3.2, 9.5)
    wide = draft.half * draft.between(0.75, 1.0)
    left, right = (-wide, wide) if draft.chance(0.75) else (-wide, draft.between(-0.3, 0.4) * wide)
    away = draft.between(0.7, 2.8) * (1 if draft.chance(0.5) else -1) * (0.6 if conditions.crossover else 1.0)
    dark, yellow = (44.0, 44.0, 46.0), (226.0, 180.0, 44.0)
    white = (230.0, 230.0, 224.0)
    if kind == "rubber":
        base, mark = dark, yellow if draft.chance(0.8) else white
    elif kind == "chevrons":
        base, mark = surface.color if draft.chance(0.4) else (150.0, 60.0, 50.0), white if draft.chance(0.6) else yellow
    else:
        base, mark = yellow if draft.chance(0.6) else (176.0, 172.0, 166.0), (196.0, 150.0, 40.0)
    low = Material(base, surface.temp + away, 0.12, 0.12, 0.06, 0.2, 0.3, 0.2)
    high = low._replace(color=mark, temp=low.temp + draft.between(-1.2, 0.6))
    for _ in range(2 if draft.chance(0.2) else 1):
        origin = draft.road.at(0.0, z)
        heading = draft.road.heading(z) + float(rng.normal(0, 0.04))
        pitch = draft.between(0.3, 0.6) if kind != "tiles" else draft.between(0.12, 0.25)
        draft.flats.append(Bump(origin, heading, left, right, half, draft.between(0.03, 0.08), low, high, kind, pitch))
        z += draft.between(4, 8)


def add_rail(draft: Draft) -> None:
    """Add a guardrail that stands free: at a bend, round an entrance."""
    if not draft.chance(0.28):
        return
    spot = draft.find(4, 14, 0.3, 0.8)
    if spot is None:
        return
    heading = draft.path.start.yaw + math.pi / 2 + float(draft.rng.normal(0, 0.6))
    bend = float(draft.rng.normal(0, 0.15))
    points = [np.array(spot)]
    for index in range(int(draft.rng.integers(2, 7))):
        angle = heading + bend * index
        points.append(points[-1] + 1.8 * np.array((math.sin(angle), math.cos(angle))))
    draft.things.extend(guardrail(draft.rng, draft.conditions, np.array(points)))


def add_distractors(draft: Draft) -> None:
    """Add things of no class."""
    for _ in range(int(draft.rng.integers(1, 6))):
        spot = (
            draft.find(5.5, 30, 0.6)
            if draft.chance(0.4)
            else draft.find_beside(5, 28, 0.6, (draft.half, draft.half + 4))
        )
        if spot is not None:
            track = Track(*spot, draft.between(-math.pi, math.pi))
            draft.things.append(draw_distractor(draft.rng, draft.conditions, track))
