"""Geometric augmentation: one map from training pixels to image pixels, applied to both images and the label mask.

Flip, zoom, shift, rotation, perspective, grid and elastic distortion are composed into one map of coordinates, and each
image is resampled once through it (OpenCV's remap). torchvision's transforms v2 would do them one after the other: measured on
one core at 240x320, its elastic transform alone takes 35 ms and blurs once more with each step, the whole composed map
about 2 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.training.augmentation_config import GeometryConfig

_ELASTIC_CELLS = (4, 9)
"""Range of how many independent displacements an elastic distortion has along the longer side."""


@dataclass(frozen=True)
class Warp:
    """Where the pixels of one training sample come from.

    Attributes:
        working: (H, W) that both images and the label mask are resized to before the map applies: zooming is done here, so that
            the map itself never skips pixels, and a crop of a large image keeps the image's own detail.
        x: (h, w) float32 x coordinates in the working image, one a training pixel.
        y: (h, w) float32 y coordinates of the same pixels.
        thermal_shift: (dx, dy) in pixels added for the thermal image.
    """

    working: tuple[int, int]
    x: Float32Array
    y: Float32Array
    thermal_shift: tuple[float, float] = (0.0, 0.0)


def draw_warp(settings: GeometryConfig, size: tuple[int, int], rng: np.random.Generator) -> Warp:
    """Draw one random warp.

    Args:
        settings: Probabilities and strengths.
        size: (h, w) of the training sample.
        rng: Source of all randomness.
    """
    height, width = size
    matrix = np.eye(3)
    zoom, angle, shift = 1.0, 0.0, np.zeros(2)
    if rng.random() < settings.affine:
        zoom = float(rng.uniform(*settings.scale))
        angle = float(rng.uniform(-settings.rotate, settings.rotate))
        # Zoomed in, the frame may lie anywhere in the image: that is the random crop. Else it may leave it by `shift`.
        reach = settings.shift + np.array([0.5, 0.5]) * max(0.0, 1.0 - 1.0 / zoom)
        shift = rng.uniform(-reach, reach)
    working = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    # Shifts are fractions of the image, or of the frame where that is larger.
    span = np.array([width, height]) * max(zoom, 1.0)
    # Training pixels to the centred unit frame: turned and scaled in pixels, so that circles stay round.
    centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    flip = np.diag([-1.0 if rng.random() < settings.flip else 1.0, 1.0, 1.0])
    place = np.array(
        [
            [1, 0, (working[1] - 1) / 2 + shift[0] * span[0]],
            [0, 1, (working[0] - 1) / 2 + shift[1] * span[1]],
            [0, 0, 1.0],
        ]
    )
    matrix = place @ flip @ turn @ centre
    if rng.random() < settings.perspective:
        matrix = matrix @ _perspective(settings.perspective_strength, size, rng)
    x, y = _pixels(size)
    if rng.random() < settings.grid:
        x, y = _grid(settings.grid_strength, size, rng)
    if rng.random() < settings.elastic:
        dx, dy = _elastic(settings.elastic_strength, size, rng)
        x, y = x + dx, y + dy
    x, y = _project(matrix, x, y)
    drift = (0.0, 0.0)
    if rng.random() < settings.misregistration:
        reach = span * settings.misregistration_shift
        drift = (float(rng.uniform(-reach[0], reach[0])), float(rng.uniform(-reach[1], reach[1])))
    return Warp(working, x, y, drift)


def identity(size: tuple[int, int]) -> Warp:
    """Return the warp that only resizes to (h, w)."""
    return Warp(size, *_pixels(size))


def warp_image(image: ByteArray, warp: Warp, fill: tuple[int, ...], drift: bool = False) -> ByteArray:
    """Resample (H, W) or (H, W, 3) uint8 through a warp, bilinearly; ``fill`` outside; ``drift`` adds the thermal shift."""
    x, y = warp.x, warp.y
    if drift and warp.thermal_shift != (0.0, 0.0):
        x, y = x + np.float32(warp.thermal_shift[0]), y + np.float32(warp.thermal_shift[1])
    source = resize(image, warp.working)
    return np.asarray(
        cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill), dtype=np.uint8
    )


def warp_label(label: ByteArray, warp: Warp, fill: int) -> ByteArray:
    """Resample (H, W) uint8 class ids through a warp: the nearest pixel's id; ``fill`` outside."""
    if label.shape != warp.working:
        # INTER_NEAREST_EXACT takes the pixel under the centre, as the area average of the images does;
        # INTER_NEAREST would shift the mask by half a pixel against them.
        size = (warp.working[1], warp.working[0])
        label = np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    return np.asarray(
        cv2.remap(label, warp.x, warp.y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,)),
        dtype=np.uint8,
    )


def draw_holes(settings: GeometryConfig, size: tuple[int, int], rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """Draw the rectangles of coarse dropout (DeVries and Taylor 2017); empty where it does not strike."""
    if rng.random() >= settings.dropout:
        return []
    holes = []
    for _ in range(int(rng.integers(1, settings.dropout_holes + 1))):
        sides = [max(1, round(float(rng.uniform(0.2, 1.0)) * settings.dropout_size * side)) for side in size]
        corner = [int(rng.integers(0, side - hole + 1)) for side, hole in zip(size, sides, strict=True)]
        holes.append((slice(corner[0], corner[0] + sides[0]), slice(corner[1], corner[1] + sides[1])))
    return holes


@lru_cache(maxsize=4)
def _pixels(size: tuple[int, int]) -> tuple[Float32Array, Float32Array]:
    y, x = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32), indexing="ij")
    x.flags.writeable = y.flags.writeable = False
    return x, y


def _perspective(strength: float, size: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.uniform(-strength, strength, (4, 2)).astype(np.float32) * (width, height)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), dtype=np.float64)


def _axis(strength: float, length: int, rng: np.random.Generator) -> Float32Array:
    """Return a monotone map of 0..length-1 onto itself, linear within each of a few cells of random width."""
    cells = 5
    widths = 1.0 + rng.uniform(-strength, strength, cells)
    knots = np.concatenate(([0.0], np.cumsum(widths))) / widths.sum() * (length - 1)
    places = np.interp(np.arange(length), np.linspace(0, length - 1, cells + 1), knots)
    return np.asarray(places, dtype=np.float32)


def _grid(strength: float, size: tuple[int, int], rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
    x, y = _axis(strength, size[1], rng), _axis(strength, size[0], rng)
    return np.broadcast_to(x, size), np.broadcast_to(y[:, np.newaxis], size)


def _elastic(strength: float, size: tuple[int, int], rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
    """Return smooth displacements (Simard et al. 2003): coarse noise, enlarged by cubic interpolation."""
    longer = max(size)
    cells = int(rng.integers(*_ELASTIC_CELLS))
    coarse = [max(2, round(side * cells / longer)) for side in size]
    noise = rng.standard_normal((*coarse, 2), dtype=np.float32) * np.float32(strength * longer)
    field = cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return field[..., 0], field[..., 1]


def _project(matrix: FloatArray, x: Float32Array, y: Float32Array) -> tuple[Float32Array, Float32Array]:
    (a, b, c), (d, e, f), (g, h, i) = matrix.astype(np.float32)
    if g == 0 and h == 0:
        return (a * x + b * y + c) / i, (d * x + e * y + f) / i
    depth = g * x + h * y + i
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
