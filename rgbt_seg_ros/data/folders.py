"""RGB-thermal pairs in folders of image files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})


class ImageFileError(UserError):
    """An image file that is missing, has no partner, or cannot be read or written."""


@dataclass(frozen=True)
class PairPaths:
    """One pair of files and the name they share."""

    name: str
    rgb: Path
    thermal: Path


def _images(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            if path.stem in found:
                raise ImageFileError(f"{path}: there is {found[path.stem].name} too; one image a name was expected")
            found[path.stem] = path
    return found


def find_pairs(rgb: str | Path, thermal: str | Path) -> list[PairPaths]:
    """Match two files, or the files of two folders by name (without suffix).

    Raises:
        ImageFileError: Something is missing; the sentence names it.
    """
    rgb, thermal = Path(rgb), Path(thermal)
    for path in (rgb, thermal):
        if not path.exists():
            raise ImageFileError(f"{path}: no such file or folder")
    if rgb.is_dir() != thermal.is_dir():
        raise ImageFileError(f"{rgb} and {thermal}: two files or two folders were expected, not one of each")
    if not rgb.is_dir():
        return [PairPaths(rgb.stem, rgb, thermal)]
    colour, heat = _images(rgb), _images(thermal)
    if not colour:
        raise ImageFileError(f"{rgb}: no images ({', '.join(sorted(SUFFIXES))})")
    alone = sorted(set(colour) ^ set(heat))
    if alone:
        where = thermal if alone[0] in colour else rgb
        raise ImageFileError(f"{where}: no image named {alone[0]} ({len(alone)} images without a partner)")
    return [PairPaths(name, colour[name], heat[name]) for name in colour]


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    image = cv2.imread(str(path), flags) if path.is_file() else None
    if image is None:
        raise ImageFileError(f"{path}: not a readable image file")
    return np.asarray(image)


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Read a colour or grey image as (H, W, 3) uint8 RGB; raises ImageFileError."""
    bgr = _read(path, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_thermal(path: Path) -> npt.NDArray[Any]:
    """Read a thermal image as (H, W), uint8, uint16 or float32; a three-channel picture is turned to grey."""
    image = _read(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
        image = np.asarray(cv2.cvtColor(image, code))
    return image


def write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write (H, W) or (H, W, 3) RGB uint8 as the suffix says, beside its place and then renamed.

    Raises:
        ImageFileError: The place cannot be written.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(beside), pixels):
            raise OSError("the disk may be full, or the folder read-only")
        os.replace(beside, path)
    except (OSError, cv2.error) as error:
        beside.unlink(missing_ok=True)
        raise ImageFileError(f"{path}: cannot be written ({error})") from error
