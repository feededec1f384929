"""Time of day and weather: what lights a scene, how warm its materials are, and how the two cameras see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from rgbt_seg_ros.scenes.labels import RGB

DAY, DUSK, NIGHT = "day", "dusk", "night"

# Excess over the air (Celsius) after a sunny day, in the morning and late at night: (mean, spread).
_EXCESS = {
    "asphalt": ((3.0, 4.0), (-0.5, 1.0), (0.0, 1.3)),
    "concrete": ((2.5, 3.0), (-0.5, 1.0), (0.0, 1.2)),
    "soil": ((1.0, 2.5), (-0.6, 0.8), (0.0, 0.8)),
    "grass": ((0.3, 1.5), (-1.0, 0.8), (-1.0, 0.8)),
    "foliage": ((0.9, 1.2), (0.4, 0.6), (1.1, 0.8)),
    "trunk": ((1.5, 1.5), (0.5, 0.7), (2.0, 1.0)),
    "wall": ((3.5, 3.0), (0.5, 1.2), (2.5, 1.6)),
    "metal": ((-1.5, 4.0), (-2.0, 1.2), (-2.6, 1.3)),
    "paint": ((2.0, 3.5), (-0.8, 1.0), (-1.0, 1.2)),
    "plastic": ((2.5, 3.0), (-0.8, 0.9), (-1.3, 1.0)),
    "rubber": ((4.5, 3.5), (0.4, 1.2), (1.0, 1.4)),
    "glass": ((-2.5, 2.5), (-2.5, 1.5), (-3.5, 1.8)),
    "wood": ((2.0, 2.0), (0.0, 0.8), (0.3, 0.8)),
}


@dataclass(frozen=True)
class Conditions:
    """Everything of a scene that is neither geometry nor an object.

    Attributes:
        group: ``day``, ``dusk`` or ``night``.
        air: Air temperature (Celsius).
        sky_temp: Apparent temperature of the clear sky overhead (Celsius).
        excess: Temperature of each material over the air (Celsius).
        sun: Unit vector to the sun (world); meaningless where ``sun_light`` is black.
        sun_light, sky_light: Light from the sun and from the sky, linear RGB.
        zenith, horizon_sky: Colours of the sky, linear RGB.
        clouds: Strength of clouds, 0 to 1.
        haze: Extinction (1/m).
        wet: How much the road mirrors, 0 to 1.
        lamps_on: Street lamps, windows and head lights are lit.
        target: Mean grey level (0 to 255) the exposure settles at.
        darkest: Grey level that unlit ground may be lifted to.
        cast: Gain of each colour channel.
        crush: Linear level that is cut to black.
        rgb_noise, chroma_noise: Sigma in grey levels.
        rgb_blur: Sigma (px at 480 rows).
        motion: Motion blur (dx, dy) in px at 480 rows.
        bloom: Strength of glare.
        crossover: Thermal contrast of lifeless things has faded.
    """

    group: str
    air: float
    sky_temp: float
    sun: tuple[float, float, float]
    sun_light: RGB
    sky_light: RGB
    zenith: RGB
    horizon_sky: RGB
    clouds: float
    haze: float
    wet: float
    lamps_on: bool
    target: float
    darkest: float
    cast: RGB
    crush: float
    rgb_noise: float
    chroma_noise: float
    rgb_blur: float
    motion: tuple[float, float]
    bloom: float
    crossover: bool
    excess: dict[str, float] = field(repr=False, default_factory=dict)

    def temp(self, material: str, extra: float = 0.0) -> float:
        """Return the apparent temperature (Celsius) of a material, ``extra`` degrees over its usual one."""
        return self.air + self.excess[material] + extra


def _mix(rng: np.random.Generator, low: RGB, high: RGB) -> RGB:
    share = rng.random()
    r, g, b = (a + (c - a) * share for a, c in zip(low, high, strict=True))
    return r, g, b


def _scale(color: RGB, factor: float) -> RGB:
    return color[0] * factor, color[1] * factor, color[2] * factor


def draw_group(rng: np.random.Generator) -> str:
    """Choose day (40 %), dusk (20 %) or night (40 %)."""
    return str(rng.choice((DAY, DUSK, NIGHT), p=(0.4, 0.2, 0.4)))


def _excess(rng: np.random.Generator, group: str, crossover: bool, sunny: bool) -> dict[str, float]:
    """Draw how much warmer than the air each material looks."""
    warm = 2 if group == NIGHT else 1 if crossover or (not sunny and rng.random() < 0.5) else 0
    strength = rng.uniform(0.4, 1.1) * (0.45 if crossover else 1.0)
    excess = {}
    for name, table in _EXCESS.items():
        mean, spread = table[warm]
        excess[name] = float(strength * (mean + spread * np.clip(rng.normal(), -2, 2)))
    if group == DAY and rng.random() < 0.65:  # shaded streets: the road is the coolest thing around, as often in MSRS
        excess["asphalt"] = float(-abs(rng.normal(2.0, 1.5)))
        excess["concrete"] = excess["asphalt"] + float(rng.normal(0.6, 1.0))
    return excess


def draw_conditions(rng: np.random.Generator, group: str) -> Conditions:
    """Draw the conditions of one scene of a group."""
    azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 1.1)
    sun = (
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
        math.cos(elevation) * math.cos(azimuth),
    )
    black = (0.0, 0.0, 0.0)
    wet = float(rng.uniform(0.15, 0.6)) if rng.random() < 0.14 else 0.0
    crossover = False
    if group == DAY:
        sunny = rng.random() < 0.5
        air = float(np.clip(rng.normal(15, 6), 2, 30))
        sun_light = _scale(_mix(rng, (1.0, 0.86, 0.66), (1.0, 0.97, 0.9)), rng.uniform(0.8, 2.2) if sunny else 0.0)
        sky_light = _scale(_mix(rng, (0.66, 0.86, 1.1), (0.95, 1.0, 1.0)), rng.uniform(0.2, 0.5) if sunny else 0.7)
        blue, white = _mix(rng, (0.16, 0.36, 0.8), (0.4, 0.62, 0.95)), _mix(rng, (0.85, 0.9, 1.0), (1.3, 1.3, 1.3))
        zenith, horizon_sky = (blue, white) if sunny or rng.random() < 0.2 else (white, _scale(white, 1.2))
        target, crush, haze = rng.normal(107, 17), rng.uniform(0.002, 0.026), rng.choice((0.0004, 0.002, 0.006))
        noise, chroma, motion = np.exp(rng.uniform(-1.2, 1.0)), rng.uniform(0.1, 1.0), rng.random() < 0.12
        sky_temp = air - (rng.uniform(18, 38) if sunny else rng.uniform(4, 14))
        cast = _mix(rng, (0.88, 1.0, 1.12), (1.06, 1.0, 0.92))
    elif group == DUSK:
        crossover = bool(rng.random() < 0.75)
        sunny = False
        air = rng.uniform(12, 29) if crossover else rng.uniform(3, 24)
        sun_light = black
        if rng.random() < 0.3:  # the last low sun
            sun_light = _scale((1.0, 0.55, 0.28), rng.uniform(0.1, 0.5))
            sun = (0.97 * math.sin(azimuth), 0.25, 0.97 * math.cos(azimuth))
        sky_light = _scale(_mix(rng, (0.35, 0.5, 0.9), (0.8, 0.75, 0.85)), rng.uniform(0.25, 0.5))
        zenith = _mix(rng, (0.1, 0.18, 0.42), (0.4, 0.45, 0.6))
        horizon_sky = _mix(rng, (0.9, 0.5, 0.35), (0.75, 0.8, 0.95))
        target, crush, haze = rng.normal(66, 15), rng.uniform(0.001, 0.01), rng.choice((0.001, 0.004, 0.01))
        noise, chroma, motion = np.exp(rng.uniform(-0.9, 1.4)), rng.uniform(0.2, 2.0), rng.random() < 0.25
        sky_temp = air - rng.uniform(6, 26)
        cast = _mix(rng, (0.8, 0.98, 1.2), (1.05, 1.0, 0.95))
    else:
        sunny = False
        air = float(np.clip(rng.normal(13, 6), -2, 27))
        sun_light, level = black, float(np.exp(rng.uniform(math.log(0.0012), math.log(0.02))))
        sky_light = _scale(_mix(rng, (0.6, 0.8, 1.1), (1.1, 0.9, 0.65)), level)
        zenith = _scale(_mix(rng, (0.3, 0.4, 0.7), (0.6, 0.5, 0.5)), level * rng.uniform(0.1, 1.5))
        horizon_sky = _scale(_mix(rng, (0.8, 0.7, 0.6), (0.5, 0.6, 0.9)), level * rng.uniform(0.5, 3))
        target, crush, haze = (
            float(np.exp(rng.normal(3.5, 0.42))),
            rng.uniform(0.0, 0.0015),
            rng.choice((0.0005, 0.003)),
        )
        noise, chroma, motion = np.exp(rng.uniform(-1.2, 1.5)), rng.uniform(0.2, 2.5), rng.random() < 0.4
        sky_temp = air - rng.uniform(8, 32)
        cast = _mix(rng, (0.6, 1.1, 0.62), (1.05, 1.0, 0.85))
    shift = rng.normal(0, 2.2, 2) if motion else np.zeros(2)
    return Conditions(
        group=group,
        air=float(air),
        sky_temp=float(sky_temp),
        sun=sun,
        sun_light=sun_light,
        sky_light=sky_light,
        zenith=zenith,
        horizon_sky=horizon_sky,
        clouds=float(rng.uniform(0, 1)),
        haze=float(haze),
        wet=wet,
        lamps_on=group == NIGHT or (group == DUSK and bool(rng.random() < 0.6)),
        target=float(np.clip(target, 11, 140)),
        darkest=float(np.exp(rng.uniform(math.log(5), math.log(32)))) if group == NIGHT else 255.0,
        cast=cast,
        crush=float(crush),
        rgb_noise=float(noise),
        chroma_noise=float(chroma),
        rgb_blur=float(rng.uniform(0.55, 1.15)),
        motion=(float(shift[0]), float(shift[1] * 0.4)),
        bloom=float(rng.uniform(0.5, 1.6)),
        crossover=crossover,
        excess=_excess(rng, group, crossover, sunny),
    )
