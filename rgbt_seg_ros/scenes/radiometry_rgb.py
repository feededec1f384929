"""The RGB camera: light on every part, glare, exposure, and what a small sensor adds."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.noise import sensor_noise, tile
from rgbt_seg_ros.scenes.pixel_fields import PixelFields, columns_of
from rgbt_seg_ros.scenes.things import Light


def _sky(canvas: Canvas, conditions: Conditions) -> AnyArray:
    """Return the sky for the whole image, (H, W, 3) linear, worked out at a quarter of the size."""
    height, width = canvas.ids.shape
    rows = np.arange(0, height + 3, 4, dtype=np.float32)[:, None]
    columns = np.arange(0, width + 3, 4, dtype=np.float32)
    a, b, c = canvas.surfaces[canvas.ground][:3]
    # The ground's inverse depth times the camera's height is the tangent of the angle below the horizon.
    rise = -(a * columns + b * rows + c) * float(canvas.camera.position[1])
    share = np.clip(rise * 1.6, 0, 1)[..., None] ** 0.7
    sky = np.array(conditions.horizon_sky, np.float32) * (1 - share) + np.array(conditions.zenith, np.float32) * share
    bearing = columns / canvas.camera.focal + canvas.camera.pose.yaw
    u = np.broadcast_to(bearing * 300, rise.shape).astype(np.float32)
    v = (rise * 700).astype(np.float32)
    clouds = cv2.remap(tile("coarse"), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).astype(np.float32) / 255
    cover = 0.8 * np.clip((clouds - 0.75 + 0.5 * conditions.clouds) * 3, 0, 1)[..., None]
    tint = np.array(conditions.horizon_sky, np.float32) * 1.05
    mixed = (sky * (1 - cover) + tint * cover).astype(np.float32)
    return cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)


LAMPS = 10
"""Only so many lamps are followed: those that give most at the camera's place."""


def strongest(lights: list[Light], eye: AnyArray) -> list[Light]:
    """Return the lamps that matter most to what is near the camera."""

    def share(light: Light) -> float:
        offset = np.asarray(light.position, np.float32) - eye
        return max(light.color) / (30.0 + float(offset @ offset))

    return sorted(lights, key=share, reverse=True)[:LAMPS]


def _lamp_light(canvas: Canvas, fields: PixelFields, lights: list[Light]) -> AnyArray:
    """Return the light of all lamps on every pixel, (H, W, 3): inverse square, facing, and the beam's shape.

    Worked out for every other pixel of every other row, which the lens' blur hides.
    """
    camera = canvas.camera
    height, width = canvas.ids.shape
    cx, cy = camera.centre
    ids, depth = fields.ids[::2, ::2], 1 / fields.inverse[::2, ::2]
    x = (np.arange(0, width, 2, dtype=np.float32) - np.float32(cx)) * np.float32(1 / camera.focal) * depth
    y = (np.arange(0, height, 2, dtype=np.float32)[:, None] - np.float32(cy)) * np.float32(1 / camera.focal) * depth
    normals = fields.table.normal @ camera.rotation.T
    nx, ny, nz = columns_of(normals, ids)
    total = np.zeros((*ids.shape, 3), np.float32)
    for light in strongest(lights, camera.position):
        px, py, pz = (np.float32(v) for v in camera.to_camera(np.array((light.position,)))[0])
        dx, dy, dz = px - x, py - y, pz - depth
        square = dx * dx + dy * dy + dz * dz + np.float32(0.2)
        inverse = 1 / cv2.sqrt(square)
        facing = (nx * dx + ny * dy + nz * dz) * inverse
        amount = np.maximum(facing * np.float32(0.85) + np.float32(0.15), np.float32(0.0)) / square
        if light.direction is not None:
            bx, by, bz = (np.float32(v) for v in camera.rotation @ np.array(light.direction, np.float32))
            along = -(bx * dx + by * dy + bz * dz) * inverse
            amount *= cv2.exp((along - 1) * np.float32(light.sharpness)) * (along > 0)
        total += amount[..., None] * np.array(light.color, np.float32)
    return np.repeat(np.repeat(total, 2, 0), 2, 1)[:height, :width]


