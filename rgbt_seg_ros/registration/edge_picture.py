"""Edges of the aligned thermal image, in red, over the RGB image: what the eye judges a calibration by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.alignment import Aligned, Aligner
from rgbt_seg_ros.registration.image_pairs import ImagePair

WIDTH = 640
"""px of a pair in the grid, at most."""

_RED = (255, 0, 0)
_GAP = 4
_STRONGEST = 0.12
"""Share of the pixels that may be edges: fewer say too little, more hide the picture."""


PICTURES = (".png", ".jpg", ".jpeg")


def check_picture(path: Path) -> None:
    """Refuse a picture's name before the work is done.

    Raises:
        UserError: Its suffix is that of no picture.
    """
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"{path}: '{path.suffix}' is not a picture; expected .png or .jpg")


def edges_over(rgb: ByteArray, aligned: Aligned) -> ByteArray:
    """Return (H, W, 3) uint8: the RGB image in grey, with the thermal image's edges (Canny 1986) in red.

    Args:
        rgb: (H, W, 3) uint8.
        aligned: The thermal image of the same size.
    """
    smooth = cv2.GaussianBlur(aligned.image, (0, 0), 1.5)
    size = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    high = max(float(np.quantile(size, 1 - _STRONGEST)), 8.0)
    edges = cv2.Canny(smooth, high / 2, high, L2gradient=True) > 0
    if aligned.valid is not None:
        inside = cv2.erode(aligned.valid.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1)
        edges &= inside > 0
    # At night there would be nothing to see under the edges.
    grey = cv2.createCLAHE(4.0, (4, 4)).apply(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    picture[edges] = _RED
    return picture


def edge_grid(
    aligner: Aligner,
    pairs: Sequence[ImagePair],
    depths: Sequence[AnyArray] | None = None,
) -> ByteArray:
    """Return a picture (H, W, 3) uint8 of several pairs, each with its name, in a grid that is about square.

    Args:
        aligner: With the calibration.
        pairs: At least one, of one size.
        depths: Of each pair, for mode ``depth``.

    Raises:
        UserError: As ``Aligner.align``.
    """
    panels = []
    for index, pair in enumerate(pairs):
        height, width = pair.rgb.shape[:2]
        zoom = min(1.0, WIDTH / width)
        size = max(1, round(height * zoom)), max(1, round(width * zoom))
        aligned = aligner.align(pair.thermal, size, None if depths is None else depths[index], rgb_size=(height, width))
        rgb = np.asarray(cv2.resize(pair.rgb, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        panels.append(_named(edges_over(rgb, aligned), pair.name))
    return _grid(panels)


def _named(picture: ByteArray, name: str) -> ByteArray:
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return picture


def _grid(panels: Sequence[ByteArray]) -> ByteArray:
    columns = math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    height, width = (max(panel.shape[axis] for panel in panels) for axis in (0, 1))
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), np.uint8)
    for index, panel in enumerate(panels):
        top, left = index // columns * (height + _GAP), index % columns * (width + _GAP)
        sheet[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
    return sheet
