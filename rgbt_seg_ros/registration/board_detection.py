"""Find a board in an image, whichever of its holes and plate is the brighter one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.registration.board import Board

_SMALL = 400
"""px; images less wide are searched at twice their size."""

_CLIP = 10.0
"""Of the local contrast: less leaves a board of 13 grey levels unseen, more makes patterns of noise."""

_WINDOW = 0.4
"""Half the side of the window that a corner is sharpened in, of the shortest distance between corners."""


@dataclass(frozen=True)
class Look:
    """How an image is looked at.

    Attributes:
        inverted: Bright and dark exchanged.
        local: Contrast stretched tile by tile, for a scene with something far hotter than the board.
    """

    inverted: bool = False
    local: bool = False


_LOOKS = tuple(Look(inverted, local) for local, inverted in product((False, True), (False, True)))


def find_board(
    image: ByteArray, board: Board, first: Look | None = None
) -> tuple[FloatArray, Look] | tuple[None, None]:
    """Return where the board's points are, and which look at the image showed them.

    Args:
        image: (H, W) or (H, W, 3) RGB uint8.
        board: What to look for.
        first: The look to begin with: the one that showed it in the image before.

    Returns:
        (N, 2) float64 pixels in the order of the board's points or one that a turn cannot be told from, never mirrored; None:
        the board, whole and of this size, is not in the image.
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, dtype=np.uint8)
    factor = 2 if grey.shape[1] < _SMALL else 1
    if factor > 1:
        grey = np.asarray(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    looks = _LOOKS if first is None else (first, *(look for look in _LOOKS if look != first))
    for look in looks:
        found = (_checker if board.kind == "checker" else _circles)(_seen(grey, look), board)
        if found is not None and board.kind == "checker":
            # On the image itself: a stretch tile by tile moves corners by half a pixel.
            found = _refined(grey, found, board)
        if found is not None:
            pixels = (found.reshape(-1, 2).astype(np.float64) + 0.5) / factor - 0.5
            return board.as_seen_from_the_front(pixels), look
    return None, None


def _seen(grey: ByteArray, look: Look) -> ByteArray:
    seen = cv2.createCLAHE(_CLIP, (4, 4)).apply(grey) if look.local else grey
    return np.asarray(255 - seen if look.inverted else seen, dtype=np.uint8)


def _checker(grey: ByteArray, board: Board) -> Float32Array | None:
    # With LARGER the true size comes back: without it a part of a larger board passes for the whole. Without NORMALIZE_IMAGE:
    # it equalises the histogram, which in a scene without contrast beside the board makes patterns of the noise.
    flags = cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_LARGER
    try:
        found, corners, meta = cv2.findChessboardCornersSBWithMeta(grey, (board.columns, board.rows), flags)
    except cv2.error:  # too small an image for this grid
        return None
    if not found or np.asarray(meta).shape[:2] != (board.rows, board.columns):
        return None
    return np.asarray(corners, np.float32)


def _refined(grey: ByteArray, corners: Float32Array, board: Board) -> Float32Array:
    """Return corners sharpened over most of the squares around them.

    On rendered boards this halves the error of findChessboardCornersSB, and takes away its bias of 0.05 % outwards, which
    calibration would turn into a wrong focal length.
    """
    grid = corners.reshape(board.rows, board.columns, 2)
    sides = [float(np.linalg.norm(np.diff(grid, axis=axis), axis=-1).min()) for axis in (0, 1)]
    half = max(int(_WINDOW * min(sides)), 2)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-4)
    sharper = cv2.cornerSubPix(grey, corners.reshape(-1, 1, 2).copy(), (half, half), (-1, -1), criteria)
    return np.asarray(sharper, np.float32)


def checker_size(image: ByteArray) -> tuple[int, int] | None:
    """Return (columns, rows) of inner corners of a checker in an image (H, W) or (H, W, 3); None: no checker above 3x3."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    try:
        found, _, meta = cv2.findChessboardCornersSBWithMeta(grey, (3, 3), cv2.CALIB_CB_LARGER)
    except cv2.error:
        return None
    if not found:
        return None
    rows, columns = np.asarray(meta).shape[:2]
    # The smallest that is sought is found in texture too.
    return None if rows == columns == 3 else (columns, rows)


def _circles(grey: ByteArray, board: Board) -> Float32Array | None:
    blobs: Any = cv2  # the stubs of OpenCV 5 leave these two out
    settings = blobs.SimpleBlobDetector_Params()
    # Circles of a near board are larger than the default allows, and those of a thermal camera smaller.
    settings.minArea = 12.0
    settings.maxArea = float(max(grey.size / (board.columns * board.rows), 100))
    settings.minDistBetweenBlobs = 4.0
    flags = cv2.CALIB_CB_ASYMMETRIC_GRID if board.kind == "acircles" else cv2.CALIB_CB_SYMMETRIC_GRID
    detector = blobs.SimpleBlobDetector_create(settings)
    try:
        found, centres = cv2.findCirclesGrid(
            grey, (board.columns, board.rows), flags=flags | cv2.CALIB_CB_CLUSTERING, blobDetector=detector
        )
        if not found:
            found, centres = cv2.findCirclesGrid(grey, (board.columns, board.rows), flags=flags, blobDetector=detector)
    except cv2.error:
        return None
    return np.asarray(centres, np.float32) if found else None