def radiance(canvas: Canvas, fields: PixelFields, conditions: Conditions, lights: list[Light]) -> AnyArray:
    """Return linear light (H, W, 3) that reaches the lens."""
    table, ids = fields.table, fields.ids
    facing = table.normal @ np.array(conditions.sun, np.float32)
    sun_share = np.maximum(facing, 0.0) * 0.9 + 0.1
    open_sky = 0.75 + 0.25 * table.normal[:, 1]
    t0, t1, t2 = columns_of(table.texture, ids)
    texture = t0 * fields.grain + t1 * fields.mid + t2 * fields.coarse
    texture += 1
    np.clip(texture, 0.05, 2.5, out=texture)
    shaded = cv2.blur(canvas.occlusion, (5, 5)).astype(np.float32)
    shaded *= fields.ground
    texture *= 1 - shaded * np.float32(1 / 255)
    sunny = max(conditions.sun_light) > 0
    if sunny:
        sun_lit = cv2.blur(canvas.shadow, (3, 3)).astype(np.float32)
        sun_lit *= fields.ground
        sun_lit = 1 - sun_lit * np.float32(1 / 255)
    lamps = cv2.split(_lamp_light(canvas, fields, lights)) if lights else None
    glows = float(table.emission.max()) > 0
    veiled = conditions.haze > 0
    if veiled:
        clear = cv2.exp(np.float32(-conditions.haze) / fields.inverse)
        veil = 1 - clear
    planes = []
    for channel in range(3):
        color = np.ascontiguousarray(table.color[:, channel])
        plane = (color * open_sky * np.float32(conditions.sky_light[channel])).take(ids)
        if sunny:
            plane += (color * sun_share * np.float32(conditions.sun_light[channel])).take(ids) * sun_lit
        if lamps is not None:
            plane += color.take(ids) * lamps[channel]
        plane *= texture
        if glows:
            plane += np.ascontiguousarray(table.emission[:, channel]).take(ids) * np.maximum(texture, np.float32(0.3))
        if veiled:
            plane *= clear
            plane += veil * np.float32(conditions.horizon_sky[channel] * 0.8)
        planes.append(plane)
    light: AnyArray = cv2.merge(planes)
    if fields.sky.any():
        cv2.copyTo(_sky(canvas, conditions), fields.sky.view(np.uint8), light)
    return light


