"""Pictures of masks for people: overlay, confidence in colour, and a strip of one frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.preparation import Prepared


def palette(classes: Sequence[ClassInfo]) -> ByteArray:
    """Return a (256, 3) uint8 RGB table: the colour of every class id, black for ids that are not classes."""
    table = np.zeros((256, 3), np.uint8)
    for entry in classes:
        table[entry.id] = entry.color
    return table


def colourise(label: ByteArray, classes: Sequence[ClassInfo]) -> ByteArray:
    """Return the (H, W, 3) uint8 RGB picture of a label mask in the classes' own colours."""
    # A colour map of one's own: a twentieth of the time of indexing the table with the mask.
    return np.asarray(cv2.applyColorMap(label, palette(classes)[:, np.newaxis]), dtype=np.uint8)


def overlay(rgb: ByteArray, label: ByteArray, classes: Sequence[ClassInfo], alpha: float = 0.5) -> ByteArray:
    """Blend the class colours over the RGB image.

    Args:
        rgb: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids; ``UNLABELED`` and class 0 (background by the data sets' convention) show the
            image itself, so that the eye finds what was recognised.
        classes: The model's class table.
        alpha: Weight of the colour, 0..1.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    blended = cv2.addWeighted(rgb, 1.0 - alpha, colourise(label, classes), alpha, 0.0)
    keep = (label == 0) | (label == UNLABELED)
    cv2.copyTo(rgb, keep.view(np.uint8), blended)
    return np.asarray(blended, dtype=np.uint8)


def thermal_background(prepared: Prepared) -> ByteArray:
    """Return what an overlay is drawn on where there is no RGB image: (H, W, 3) uint8, the thermal image in grey."""
    grey = resize(prepared.thermal, prepared.image_size)
    return np.repeat(grey[..., None], 3, axis=2)


def with_badge(picture: ByteArray, text: str) -> ByteArray:
    """Write a short text into the upper right corner of a (H, W, 3) uint8 RGB picture, in place, and return it.

    White on a red ground, so that it is seen over any scene; as high as a twentieth of the picture, 10 pixels at least.
    """
    height, width = picture.shape[:2]
    scale = max(10.0, height / 20) / 22
    (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = high // 2 + 1
    left, bottom = max(0, width - wide - 2 * margin), high + below + 2 * margin
    cv2.rectangle(picture, (left, 0), (width, bottom), (176, 16, 16), cv2.FILLED)
    where = (left + margin, margin + high)
    cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def heat(grey: ByteArray, colormap: int = cv2.COLORMAP_INFERNO) -> ByteArray:
    """Return a (H, W) uint8 image as a (H, W, 3) RGB picture in a colour scale."""
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(grey, colormap), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def strip(tiles: Sequence[tuple[str, ByteArray]], height: int = 240) -> ByteArray:
    """Put captioned pictures side by side.

    Args:
        tiles: (caption, image) pairs; images (H, W) or (H, W, 3) uint8 RGB of any size.
        height: Height of the tiles in pixels; widths follow the images' own ratio.

    Returns:
        (height, sum of widths, 3) uint8 RGB.
    """
    columns = []
    for caption, image in tiles:
        picture = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        # A view of the caller's image must not get the caption drawn into it.
        tile = resize(picture, (height, width)).copy()
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(tile, caption, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness, cv2.LINE_AA)
        columns.append(tile)
    return np.concatenate(columns, axis=1)
