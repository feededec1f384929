"""What people wear and carry, and how warm it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.scenes.canvas import Material
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.palette import CLOTHES, HAIR, SKIN, TROUSERS, pick, shade


@dataclass(frozen=True)
class Outfit:
    """Materials of a person's parts and what is worn or carried."""

    skin: Material
    hair: Material
    top: Material
    sleeve: Material
    bottom: Material
    shoe: Material
    bag: Material
    umbrella: Material | None
    bag_kind: str
    skirt: bool
    coat: bool
    hat: bool
    width: float


def _dressed(rng: np.random.Generator, conditions: Conditions) -> tuple[Material, Material, Material, Material]:
    """Return top, sleeve, bottom and shoe: cloth lies between the skin and the air, the more so the thicker it is."""
    air, skin = conditions.air, 32.5
    thin = rng.uniform(0.35, 0.75)
    sun = conditions.sun_light[0] * rng.uniform(0, 4)
    color = pick(rng, CLOTHES)
    cloth = {"grain": 0.06, "mid": 0.14, "coarse": 0.05, "heat_grain": 0.15, "heat_mid": 0.9, "heat_coarse": 0.3}
    top = Material(color, air + (skin - air) * thin + sun, density=2.0, **cloth)  # type: ignore[arg-type]
    sleeve = top._replace(color=shade(color, rng.uniform(0.75, 1.05)), temp=top.temp - rng.uniform(-0.5, 1.5))
    legs = air + (skin - air) * rng.uniform(0.4, 0.75) + sun
    bottom = Material(pick(rng, TROUSERS), legs, density=2.0, **cloth)  # type: ignore[arg-type]
    shoe = Material(pick(rng, TROUSERS, 20), air + (skin - air) * rng.uniform(0.1, 0.5))
    return top, sleeve, bottom, shoe


def draw_outfit(rng: np.random.Generator, conditions: Conditions) -> Outfit:
    """Draw clothes, skin, hair and baggage."""
    air = conditions.air
    top, sleeve, bottom, shoe = _dressed(rng, conditions)
    skin_temp = min(36.0, 31.0 + 0.12 * (air - 10) + rng.uniform(-1, 1.5))
    skin = Material(pick(rng, SKIN, 5), skin_temp, heat_mid=0.5, density=2.0)
    hair = Material(pick(rng, HAIR, 5), air + (skin_temp - air) * rng.uniform(0.45, 0.8), mid=0.2, density=3.0)
    bag = Material(pick(rng, CLOTHES, 15), air + rng.uniform(0, 3.5), mid=0.15, density=2.0)
    umbrella = None
    if rng.random() < (0.3 if conditions.wet else 0.03):
        umbrella = Material(pick(rng, CLOTHES, 25), air + rng.uniform(-3, 1.0))
    short = rng.random() < 0.25 and air > 16
    return Outfit(
        skin=skin,
        hair=hair,
        top=top,
        sleeve=skin if short else sleeve,
        bottom=bottom,
        shoe=shoe,
        bag=bag,
        umbrella=umbrella,
        bag_kind=str(rng.choice(("none", "back", "shoulder", "hand"), p=(0.45, 0.25, 0.15, 0.15))),
        skirt=bool(rng.random() < 0.15),
        coat=bool(rng.random() < 0.2),
        hat=bool(rng.random() < 0.12),
        width=float(rng.uniform(0.86, 1.2)),
    )
