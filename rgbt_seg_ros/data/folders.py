"""RGB-thermal pairs in folders of image files."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rgbt_seg_ros.data.samples import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})


class ImageFileError(DataError):
    """An image file that is missing, has no partner, or cannot be read or written."""


@dataclass(frozen=True)
class PairPaths:
    """One pair of files and the name they share."""

    name: str
    rgb: Path
    thermal: Path


def files_in(folder: Path, suffixes: Collection[str] = SUFFIXES) -> dict[str, str]:
    """Return the files of a folder by name (without suffix), sorted; hidden ones and other suffixes are left out.

    Raises:
        ImageFileError: Two files have one name, or the folder cannot be read.
    """
    found: dict[str, str] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise ImageFileError(f"{folder}: cannot be read ({error})") from error
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes:
            if stem in found:
                raise ImageFileError(f"{folder / name}: there is {found[stem]} too; one file a name was expected")
            found[stem] = name
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
    colour, heat = files_in(rgb), files_in(thermal)
    if not colour:
        raise ImageFileError(f"{rgb}: no images ({', '.join(sorted(SUFFIXES))})")
    alone = sorted(set(colour) ^ set(heat))
    if alone:
        where = thermal if alone[0] in colour else rgb
        raise ImageFileError(f"{where}: no image named {alone[0]} ({len(alone)} images without a partner)")
    return [PairPaths(name, rgb / colour[name], thermal / heat[name]) for name in colour]


def read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> npt.NDArray[Any]:
    """Read an image as OpenCV gives it: (H, W) or (H, W, channels), blue first.

    Raises:
        ImageFileError: The file is missing, cut off or no image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageFileError(f"{path}: not a readable image file ({error.strerror or error})") from error
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # an image larger than OpenCV will hold
        image = None
    if image is None or _is_cut_off(data):
        raise ImageFileError(f"{path}: not a readable image file")
    return np.asarray(image)


def _is_cut_off(data: bytes) -> bool:
    """Tell whether a JPEG file ends early: OpenCV 4 fills what is missing with grey and says nothing."""
    if not data.startswith(b"\xff\xd8") or b"\xff\xd9" in data[-1024:]:
        return False
    try:
        # No end where it should be: cut off, or followed by data of the camera's maker.
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return True
    return False


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Read a colour or grey image as (H, W, 3) uint8 RGB; raises ImageFileError."""
    bgr = read_image(path, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_thermal(path: Path) -> npt.NDArray[Any]:
    """Read a thermal image as (H, W), uint8, uint16 or float32; a three-channel picture is turned to grey.

    Raises:
        ImageFileError: The file cannot be read, or has pixels of another kind.
    """
    image = read_image(path)
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageFileError(f"{path}: pixels are {image.dtype}; expected uint8, uint16 or float32")
    if image.ndim == 3:
        code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
        image = np.asarray(cv2.cvtColor(image, code))
    return image


def write_image(path: Path, image: npt.NDArray[Any]) -> None:
    """Write (H, W) or (H, W, 3) RGB, of a depth the format can hold, as the suffix says, beside its place and then renamed.

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


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, beside its place and then renamed.

    Raises:
        ImageFileError: The place cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ImageFileError(f"{path}: cannot be written ({error})") from error
