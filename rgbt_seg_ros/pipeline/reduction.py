"""Label and confidence mask in another size: each cell gets the class that its pixels say, not that of one pixel.

The rule: every pixel votes for its class with its confidence; 255 has no vote. A class can have a cell if its votes are at
least those of a line, one pixel wide, through the cell: the share 1/side of all its votes, and half of that where the ratio
of the sizes is not whole, since the border of two cells may then halve a line. Of the classes that can, the one with the
fewest pixels in the whole mask has it. So a pole or a distant person survives beside the ground, however large that is, and a
single stray pixel does not; areas grow by less than a cell. The confidence is the mean of the winner's own pixels. A cell
with fewer labelled pixels than a line is 255.
"""

from __future__ import annotations

import math
import re

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MAX_SIDE
from rgbt_seg_ros.pipeline.masks import UNLABELED

NAMED = ("image", "cloud")


def check_output_size(text: str) -> None:
    """Refuse what is not a size of masks; raises SettingError of ``size``."""
    fixed_size(text)


def fixed_size(text: str) -> tuple[int, int] | None:
    """Return (H, W) of ``HxW``; None for ``image`` and ``cloud``.

    Raises:
        SettingError: Of ``size``: anything else, or a size that is too large.
    """
    if text in NAMED:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if not match:
        raise SettingError("size", f"{shown(text)} is not image, cloud or HxW in pixels, such as 240x320")
    height, width = int(match[1]), int(match[2])
    if max(height, width) > MAX_SIDE or height * width > MAX_INPUT_PIXELS:
        raise SettingError("size", f"'{text}' has a side above {MAX_SIDE} or more than {MAX_INPUT_PIXELS} pixels")
    return height, width


def reduce_masks(label: ByteArray, confidence: ByteArray, size: tuple[int, int]) -> tuple[ByteArray, ByteArray]:
    """Return both masks in another size, by the rule above; a larger size repeats pixels.

    Args:
        label: (H, W) uint8 class ids, 255 unlabeled.
        confidence: (H, W) uint8, round(255·p); 0 where the label is 255.
        size: (H, W) of the result; (H, W) of the masks themselves returns them.
    """
    if label.shape == size:
        return label, confidence
    height, width = size
    if height >= label.shape[0] or width >= label.shape[1]:
        both = (
            cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for mask in (label, confidence)
        )
        first, second = (np.asarray(mask, np.uint8) for mask in both)
        return first, second
    side = math.ceil(max(label.shape[0] / height, label.shape[1] / width))
    if label.shape[0] % height or label.shape[1] % width:
        # The border between two cells may halve a line.
        side *= 2
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
    present = [int(number) for number in np.argsort(counts, kind="stable") if counts[number] and number != UNLABELED]
    total = _cells(confidence, size)
    # A line's share of the votes, or of the cell; half a level for what rounding took.
    least = np.maximum(total.astype(np.float32) / side - 0.5, 0.5)
    winner = np.full(size, UNLABELED, np.uint8)
    votes, share = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    labelled = np.zeros(size, np.uint16)
    for class_id in present:
        of_class = cv2.inRange(label, np.array(class_id), np.array(class_id))
        covered = _cells(np.asarray(of_class, np.uint8), size)
        voted = _cells(np.asarray(cv2.bitwise_and(confidence, of_class), np.uint8), size)
        labelled += covered
        takes = (voted >= least) & (winner == UNLABELED)
        winner[takes] = class_id
        votes[takes], share[takes] = voted[takes], covered[takes]
    winner[labelled < 255 // side - 1] = UNLABELED
    mean = np.rint(255.0 * votes / np.maximum(share, 1)).clip(0, 255).astype(np.uint8)
    mean[winner == UNLABELED] = 0
    return winner, mean


def _cells(values: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Return the mean of each cell, (H, W) uint8 of a size."""
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
