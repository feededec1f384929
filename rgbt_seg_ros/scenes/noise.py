"""Seeded noise, made once in a process and sampled at random places: tiles that wrap, and outlines of foliage."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray

TILE = 512
CANOPIES = 32
CANOPY_SIZE = 192


def _spectral(size: int, exponent: float, seed: int, low: float = 0.0, high: float = 1.0) -> AnyArray:
    """Return wrapping (size, size) noise of unit variance whose amplitude falls as frequency**-exponent in a band."""
    white = np.random.default_rng(seed).standard_normal((size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * 2
    shape = np.where((frequency > low) & (frequency <= high), np.maximum(frequency, 1 / size) ** -exponent, 0.0)
    field = np.fft.irfft2(np.fft.rfft2(white) * shape, s=(size, size))
    scaled: AnyArray = ((field - field.mean()) / field.std()).astype(np.float32)
    return scaled


@lru_cache(maxsize=8)
def tile(kind: str) -> AnyArray:
    """Return a wrapping (512, 512) tile of mean 128: ``grain``, ``mid``, ``coarse`` or ``leaf``; one sigma is 32."""
    if kind == "grain":
        field = _spectral(TILE, 0.3, 11, high=0.75)
    elif kind == "mid":
        field = _spectral(TILE, 1.0, 12, low=0.01)
    elif kind == "coarse":
        field = _spectral(TILE, 2.0, 13, low=0.004, high=0.2)
    elif kind == "leaf":
        field = _spectral(TILE, 0.85, 14, low=0.03)
    else:
        raise KeyError(kind)
    levels: AnyArray = np.clip(128 + 32 * field, 0, 255).astype(np.uint8)
    return levels


@lru_cache(maxsize=2)
def gaussian() -> AnyArray:
    """Return (2048, 2048) white noise of unit variance, for the sensors."""
    field: AnyArray = np.random.default_rng(15).standard_normal((2048, 2048), dtype=np.float32)
    return field


def sensor_noise(rng: np.random.Generator, size: tuple[int, int]) -> AnyArray:
    """Return white noise of unit variance at ``size``: a window of the stored field, flipped at random."""
    field = gaussian()
    height, width = size
    if height > field.shape[0] or width > field.shape[1]:
        fresh: AnyArray = rng.standard_normal(size, dtype=np.float32)
        return fresh
    top = int(rng.integers(0, field.shape[0] - height + 1))
    left = int(rng.integers(0, field.shape[1] - width + 1))
    window: AnyArray = field[top : top + height, left : left + width]
    if rng.random() < 0.5:
        window = window[::-1]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return np.ascontiguousarray(window)


@lru_cache(maxsize=CANOPIES)
def canopy(index: int) -> AnyArray:
    """Return outline ``index`` of a crown: (192, 192), at least 128 where there is foliage, ragged at the rim."""
    rng = np.random.default_rng(1000 + index)
    y, x = np.mgrid[-1 : 1 : CANOPY_SIZE * 1j, -1 : 1 : CANOPY_SIZE * 1j].astype(np.float32)
    field = np.full_like(x, -1.0)
    for _ in range(int(rng.integers(4, 11))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.5)
        radius = rng.uniform(0.3, 0.55)
        blob = 1 - np.hypot(x - reach * np.cos(angle), (y - reach * np.sin(angle)) * rng.uniform(0.9, 1.4)) / radius
        field = np.maximum(field, blob)
    ragged: AnyArray = tile("leaf")[: CANOPY_SIZE * 2 : 2, index * 3 : index * 3 + CANOPY_SIZE * 2 : 2].astype(
        np.float32
    )
    ragged = cv2.GaussianBlur(ragged, (0, 0), 0.8) - 128
    field = field + ragged / 60 * rng.uniform(0.15, 0.45) + rng.uniform(0.0, 0.12)
    rim = np.minimum(1 - np.abs(x), 1 - np.abs(y)) * 10
    outline: AnyArray = np.clip(128 + 128 * np.minimum(field, rim - 0.3), 0, 255).astype(np.uint8)
    return outline