def _mirror(light: AnyArray, canvas: Canvas, fields: PixelFields, wet: float) -> AnyArray:
    """Add what a wet road mirrors: the image flipped about the horizon, smeared downwards."""
    height, width = canvas.ids.shape
    a, b, c = canvas.surfaces[canvas.ground][:3]
    columns = np.arange(width, dtype=np.float32)
    horizon = (-(a * columns + c) / b).astype(np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    source_y = np.broadcast_to(2 * horizon - rows, (height, width)).astype(np.float32)
    source_x = np.broadcast_to(columns, (height, width)).astype(np.float32)
    flipped = cv2.remap(light, source_x, source_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    smear = max(1, round(24 * canvas.camera.unit)) | 1
    flipped = cv2.blur(flipped, (max(1, round(3 * canvas.camera.unit)) | 1, smear))
    puddle = np.clip(0.45 + 0.5 * fields.coarse, 0.05, 1.0) * fields.ground * np.float32(wet)
    # Grazing light is mirrored more (Fresnel): near the horizon.
    steep = np.clip((rows - horizon) / height * 2.2, 0, 1)
    share = (puddle * (1 - 0.75 * steep))[..., None]
    mixed: AnyArray = light * (1 - 0.5 * share) + flipped * share
    return mixed


def _bloom(image: AnyArray, strength: float, unit: float) -> AnyArray:
    """Return the glare that light beyond white throws around itself, (H, W, 3)."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(width // 4, 8), max(height // 4, 8)), interpolation=cv2.INTER_AREA)
    over = np.clip(small - 0.9, 0, 40.0)
    if float(over.max()) <= 0:
        return np.zeros_like(image)
    near = cv2.GaussianBlur(over, (0, 0), max(1.5 * unit, 0.4))
    wide = cv2.GaussianBlur(over, (0, 0), max(7 * unit, 0.8))
    veil = cv2.GaussianBlur(
        cv2.resize(over, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), (0, 0), max(7 * unit, 0.8)
    )
    glare = near * 0.22 + wide * 0.09 + cv2.resize(veil, (small.shape[1], small.shape[0])) * 0.05
    spread: AnyArray = cv2.resize(glare * np.float32(strength), (width, height), interpolation=cv2.INTER_LINEAR)
    return spread


def exposure(light: AnyArray, conditions: Conditions) -> float:
    """Return the gain with which the mean grey level is the one aimed at, bounded by how far the dark may be lifted."""
    sample = np.ascontiguousarray(light[::5, ::5]).reshape(-1, 3) @ np.array((0.299, 0.587, 0.114), np.float32)
    gain = 1.0
    for _ in range(8):
        mean = float(np.sqrt(np.minimum(sample * gain, 1.0)).mean()) * 255
        gain *= float(np.clip((conditions.target / max(mean, 0.5)) ** 2, 0.2, 5.0))
    unlit = 0.15 * max(conditions.sky_light)
    return float(min(gain, (conditions.darkest / 255) ** 2 / max(unlit, 1e-6)))


def _motion(image: AnyArray, motion: tuple[float, float], unit: float) -> AnyArray:
    dx, dy = motion[0] * unit, motion[1] * unit
    reach = math.hypot(dx, dy)
    if reach < 0.8:
        return image
    size = 2 * math.ceil(reach / 2) + 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    for share in np.linspace(-0.5, 0.5, 4 * size):
        kernel[round(middle + share * dy), round(middle + share * dx)] += 1
    blurred: AnyArray = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return blurred


def _noise(rng: np.random.Generator, size: tuple[int, int], conditions: Conditions) -> AnyArray:
    """Return noise in grey levels (H, W, 3): fine in brightness, blotchy in colour."""
    height, width = size
    fine = sensor_noise(rng, size) * np.float32(conditions.rgb_noise)
    noise: AnyArray = cv2.merge([fine] * 3)
    if conditions.chroma_noise > 0:
        half = ((height + 1) // 2, (width + 1) // 2)
        blotches = cv2.merge([sensor_noise(rng, half) * np.float32(conditions.chroma_noise) for _ in range(3)])
        noise += cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR)
    return noise


def expose(
    canvas: Canvas,
    fields: PixelFields,
    conditions: Conditions,
    lights: list[Light],
    rng: np.random.Generator,
    gain: float | None = None,
) -> tuple[AnyArray, float]:
    """Return the RGB image (H, W, 3) uint8 and the gain used; a ``gain`` given is kept, as within a sequence."""
    light = radiance(canvas, fields, conditions, lights)
    if conditions.wet > 0:
        light = _mirror(light, canvas, fields, conditions.wet)
    if gain is None:
        gain = exposure(light, conditions)
    unit = canvas.camera.unit
    image: AnyArray = cv2.merge(
        [plane * np.float32(gain * cast) for plane, cast in zip(cv2.split(light), conditions.cast, strict=True)]
    )
    image += _bloom(image, conditions.bloom, unit)
    image = _motion(image, conditions.motion, unit)
    image = cv2.GaussianBlur(np.minimum(image, np.float32(6.0)), (0, 0), conditions.rgb_blur * (0.35 + 0.65 * unit))
    image -= np.float32(conditions.crush)
    np.clip(image, 0.0, 1.0, out=image)
    grey: AnyArray = cv2.sqrt(image)
    size = (canvas.ids.shape[0], canvas.ids.shape[1])
    grey *= _vignette(size)
    grey += _noise(rng, size, conditions)
    np.maximum(grey, 0.0, out=grey)
    return cv2.convertScaleAbs(grey), gain


@lru_cache(maxsize=4)
def _vignette(size: tuple[int, int]) -> AnyArray:
    """Return 255, a little less towards the corners, (H, W, 3)."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)
    falloff: AnyArray = cv2.merge([255 * (1 - np.float32(0.06) * (x * x + y * y))] * 3)
    return falloff
