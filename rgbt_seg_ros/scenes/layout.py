"""The lie of a scene: road or square, kerbs and pavements, markings, and what borders and closes the view."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.buildings import draw_facade, draw_fence, draw_skyline
from rgbt_seg_ros.scenes.canvas import Material
from rgbt_seg_ros.scenes.distractors import draw_lamp
from rgbt_seg_ros.scenes.draft import Draft
from rgbt_seg_ros.scenes.ground import Ground, Kerb, Patch, strip
from rgbt_seg_ros.scenes.palette import ASPHALT, STONE, pick, shade
from rgbt_seg_ros.scenes.street_items import guardrail
from rgbt_seg_ros.scenes.things import Track
from rgbt_seg_ros.scenes.vegetation import draw_bush, draw_tree

ALONG: Float32Array = np.concatenate((np.arange(-3, 12, 1.0), np.arange(12, 30, 2.5), np.arange(30, 120, 9.0))).astype(
    np.float32
)
"""Distances (m) the edges of the road are drawn through."""


def asphalt(draft: Draft) -> Material:
    """Draw a road surface."""
    rng, conditions = draft.rng, draft.conditions
    return Material(
        pick(rng, ASPHALT, 6),
        conditions.temp("asphalt"),
        grain=float(rng.uniform(0.05, 0.22)),
        mid=float(rng.uniform(0.03, 0.15)),
        coarse=float(rng.uniform(0.05, 0.22)),
        heat_grain=float(rng.uniform(0.1, 0.4)),
        heat_mid=float(rng.uniform(0.1, 0.4)),
        heat_coarse=float(rng.uniform(0.2, 0.7)),
    )


def verge(draft: Draft) -> Material:
    """Draw what lies beside the road: paving, grass or soil."""
    rng, conditions = draft.rng, draft.conditions
    kind = rng.random()
    if kind < 0.55:
        return Material(
            pick(rng, STONE, 12), conditions.temp("concrete", rng.normal(0, 0.5)), 0.1, 0.12, 0.12, 0.2, 0.3, 0.5
        )
    if kind < 0.85:
        return Material(
            pick(rng, ((70, 96, 44), (92, 104, 52), (56, 80, 40)), 8),
            conditions.temp("grass"),
            0.35,
            0.35,
            0.2,
            0.5,
            0.6,
            0.5,
        )
    return Material(
        pick(rng, ((112, 92, 68), (128, 110, 86)), 8), conditions.temp("soil"), 0.2, 0.25, 0.2, 0.3, 0.5, 0.5
    )


def stone_edge(draft: Draft, inner: AnyArray, outer: AnyArray, road: Material) -> Kerb:
    """Draw a kerb; it is lighter than the road, and warmer or cooler."""
    rng, conditions = draft.rng, draft.conditions
    color = pick(rng, STONE, 10)
    away = float(rng.uniform(0.6, 2.8)) * (1 if rng.random() < 0.5 else -1) * (0.6 if conditions.crossover else 1.0)
    temp = road.temp + away
    top = Material(shade(color, 1.1), temp, 0.08, 0.12, 0.08, 0.2, 0.3, 0.2)
    face = top._replace(color=shade(color, float(rng.uniform(0.5, 0.8))), temp=temp + float(rng.normal(0, 0.7)))
    return Kerb(np.asarray(inner, np.float32), np.asarray(outer, np.float32), float(rng.uniform(0.1, 0.2)), top, face)


def island(draft: Draft, road: Material) -> None:
    """Add a kerbed bed with grass and bushes."""
    spot = draft.find(5.5, 16, 2.5, 0.9)
    if spot is None:
        return
    turn = np.linspace(0, 2 * math.pi, 25)
    rx, rz, power = draft.between(1.2, 3.0), draft.between(1.0, 2.5), draft.between(0.5, 1.0)
    ring = np.stack(
        (
            np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * rx,
            np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * rz,
        ),
        1,
    )
    width = draft.between(0.15, 0.32)
    centre = np.array(spot)
    bed = ring * (1 - width / min(rx, rz))
    draft.flats.append(stone_edge(draft, ring + centre, bed + centre, road))
    draft.flats.append(Patch((bed + centre,), verge(draft)))
    for _ in range(int(draft.rng.integers(0, 3))):
        at = centre + draft.rng.uniform(-0.4, 0.4, 2) * (rx, rz)
        draft.things.append(draw_bush(draft.rng, draft.conditions, Track(float(at[0]), float(at[1]))))


def lay_street(draft: Draft, curb_share: float = 0.6) -> Material:
    """Add a road with its edges and markings; returns its surface."""
    road, half = draft.road, draft.half
    surface = asphalt(draft)
    draft.flats.append(Ground(verge(draft)))
    shoulder = draft.between(1.2, 4.0)
    paving = verge(draft)
    draft.flats.append(Patch((strip(road, -half - shoulder, half + shoulder, ALONG),), paving))
    draft.flats.append(Patch((strip(road, -half, half, ALONG),), surface))
    markings(draft, surface)
    for side in (-1, 1):
        if draft.chance(0.25):  # a gutter: flat, of no class
            gutter = surface._replace(
                color=shade(surface.color, draft.between(1.1, 1.5)), temp=surface.temp + draft.between(-1, 1)
            )
            inner, outer = sorted((side * half, side * (half - 0.35)))
            draft.flats.append(Patch((strip(road, inner, outer, ALONG),), gutter))
        if draft.chance(curb_share):
            width = draft.between(0.14, 0.32)
            draft.flats.append(
                stone_edge(draft, road.points(side * half, ALONG), road.points(side * (half + width), ALONG), surface)
            )
    return surface


def markings(draft: Draft, surface: Material) -> None:
    """Add painted lines, arrows, a crossing, patches and covers: nothing of a class."""
    road, half = draft.road, draft.half
    white = Material((226, 226, 220), surface.temp + draft.between(-1.2, 0.3), 0.12, 0.2, 0.1, 0.2, 0.3, 0.3)
    yellow = white._replace(color=(222, 170, 60))
    for side in (-1, 1):
        if draft.chance(0.5):
            at = side * (half - draft.between(0.25, 0.6))
            draft.flats.append(
                Patch((strip(road, at - 0.07, at + 0.07, ALONG),), white if draft.chance(0.75) else yellow)
            )
    if draft.chance(0.4):
        if draft.chance(0.5):
            dashes = [strip(road, -0.07, 0.07, np.array((z, z + 1.2, z + 2.4))) for z in range(1, 50, 6)]
        else:
            dashes = [strip(road, -0.07, 0.07, ALONG)]
        draft.flats.append(Patch(dashes, white if draft.chance(0.7) else yellow))
    if draft.chance(0.28):  # a zebra crossing
        z = draft.between(3.5, 18)
        bars = [
            strip(road, x, x + 0.45, np.array((z, z + 1.5, z + 3.0))) for x in np.arange(-half + 0.3, half - 0.5, 0.95)
        ]
        draft.flats.append(Patch(bars, white))
    if draft.chance(0.3):  # a stop line
        z = draft.between(3.5, 15)
        draft.flats.append(Patch((strip(road, -half + 0.3, 0, np.array((z, z + 0.35))),), white))
    if draft.chance(0.3):  # a mended strip
        z, x, w = draft.between(2, 12), draft.between(-half, half - 1), draft.between(0.5, 2.5)
        mended = surface._replace(
            color=shade(surface.color, draft.between(0.7, 1.3)), temp=surface.temp + draft.between(-0.7, 0.7)
        )
        draft.flats.append(Patch((strip(road, x, x + w, np.array((z, z + draft.between(1, 8)))),), mended))
    if draft.chance(0.22):  # a tactile guide strip
        x = float(draft.rng.choice((-1, 1))) * (half - draft.between(0.6, 1.2))
        guide = yellow._replace(mid=0.35, density=2.5)
        draft.flats.append(Patch((strip(road, x, x + 0.4, ALONG),), guide))
    if draft.chance(0.5):  # a manhole cover
        middle = road.at(draft.between(-half, half), draft.between(2.5, 14))
        turn = np.linspace(0, 2 * math.pi, 16, endpoint=False)
        disc = np.stack((np.cos(turn), np.sin(turn)), 1) * draft.between(0.28, 0.5) + middle
        cover = Material((70, 68, 66), surface.temp + draft.between(-2, 4.5), 0.3, 0.3, 0.1, density=2.0)
        draft.flats.append(Patch((disc.astype(np.float32),), cover))
    for _ in range(int(draft.rng.integers(0, 4))):  # puddles, oil, warm spots where cars stood
        spot = np.array(road.at(draft.between(-half, half), draft.between(3, 22)))
        turn = np.linspace(0, 2 * math.pi, 14, endpoint=False)
        blob = np.stack((np.cos(turn) * draft.between(0.3, 1.4), np.sin(turn) * draft.between(0.3, 1.8)), 1)
        blob *= draft.rng.uniform(0.7, 1.2, (14, 1))
        stain = surface._replace(
            color=shade(surface.color, draft.between(0.6, 1.1)), temp=surface.temp + draft.between(-1.5, 2)
        )
        draft.flats.append(Patch(((blob + spot).astype(np.float32),), stain))


def edge_points(draft: Draft, offset: float, start: float, end: float, step: float) -> Float32Array:
    """Return ground points along the road at an offset."""
    return draft.road.points(offset, np.arange(start, end, step))


def border(draft: Draft, side: int) -> None:
    """Add what runs along one side of the road: rail, hedge, wall or fence; lamps and trees; and houses behind."""
    rng, conditions, half = draft.rng, draft.conditions, draft.half
    out = half + draft.between(0.35, 1.0)
    kind = rng.random()
    if kind < 0.4:
        draft.things.extend(
            guardrail(
                rng, conditions, edge_points(draft, side * out, draft.between(1.5, 6), draft.between(14, 36), 2.0)
            )
        )
    elif kind < 0.6:
        height = draft.between(0.6, 1.5)
        for x, z in edge_points(draft, side * (out + 1.0), draft.between(2, 8), draft.between(18, 45), height * 1.3):
            draft.things.append(draw_bush(rng, conditions, Track(float(x), float(z)), height))
    elif kind < 0.72:
        points = edge_points(
            draft, side * (out + draft.between(0.5, 3)), draft.between(0, 6), draft.between(16, 40), 6.0
        )
        for a, b in pairwise(points):
            draft.things.append(draw_fence(rng, conditions, (float(a[0]), float(a[1])), (float(b[0]), float(b[1]))))
    back = out + draft.between(2.5, 14)
    if draft.chance(0.62):
        z = draft.between(-2, 10)
        while z < 70:
            length = draft.between(8, 26)
            a, b = draft.road.at(side * back, z), draft.road.at(side * back, z + length)
            height = draft.between(2, 4) if draft.chance(0.25) else draft.between(5, 22)
            draft.things.append(draw_facade(rng, conditions, a, b, height, windows=height > 4))
            if draft.chance(0.6):  # the gable end, seen where the next house stands back
                c = draft.road.at(side * (back + 9), z)
                draft.things.append(draw_facade(rng, conditions, a, c, height, windows=draft.chance(0.5)))
            z += length + draft.between(0, 10)
            back = max(out + 2, back + draft.between(-2, 2))
    if draft.chance(0.75):
        near, step = out + draft.between(0.3, 3), draft.between(4, 11)
        z = draft.between(6, 14)
        while z < 75:
            x, at = draft.road.at(side * (near + draft.between(-0.3, 1.5)), z)
            draft.things.append(draw_tree(rng, conditions, Track(x, at)))
            draft.take(x, at, 0.4)
            z += step * draft.between(0.6, 1.5) * (1 if z < 35 else 2)
    if draft.chance(0.6):
        style = draft.seed()
        z = draft.between(5, 16)
        step = draft.between(9, 24)
        while z < 70:
            x, at = draft.road.at(side * (out + 0.4), z)
            draft.things.append(draw_lamp(rng, conditions, Track(x, at), style))
            z += step


def close_view(draft: Draft) -> None:
    """Add what stands at the end of the road and behind everything."""
    rng, conditions = draft.rng, draft.conditions
    draft.things.append(draw_skyline(rng, conditions, 160.0))
    draft.things.append(draw_skyline(rng, conditions, 100.0))
    if draft.chance(0.45):
        z = draft.between(25, 70)
        x = draft.road.at(0, z)[0]
        left, right = x - draft.between(6, 30), x + draft.between(6, 30)
        draft.things.append(
            draw_facade(rng, conditions, (left, z), (right, z + draft.between(-4, 4)), draft.between(4, 20))
        )
    for _ in range(int(rng.integers(0, 7))):
        spot = draft.in_view(draft.between(25, 80), draft.between(-1.1, 1.1))
        draft.things.append(draw_tree(rng, conditions, Track(*spot)))
