"""Label masks grown inside annotated boxes, for training on data that has boxes only.

A box says where an object ends, not which of its pixels are the object. GrabCut (Rother et al. 2004, OpenCV's) separates
the two by colour, here of an image whose channels are red, green and the thermal image: at night a person is invisible in
the colour image and stands out in the thermal one. What it cannot tell stays out of the training (``IGNORED``).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.samples import IGNORED, DataError, Sample
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise

_MARGIN = 0.25
"""Share of a box's sides that GrabCut sees around it as certain background."""

_MIN_SIDE = 8
"""Below this many pixels a side there is nothing to separate: the core of the box is taken whole."""

_MAX_SIDE = 160
"""GrabCut takes half a second for a box that fills the image; a larger crop is shrunk to this many pixels first."""

_UPRIGHT = 1.5
"""Boxes this much taller than wide are upright people; their corners are emptier than those of cars and bikes."""


@dataclass(frozen=True)
class WeakMaskSettings:
    """How far a grown mask is trusted.

    Attributes:
        min_share: A mask that fills less of its box than this is a failure: the core of the box is taken instead.
        max_share: The same for a mask that fills more (1: never).
        iterations: GrabCut iterations per box.
        background: Class id of the pixels outside every box.
    """

    min_share: float = 0.25
    max_share: float = 0.97
    iterations: int = 3
    background: int = 0


def weak_label(sample: Sample, settings: WeakMaskSettings | None = None) -> ByteArray:
    """Return a label mask grown from the boxes of a sample.

    Args:
        sample: A pair with boxes; its thermal image of any depth and size.
        settings: How far a grown mask is trusted.

    Returns:
        (H, W) uint8 in the RGB image's pixels: the class where a box's mask is trusted, ``IGNORED`` in the rest of a box,
        ``settings.background`` elsewhere. Boxes whose lower edge is further down are nearer and win.

    Raises:
        DataError: The sample has no boxes (None; an empty tuple gives background everywhere).
    """
    if sample.boxes is None:
        raise DataError(f"{sample.name}: has no boxes to grow label masks in")
    settings = settings or WeakMaskSettings()
    height, width = sample.rgb.shape[:2]
    image = _composite(sample.rgb, sample.thermal)
    label = np.full((height, width), settings.background, np.uint8)
    for box in sorted(sample.boxes, key=lambda box: min(box.bottom, height)):
        left, top = max(0, round(box.left)), max(0, round(box.top))
        right, bottom = min(width, round(box.right)), min(height, round(box.bottom))
        if right <= left or bottom <= top:
            continue
        mask = _grow(image, (left, top, right, bottom), settings)
        inside = label[top:bottom, left:right]
        inside[inside == settings.background] = IGNORED
        inside[mask] = box.class_id
    return label


def _composite(rgb: ByteArray, thermal: AnyArray) -> ByteArray:
    """Return (H, W, 3) uint8: red, green, thermal stretched by percentiles, so that all three count alike."""
    stretched = normalise(thermal, ThermalSettings("percentile"))
    return np.dstack([rgb[..., 0], rgb[..., 1], resize(stretched, (rgb.shape[0], rgb.shape[1]))])


def _core(height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return the ellipse that fills the middle of a box."""
    core = np.zeros((height, width), np.uint8)
    across = 0.55 if height > _UPRIGHT * width else 0.9
    axes = (max(1, round(width * across / 2)), max(1, round(height * 0.9 / 2)))
    cv2.ellipse(core, (width // 2, height // 2), axes, 0, 0, 360, 1, -1)
    return core.astype(bool)


def _grow(image: ByteArray, box: tuple[int, int, int, int], settings: WeakMaskSettings) -> npt.NDArray[np.bool_]:
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    core = _core(height, width)
    if min(height, width) < _MIN_SIDE:
        return core
    margin_x, margin_y = max(4, round(width * _MARGIN)), max(4, round(height * _MARGIN))
    x0, y0 = max(0, left - margin_x), max(0, top - margin_y)
    x1, y1 = min(image.shape[1], right + margin_x), min(image.shape[0], bottom + margin_y)
    seeds = np.full((y1 - y0, x1 - x0), cv2.GC_BGD, np.uint8)
    inner = seeds[top - y0 : bottom - y0, left - x0 : right - x0]
    inner[:] = cv2.GC_PR_BGD
    inner[core] = cv2.GC_PR_FGD
    grown = _grab_cut(image[y0:y1, x0:x1], seeds, settings.iterations)
    if grown is None:
        return core
    inside = grown[top - y0 : bottom - y0, left - x0 : right - x0]
    return inside if settings.min_share <= float(inside.mean()) <= settings.max_share else core


def _grab_cut(crop: ByteArray, seeds: ByteArray, iterations: int) -> npt.NDArray[np.bool_] | None:
    """Return which pixels of a crop are the object; None where GrabCut finds nothing to separate."""
    height, width = seeds.shape
    scale = min(1.0, _MAX_SIDE / max(height, width))
    if scale < 1.0:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        crop = np.asarray(cv2.resize(crop, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        seeds = np.asarray(cv2.resize(seeds, small, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    # GrabCut draws its first clusters with OpenCV's generator; the same box must give the same mask.
    cv2.setRNGSeed(0)
    colours, backdrop = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(
            np.ascontiguousarray(crop), seeds, (0, 0, 0, 0), backdrop, colours, iterations, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:
        # A flat crop, or a box that is the whole image, leaves one side without samples.
        return None
    grown = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.uint8)
    if scale < 1.0:
        grown = np.asarray(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return np.asarray(grown, dtype=np.bool_)
