"""What an RGB and a thermal image of one scene have in common: where edges are, and which way they run.

Contrast may be reversed between the two (a warm person before a cold wall, a dark coat before a bright one), so orientations
count modulo 180°. As in the channel features of oriented gradients (Ye et al. 2019, "Fast and robust matching for multimodal
remote sensing image registration") every pixel has a histogram of the orientations around it; here it is held as its Fourier
series, which takes five channels and does not depend on where bins begin.
"""

from __future__ import annotations

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray, Float32Array

Channels = Float32Array

CHANNELS = 5

_ORDERS = (0.5, 1.0, 0.7)
"""Weights of edge density, of the double and of the fourfold angle."""

_DARK = 12.0
"""Grey levels; below it an image is taken to be noise."""

_LOCAL = 32.0
"""px; the neighbourhood whose contrast is brought to one level."""

_SPREAD = 1.5
"""px; blur of the channels: by so much an edge may lie elsewhere."""

_SMOOTH = 1.5
"""px; blur before edges are sought."""

_FLOOR = 0.5
"""Of an image's median local contrast: neighbourhoods with less are left weaker than others."""

_SATURATION = 0.5
"""How soon strong edges stop counting for more: a strength s becomes s / (1 + 0.5·s)."""

_RIM = 0.15
"""Share of a side up to which black pixels at the border are not part of the picture."""


def lightness(rgb: ByteArray) -> Float32Array:
    """Return (H, W) float32 of (H, W, 3) RGB or (H, W) thermal, on a scale on which dark places keep their contrast."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    return np.asarray(np.log(grey.astype(np.float32) + np.float32(_DARK)), np.float32)


def seen(thermal: ByteArray) -> ByteArray:
    """Return (h, w) uint8, 1 where a thermal image shows something: not in the black rim that rectification leaves."""
    dark = thermal == 0
    rim = np.zeros(thermal.shape, bool)
    for axis in (0, 1):
        limit = round(_RIM * thermal.shape[axis])
        for flip in (False, True):
            image = np.flip(dark, axis) if flip else dark
            run = np.cumprod(image, axis=axis, dtype=np.uint8).astype(bool)
            run &= run.sum(axis=axis, keepdims=True) <= limit
            rim |= np.flip(run, axis) if flip else run
    kept = np.ones((thermal.shape[0] + 2, thermal.shape[1] + 2), np.uint8)
    kept[1:-1, 1:-1] = ~rim
    kept[[0, -1]] = kept[:, [0, -1]] = 1
    return np.asarray(cv2.erode(kept, np.ones((5, 5), np.uint8))[1:-1, 1:-1], np.uint8)


def orientation_channels(image: Float32Array, valid: ByteArray | None = None) -> Channels:
    """Return the channels of an image.

    Args:
        image: (H, W) float32, as of ``lightness``.
        valid: (H, W) uint8, 0 where the image shows nothing; None: everywhere.

    Returns:
        (5, H, W) float32: edge density less its neighbourhood's, then cosine and sine of the double and the fourfold angle,
        all weighted by the edge's strength relative to its neighbourhood; 0 where not valid.
    """
    mask = np.ones(image.shape, np.float32)
    if valid is not None:
        mask = cv2.erode(valid, np.ones((5, 5), np.uint8), borderValue=1).astype(np.float32)
    smooth = cv2.GaussianBlur(image, (0, 0), _SMOOTH)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32) * mask
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32) * mask
    energy = gx * gx + gy * gy
    local = np.sqrt(cv2.GaussianBlur(energy, (0, 0), _LOCAL) / np.maximum(cv2.GaussianBlur(mask, (0, 0), _LOCAL), 0.05))
    inside = mask > 0
    floor = _FLOOR * float(np.median(local[inside])) if inside.any() else 0.0
    size = np.sqrt(energy)
    strength = size / (local + floor + 1e-6)
    strength = strength / (1 + _SATURATION * strength)  # a few glaring edges should not decide
    c, s = gx / (size + 1e-9), gy / (size + 1e-9)
    c2, s2 = c * c - s * s, 2 * c * s
    density = strength * mask
    density = density - cv2.GaussianBlur(density, (0, 0), 8.0) * mask
    stack = (
        _ORDERS[0] * density,
        _ORDERS[1] * strength * c2,
        _ORDERS[1] * strength * s2,
        _ORDERS[2] * strength * (c2 * c2 - s2 * s2),
        _ORDERS[2] * strength * 2 * c2 * s2,
    )
    return np.stack([cv2.GaussianBlur(channel, (0, 0), _SPREAD) * mask for channel in stack]).astype(np.float32)
