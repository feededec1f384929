"""The thermal camera: temperatures, the optics and detector, the shift against RGB, and the gain control to 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.noise import sensor_noise, tile
from rgbt_seg_ros.scenes.pixel_fields import PixelFields, columns_of

LINEAR, LOW, PERCENTILE, EQUALISED = "linear", "low", "percentile", "equalised"


@dataclass(frozen=True)
class ThermalCamera:
    """One thermal camera, the same for all frames of a sequence.

    Attributes:
        blur: Sigma of the lens (px at 480 rows).
        noise: Temporal noise (Celsius); ``columns`` and ``fixed``: noise of the detector that stays.
        vignette: Warmth of the housing seen towards the corners (Celsius).
        gain_control: ``linear``, ``low`` (small contrast, as MSRS), ``percentile`` or ``equalised``.
        low, high: Shares of the histogram that are cut.
        level: Grey level of the warmest, for ``low``.
        gamma: Exponent of the tone curve.
        shift, scale, turn: Misregistration: px at 480 rows, factor, radians.
        parallax: Distance between the cameras (m), across.
        border: The thermal image ends inside the RGB image, and is black beyond.
        pattern: Where in the noise the fixed pattern is.
    """

    blur: float
    noise: float
    columns: float
    fixed: float
    vignette: float
    gain_control: str
    low: float
    high: float
    level: float
    gamma: float
    shift: tuple[float, float]
    scale: float
    turn: float
    parallax: float
    border: bool
    pattern: int


def draw_thermal_camera(rng: np.random.Generator, conditions: Conditions) -> ThermalCamera:
    """Draw a thermal camera."""
    border = bool(rng.random() < 0.18)
    return ThermalCamera(
        blur=float(rng.uniform(0.6, 1.5)),
        noise=float(np.exp(rng.uniform(np.log(0.015), np.log(0.25)))),
        columns=float(rng.uniform(0, 0.08)),
        fixed=float(rng.uniform(0, 0.07)),
        vignette=float(rng.normal(0, 0.35)),
        gain_control=str(rng.choice((LINEAR, LOW, PERCENTILE, EQUALISED), p=(0.2, 0.45, 0.22, 0.13))),
        low=float(rng.uniform(0.0, 4.0)),
        high=float(rng.uniform(0.0, 1.0)),
        level=float(rng.uniform(50, 230)),
        gamma=float(rng.uniform(0.95, 1.8)),
        shift=(float(np.clip(rng.normal(0, 1.2), -3, 3)), float(np.clip(rng.normal(0, 1.0), -3, 3))),
        scale=float(rng.normal(1, 0.004)),
        turn=float(rng.normal(0, 0.004)),
        parallax=float(rng.normal(0, 0.012)),
        border=border,
        pattern=int(rng.integers(1 << 30)),
    )


def temperatures(canvas: Canvas, fields: PixelFields, conditions: Conditions) -> AnyArray:
    """Return the apparent temperature of every pixel (H, W), Celsius."""
    table, ids = fields.table, fields.ids
    temp: AnyArray = table.temp.take(ids)
    h0, h1, h2 = columns_of(table.heat_texture, ids)
    temp += h0 * fields.grain
    temp += h1 * fields.mid
    temp += h2 * fields.coarse
    if canvas.heat.any():
        temp += cv2.blur(canvas.heat, (9, 5)).astype(np.float32) * np.float32(0.1) * fields.ground
    if max(conditions.sun_light) > 0:
        temp -= cv2.blur(canvas.shadow, (5, 5)).astype(np.float32) * np.float32(1.6 / 255) * fields.ground
    height, width = temp.shape
    a, b, c = canvas.surfaces[canvas.ground][:3]
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns: AnyArray = np.arange(width, dtype=np.float32)
    below = (a * columns + b * rows + c) * float(canvas.camera.position[1])
    if conditions.wet > 0:  # water mirrors the cold sky, the more the flatter it is looked at
        cold = np.float32((conditions.air - conditions.sky_temp) * 0.14 * conditions.wet)
        temp -= cold * np.clip(0.5 + 0.5 * fields.coarse, 0, 1) * np.clip(1 - below * 2, 0, 1) * fields.ground
    near_air = np.exp(np.float32(-0.0012) / fields.inverse)
    temp = temp * near_air + np.float32(conditions.air) * (1 - near_air)
    rise = np.clip(-below * 1.2, 0, 1)
    clouds = cv2.remap(
        tile("coarse"),
        np.broadcast_to((columns / canvas.camera.focal + canvas.camera.pose.yaw) * 300, temp.shape).astype(np.float32),
        (rise * 500).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    ).astype(np.float32)
    sky = conditions.air + (conditions.sky_temp - conditions.air) * (0.35 + 0.65 * rise)
    sky += np.clip(clouds - 128, 0, 100) * np.float32(0.06 * conditions.clouds)
    np.copyto(temp, sky.astype(np.float32), where=fields.sky)
    return temp


def _warp(
    temp: AnyArray, fields: PixelFields, camera: ThermalCamera, unit: float, focal: float
) -> tuple[AnyArray, AnyArray | None]:
    """Move the thermal image against the RGB one; also returns where it reaches (255), where it has a border."""
    height, width = temp.shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    cos, sin = np.cos(camera.turn) * camera.scale, np.sin(camera.turn) * camera.scale
    dx = np.arange(width, dtype=np.float32) - np.float32(cx)
    dy = (np.arange(height, dtype=np.float32) - np.float32(cy))[:, None]
    mx = (cos * dx - sin * dy + (cx + camera.shift[0] * unit)).astype(np.float32)
    my = (sin * dx + cos * dy + (cy + camera.shift[1] * unit)).astype(np.float32)
    if abs(camera.parallax) > 0.002:
        inverse = cv2.blur(fields.inverse, (7, 7))
        mx += np.clip(inverse, 0, 0.5) * np.float32(camera.parallax * focal)
    moved = cv2.remap(temp, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if not camera.border:
        return moved, None
    rng = np.random.default_rng(camera.pattern)
    inset = rng.uniform(0.0, 0.06, 4) * (rng.random(4) < 0.55) * (width, height, width, height)
    slant = rng.normal(0, 0.02, 4)
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    wave: AnyArray = rng.uniform(0, 0.008) * height * np.sin(x / width * rng.uniform(4, 12))
    inside = (
        (x >= inset[0] + slant[0] * (y - cy))
        & (y >= inset[1] + slant[1] * (x - cx) + wave)
        & (x <= width - 1 - inset[2] + slant[2] * (y - cy))
        & (y <= height - 1 - inset[3] + slant[3] * (x - cx) + wave)
    )
    return moved, (inside * 255).astype(np.uint8)


def _detect(temp: AnyArray, camera: ThermalCamera, unit: float, rng: np.random.Generator) -> AnyArray:
    """Add the lens' blur and the detector's noise, fixed and new."""
    height, width = temp.shape
    temp = cv2.GaussianBlur(temp, (0, 0), max(camera.blur * unit, 0.35))
    own = np.random.default_rng(camera.pattern)
    temp += sensor_noise(rng, (height, width)) * np.float32(camera.noise)
    temp += sensor_noise(own, (height, width)) * np.float32(camera.fixed)
    temp += own.standard_normal((width,), dtype=np.float32) * np.float32(camera.columns)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    temp += (x * x + y * y) * np.float32(camera.vignette)
    return temp


def _gain(temp: AnyArray, camera: ThermalCamera, sky: AnyArray) -> AnyArray:
    """Return grey levels 0 to 255 (H, W) float32; the cold sky does not set the range."""
    sample = temp[::4, ::4]
    seen = sample[~sky[::4, ::4]]
    if seen.size < 64:
        seen = sample.ravel()
    if camera.gain_control == EQUALISED:
        count, edges = np.histogram(sample, 256)
        plateau = np.minimum(count, max(1.0, sample.size * 0.012))
        rank = np.concatenate(((0.0,), np.cumsum(plateau) / plateau.sum()))
        equal = np.interp(temp.ravel(), edges, rank).reshape(temp.shape).astype(np.float32)
        straight = (temp - np.float32(edges[0])) * np.float32(1 / max(edges[-1] - edges[0], 1e-3))
        mixed: AnyArray = (0.7 * equal + 0.3 * straight) * np.float32(255)
        return mixed
    high_share = camera.high if camera.gain_control == PERCENTILE else 0.02
    low, high = np.percentile(seen, (camera.low, 100 - high_share))
    span = max(float(high - low), 2.0)
    level = np.clip((temp - np.float32(low - 0.03 * span)) * np.float32(1 / span), 0, 1)
    peak = camera.level if camera.gain_control == LOW else 255.0
    curve: AnyArray = cv2.pow(level, camera.gamma)
    levels: AnyArray = curve * np.float32(peak)
    return levels


def sense(
    canvas: Canvas, fields: PixelFields, conditions: Conditions, camera: ThermalCamera, rng: np.random.Generator
) -> AnyArray:
    """Return the thermal image (H, W) uint8, white hot."""
    unit = canvas.camera.unit
    temp = temperatures(canvas, fields, conditions)
    temp, inside = _warp(temp, fields, camera, unit, canvas.camera.focal)
    temp = _detect(temp, camera, unit, rng)
    image: AnyArray = cv2.convertScaleAbs(np.clip(_gain(temp, camera, fields.sky), 0, 255))
    if inside is not None:
        image = cv2.bitwise_and(image, inside)
    return image
