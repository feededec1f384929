"""Objects in a label mask: connected areas of one class, each with its box, its temperature and its place. Knows no ROS."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray, Float32Array
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, rays
from rgbt_seg_ros.pipeline.masks import UNLABELED

BACKGROUND = 0
"""Class that has no objects, by the data sets' convention; the overlay leaves it out, too."""

LARGEST = 256
"""Objects of one mask that are described; a noisy mask has thousands of specks, and the largest come first."""

_SAMPLES = 2048
"""Pixels of an object that its median distance is taken of."""

_EXTENT = (0.05, 0.95)
"""Quantiles of an object's distances that its depth lies between: its edge pixels often see what is behind it."""


@dataclass(frozen=True)
class Place:
    """Where an object is, in the RGB camera's optical frame (x right, y down, z ahead), in m.

    Attributes:
        center: (x, y, z) of the middle of its box, at the median of its distances z.
        extent: (x, y, z) sizes: of its box at that distance, and between the 5th and the 95th percentile of its distances.
        measured: Share 0..1 of its pixels that have a depth.
    """

    center: tuple[float, float, float]
    extent: tuple[float, float, float]
    measured: float


@dataclass(frozen=True)
class FoundObject:
    """One connected area of a class; pixels are counted from the top left of the mask, (0, 0) being that pixel's corner.

    Attributes:
        class_id: Its class.
        pixels: Its area.
        confidence: Mean confidence 0..1 of its pixels.
        box: (left, top, right, bottom) in pixels, the edges of the outermost pixels.
        centroid: (x, y) in pixels.
        temperature: K, mean and maximum of its pixels; None: not known.
        place: None: not known.
    """

    class_id: int
    pixels: int
    confidence: float
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    temperature: tuple[float, float] | None = None
    place: Place | None = None


def find_objects(
    label: ByteArray,
    confidence: ByteArray,
    min_pixels: int,
    *,
    kelvin: Float32Array | None = None,
    depth: AnyArray | None = None,
    camera: CameraModel | None = None,
    without: Collection[int] = (BACKGROUND,),
) -> list[FoundObject]:
    """Return the objects of a label mask, largest first, at most ``LARGEST``. Areas that touch at a corner are one object.

    Args:
        label: (H, W) uint8 class ids; ``UNLABELED`` has no objects.
        confidence: (H, W) uint8, round(255·p).
        min_pixels: A smaller area is not an object.
        kelvin: (H, W) temperatures in K, NaN where not known; None: none is known.
        depth: (H, W) uint16 in mm or float32 in m, of the RGB camera; None: no places.
        camera: The RGB camera with its lens; None: no places.
        without: Class ids that have no objects.
    """
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
    areas = [
        area
        for class_id in np.flatnonzero(counts >= max(1, min_pixels)).tolist()
        if class_id != UNLABELED and class_id not in without
        for area in _areas(label, class_id, min_pixels)
    ]
    areas.sort(key=lambda area: -area.pixels)
    del areas[LARGEST:]
    nothing = [None] * len(areas)
    temperatures = nothing if kelvin is None else _temperatures(kelvin, areas)
    places = nothing if depth is None or camera is None else _places(depth, camera, areas)
    return [
        FoundObject(
            area.class_id,
            area.pixels,
            cv2.mean(confidence[area.region], area.inside)[0] / 255.0,
            (area.left, area.top, area.left + area.inside.shape[1], area.top + area.inside.shape[0]),
            area.centroid,
            temperature,
            place,
        )
        for area, temperature, place in zip(areas, temperatures, places, strict=True)
    ]


@dataclass(frozen=True)
class _Area:
    """One connected area: ``inside`` is (h, w) uint8, 255 on its pixels, of its box at (left, top)."""

    class_id: int
    pixels: int
    left: int
    top: int
    inside: ByteArray

    @property
    def region(self) -> tuple[slice, slice]:
        height, width = self.inside.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def centroid(self) -> tuple[float, float]:
        moments = cv2.moments(self.inside, binaryImage=True)
        # OpenCV counts from the middle of a pixel; here a pixel's corner is (0, 0).
        x, y = (moments[name] / moments["m00"] + 0.5 for name in ("m10", "m01"))
        return self.left + x, self.top + y


def _areas(label: ByteArray, class_id: int, min_pixels: int) -> list[_Area]:
    """Return the connected areas of a class.

    By contours: with statistics of connected components each class would take another pass over all pixels, a millisecond.
    """
    of_class = cv2.inRange(label, np.array(class_id), np.array(class_id))
    contours, hierarchy = cv2.findContours(of_class, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found = []
    for index, contour in enumerate(contours):
        around = len(contour)
        # No area of 8-connected pixels within so many boundary pixels is larger than a diamond's.
        if around * (around + 8) / 8 + 1 < min_pixels or hierarchy[0, index, 3] >= 0:
            continue
        left, top, width, height = cv2.boundingRect(contour)
        inside = np.zeros((height, width), np.uint8)
        # With its holes, which are one level below.
        cv2.drawContours(inside, contours, index, 255, cv2.FILLED, 8, hierarchy, 1, (-left, -top))
        pixels = cv2.countNonZero(inside)
        if pixels >= min_pixels:
            found.append(_Area(class_id, pixels, left, top, inside))
    return found


def _temperatures(kelvin: Float32Array, areas: list[_Area]) -> list[tuple[float, float] | None]:
    """Return mean and maximum in K of each area; None: none of its pixels has a temperature."""
    # NaN equals nothing.
    known = cv2.compare(kelvin, kelvin, cv2.CMP_EQ)
    result: list[tuple[float, float] | None] = []
    for area in areas:
        values, inside = kelvin[area.region], cv2.bitwise_and(known[area.region], area.inside)
        if not cv2.countNonZero(inside):
            result.append(None)
            continue
        result.append((cv2.mean(values, inside)[0], cv2.minMaxLoc(values, inside)[1]))
    return result


def _places(depth: AnyArray, camera: CameraModel, areas: list[_Area]) -> list[Place | None]:
    """Return where each area is; None: none of its pixels has a depth."""
    matrix = effective_matrix(camera)
    # Of pixels' middles, as a camera's matrix counts them.
    sizes = np.array([area.inside.shape[::-1] for area in areas], np.float64).reshape(-1, 2)
    corners = np.array([(area.left, area.top) for area in areas], np.float64).reshape(-1, 2)
    directions = rays(camera, corners + (sizes - 1) / 2)
    metres = np.float32(0.001 if depth.dtype.kind == "u" else 1.0)
    result: list[Place | None] = []
    for area, (width, height), (x, y, _) in zip(areas, sizes.tolist(), directions.tolist(), strict=True):
        step = max(1, math.isqrt(area.pixels // _SAMPLES))
        sampled = depth[area.region][::step, ::step][area.inside[::step, ::step] != 0]
        values = sampled * metres
        values = np.sort(values[np.isfinite(values) & (values > 0)])
        if not values.size or not math.isfinite(x + y):
            result.append(None)
            continue
        near, z, far = (float(values[round(share * (values.size - 1))]) for share in (_EXTENT[0], 0.5, _EXTENT[1]))
        extent = (width * z / matrix[0, 0], height * z / matrix[1, 1], far - near)
        result.append(
            Place((x * z, y * z, z), (float(extent[0]), float(extent[1]), extent[2]), values.size / sampled.size)
        )
    return result
