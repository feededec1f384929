"""Label masks in image files: a class id in every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.problems import DataProblems
from rgbt_seg_ros.data.samples import IGNORED, DataError
from rgbt_seg_ros.files import read_bounded, replacing
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.image_data import ImageDataError, open_image, stored_bits

# Pillow, because OpenCV replaces the indices of a palette PNG by their colours.
_INDEX_MODES = ("L", "P", "1")
_WRONG_MODES = {
    "RGB": "a three-channel colour picture",
    "RGBA": "a four-channel colour picture",
    "LA": "a picture with an alpha channel",
    "PA": "a picture with an alpha channel",
    "F": "a picture of floating-point numbers",
}
_LOSSY = {"JPEG": "a JPEG", "MPO": "a JPEG", "JPEG2000": "a JPEG 2000", "WEBP": "a WebP"}
_FORMATS = ("PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG", "JPEG2000", "WEBP")
_UNREADABLE = (OSError, SyntaxError, ValueError)
_LARGEST_FILE = 1 << 28


def read_label(path: Path, num_classes: int, shape: tuple[int, ...] | None = None) -> ByteArray:
    """Read a label mask as (H, W) uint8 class ids 0..num_classes-1, or ``IGNORED``.

    The values are those that are stored: of a palette picture its indices, of a grey one of 1, 2 or 4 bits 0..1, 0..3 or 0..15.

    Args:
        path: The file.
        num_classes: Number of classes.
        shape: (H, W) of the RGB image; None: not known.

    Raises:
        DataError: The file cannot be read, is of a format that changes values (JPEG), is not a single channel of 8 bits, has
            another size, or holds a value that is not a class.
    """
    data = read_bounded(path, "label mask", _LARGEST_FILE, DataError)
    try:
        with open_image(data, formats=_FORMATS) as image:
            mode = image.mode
            lossy = _LOSSY.get(image.format or "")
            if lossy is None and "jpeg" in str(image.info.get("compression", "")):
                lossy = "a TIFF with JPEG compression"
            if lossy:
                raise DataError(
                    f"{path}: {lossy} picture, whose values are not those that were written; expected a PNG"
                )
            label = np.array(image, dtype=np.uint8) if mode in _INDEX_MODES else None
    except (ImageDataError, *_UNREADABLE) as error:
        raise DataError(f"{path}: not a readable label mask ({error})") from error
    if label is not None and mode == "L" and stored_bits(data) < 8:
        # An optimiser, or a writer of few classes, has stored fewer bits; Pillow spreads their values over 0..255.
        label //= 255 // ((1 << stored_bits(data)) - 1)
    if label is None:
        wrong = _WRONG_MODES.get(mode, f"a picture of more than 8 bits or several channels (mode {mode})")
        raise DataError(f"{path}: {wrong}; a label mask is one channel of 8 bits with a class id in every pixel")
    problems = label_problems(label, num_classes, shape)
    if problems:
        raise DataProblems(*(f"{path}: {problem}" for problem in problems))
    return label


def label_problems(label: AnyArray, num_classes: int, shape: tuple[int, ...] | None) -> list[str]:
    """Return what is wrong with the size and the values of a label mask, a sentence each."""
    problems = []
    if shape is not None and label.shape != shape:
        problems.append(f"{_size(label.shape)} pixels; its RGB image has {_size(shape)} (height x width)")
    if label.size == 0 or (label.dtype == np.uint8 and int(label.max()) < num_classes):
        return problems
    values, counts = np.unique(label, return_counts=True)
    wrong = (values >= num_classes) & (values != IGNORED)
    if wrong.any():
        listed = ", ".join(map(str, values[wrong][:5])) + (", …" if wrong.sum() > 5 else "")
        problems.append(
            f"{counts[wrong].sum()} pixels are {listed}; expected classes 0..{num_classes - 1}, "
            f"or {IGNORED} where not annotated"
        )
    return problems


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def write_label(path: Path, label: ByteArray, classes: Sequence[ClassInfo]) -> None:
    """Write class ids (H, W) as a palette PNG that shows the classes' colours; beside its place and then renamed.

    Raises:
        DataError: The place cannot be written.
    """
    palette = np.full((256, 3), 255, np.uint8)
    for entry in classes:
        palette[entry.id] = entry.color
    image = Image.fromarray(label)
    image.putpalette(palette.tobytes())
    with replacing(path, failure=DataError) as (part,):
        image.save(part, "PNG")
