"""What every pixel of a painted canvas shows: part, inverse depth, place on its surface, and three sizes of texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.noise import tile

GRAIN, MID, COARSE = 60.0, 14.0, 1.6
"""Texels of a tile to a metre."""


@dataclass(frozen=True)
class PartTable:
    """One row a part: what the canvas collected, as arrays."""

    color: AnyArray
    emission: AnyArray
    temp: AnyArray
    texture: AnyArray
    heat_texture: AnyArray
    density: AnyArray
    normal: AnyArray
    is_ground: AnyArray
    plane: AnyArray
    offset: AnyArray


@dataclass(frozen=True)
class PixelFields:
    """Per-pixel arrays (H, W).

    Attributes:
        table: The parts.
        ids: Part numbers, as indices.
        inverse: 1 / depth (1/m).
        grain, mid, coarse: Textures, of mean about 0 and sigma about 1.
        sky: Where nothing but sky is seen.
        ground: Where ground is seen.
    """

    table: PartTable
    ids: AnyArray
    inverse: AnyArray
    grain: AnyArray
    mid: AnyArray
    coarse: AnyArray
    sky: AnyArray
    ground: AnyArray


def part_table(canvas: Canvas) -> PartTable:
    """Turn the collected parts into arrays."""
    parts = np.array(canvas.parts, np.float32)
    surfaces = np.array(canvas.surfaces, np.float32)[parts[:, 14].astype(np.int64)]
    return PartTable(
        color=(parts[:, 0:3] / 255) ** 2,
        emission=parts[:, 3:6],
        temp=parts[:, 6].copy(),
        texture=parts[:, 7:10],
        heat_texture=parts[:, 10:13],
        density=parts[:, 13].copy(),
        normal=surfaces[:, 9:12],
        is_ground=surfaces[:, 12].copy(),
        plane=surfaces[:, 0:9],
        offset=surfaces[:, 13:15],
    )


def columns_of(rows: AnyArray, ids: AnyArray) -> list[AnyArray]:
    """Look up each column of a table for every pixel."""
    return [np.ascontiguousarray(rows[:, k]).take(ids) for k in range(rows.shape[1])]


def pixel_fields(canvas: Canvas) -> PixelFields:
    """Look up, for every pixel, what the tables say of its part."""
    height, width = canvas.ids.shape
    table = part_table(canvas)
    ids = canvas.ids.astype(np.intp)
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]

    def form(first: int) -> AnyArray:
        a, b, c = columns_of(table.plane[:, first : first + 3], ids)
        a *= x
        b *= y
        a += b
        a += c
        return a

    inverse = np.clip(form(0), 1 / 400.0, 4.0)
    density = table.density.take(ids)
    scale = density / inverse
    u, v = form(3) * scale, form(6) * scale
    # Texels a pixel steps over: texture finer than a pixel is faded out, as a lens would.
    step = scale * np.float32(1 / canvas.camera.focal)
    ou, ov = columns_of(table.offset, ids)

    def sample(kind: str, texels: float) -> AnyArray:
        found = cv2.remap(tile(kind), u * texels + ou, v * texels + ov, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        texture: AnyArray = (found.astype(np.float32) - 128) * np.float32(1 / 32)
        texture *= np.minimum(1.0, np.float32(1.6 / texels) / step)
        return texture

    return PixelFields(
        table=table,
        ids=ids,
        inverse=inverse,
        grain=sample("grain", GRAIN),
        mid=sample("mid", MID),
        coarse=sample("coarse", COARSE),
        sky=canvas.ids == canvas.sky,
        ground=table.is_ground.take(ids),
    )
