"""Draws a whole world from a seed."""

from __future__ import annotations

import numpy as np

from rgbt_seg_ros.scenes.camera import Pose
from rgbt_seg_ros.scenes.conditions import NIGHT, Conditions, draw_conditions, draw_group
from rgbt_seg_ros.scenes.draft import Draft
from rgbt_seg_ros.scenes.ground import Path
from rgbt_seg_ros.scenes.layout import border, close_view, island, lay_street
from rgbt_seg_ros.scenes.population import (
    add_bikes,
    add_bumps,
    add_cars,
    add_cones,
    add_distractors,
    add_people,
    add_rail,
    add_wheel_stops,
)
from rgbt_seg_ros.scenes.world import CameraPath, World


def draw_path(rng: np.random.Generator) -> CameraPath:
    """Draw the camera, its pose and how it moves."""
    pose = Pose(
        x=0.0,
        height=float(rng.uniform(0.8, 2.2)),
        z=0.0,
        yaw=float(rng.normal(0, 0.09)),
        pitch=float(rng.uniform(-0.03, 0.15)),
        roll=float(rng.normal(0, 0.012)),
    )
    return CameraPath(
        start=pose,
        focal=float(rng.uniform(0.72, 1.15)),
        speed=float(rng.uniform(0.0, 2.5)),
        turn=float(rng.normal(0, 0.04)),
        sway=float(rng.uniform(0, 0.006)),
        rate=float(rng.uniform(0.3, 1.2)),
    )


def draw_road(rng: np.random.Generator) -> tuple[Path, float]:
    """Draw a road under the camera and half its width (m)."""
    half = float(rng.uniform(2.2, 4.6))
    curvature = float(rng.normal(0, 0.006)) if rng.random() < 0.6 else 0.0
    road = Path(float(rng.uniform(-1, 1)) * half * 0.95, float(rng.normal(0, 0.1)), curvature)
    return road, half


def draw_world(rng: np.random.Generator, conditions: Conditions | None = None) -> World:
    """Draw a world; its conditions too, unless they are given."""
    if conditions is None:
        conditions = draw_conditions(rng, draw_group(rng))
    path = draw_path(rng)
    road, half = draw_road(rng)
    draft = Draft(rng, conditions, path, road, half)
    surface = lay_street(draft)
    add_bumps(draft, surface)
    if draft.chance(0.2):
        island(draft, surface)
    add_wheel_stops(draft, surface)
    add_cones(draft)
    add_rail(draft)
    add_people(draft)
    add_bikes(draft)
    add_cars(draft)
    add_distractors(draft)
    for side in (-1, 1):
        border(draft, side)
    close_view(draft)
    own_lamps = conditions.group == NIGHT and draft.chance(0.3)
    return World(conditions, path, tuple(draft.flats), tuple(draft.things), own_lamps)
