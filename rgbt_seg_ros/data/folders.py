"""RGB-thermal pairs in folders of image files."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.files import replacing

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})


_GREY_LEVELS = {np.dtype(np.uint8): 8.0, np.dtype(np.uint16): 8.0 * 257}
"""By how much the channels of a grey picture may differ: JPEG rounds."""


class ImageFileError(DataError):
    """An image file that is missing, has no partner, or cannot be read or written."""


@dataclass(frozen=True)
class PairPaths:
    """One pair of files and the name they share."""

    name: str
    rgb: Path
    thermal: Path


def files_in(folder: Path, suffixes: Collection[str] = SUFFIXES, problems: Problems | None = None) -> dict[str, str]:
    """Return the files of a folder by name (without suffix), sorted; hidden ones and other suffixes are left out.

    Args:
        folder: The folder.
        suffixes: What files end with, in lower case.
        problems: Where given, two files of one name are noted in it and the first is taken, instead of raised.

    Raises:
        ImageFileError: Two files have one name, or the folder cannot be read.
    """
    noted = Problems() if problems is None else problems
    found: dict[str, str] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise ImageFileError(f"{folder}: cannot be read ({error})") from error
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes:
            if stem in found:
                noted.found.append(f"{folder / name}: there is {found[stem]} too; one file a name was expected")
            else:
                found[stem] = name
    if problems is None and noted.found:
        raise ImageFileError(noted.found[0])
    return found


def find_pairs(rgb: str | Path, thermal: str | Path) -> list[PairPaths]:
    """Match two files, or the files of two folders by name (without suffix).

    Raises:
        ImageFileError: Something is missing; the sentence names it.
    """
    rgb, thermal = Path(rgb), Path(thermal)
    for path in (rgb, thermal):
        if not os.path.exists(path):
            raise ImageFileError(f"{path}: no such file or folder")
    if os.path.isdir(rgb) != os.path.isdir(thermal):
        raise ImageFileError(f"{rgb} and {thermal}: two files or two folders were expected, not one of each")
    if not os.path.isdir(rgb):
        return [PairPaths(rgb.stem, rgb, thermal)]
    colour, heat = files_in(rgb), files_in(thermal)
    if not colour:
        raise ImageFileError(f"{rgb}: no images ({', '.join(sorted(SUFFIXES))})")
    alone = sorted(set(colour) ^ set(heat))
    if alone:
        where = thermal if alone[0] in colour else rgb
        raise ImageFileError(f"{where}: no image named {alone[0]} ({len(alone)} images without a partner)")
    return [PairPaths(name, rgb / colour[name], thermal / heat[name]) for name in colour]


def read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> AnyArray:
    """Read an image as OpenCV gives it: (H, W) or (H, W, channels), blue first; as stored, whatever way up Exif says it is.

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


def read_rgb(path: Path) -> ByteArray:
    """Read a colour or grey image as (H, W, 3) uint8 RGB, as stored; raises ImageFileError."""
    # Thermal images and label masks are never turned, so RGB must not be either.
    bgr = read_image(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_thermal(path: Path) -> AnyArray:
    """Read a thermal image as (H, W), uint8, uint16 or float32; a three-channel picture is turned to grey.

    Raises:
        ImageFileError: The file cannot be read, or has pixels of another kind.
    """
    return read_thermal_noted(path)[0]


def read_thermal_noted(path: Path) -> tuple[AnyArray, str]:
    """Read a thermal image as ``read_thermal``, and say in a sentence what is odd about the file; nothing: nothing.

    Raises:
        ImageFileError: The file cannot be read, or has pixels of another kind.
    """
    image = read_image(path)
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageFileError(f"{path}: pixels are {image.dtype}; expected uint8, uint16 or float32")
    if image.ndim == 2:
        return image, ""
    note = ""
    if _is_coloured(image):
        note = f"{path}: a thermal image in false colours, turned to grey, which need not grow with temperature"
    code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
    return np.asarray(cv2.cvtColor(image, code)), note


def _is_coloured(image: AnyArray) -> bool:
    """Tell whether the three colour channels of (H, W, 3 or 4) differ by more than compression makes them."""
    blue, green, red = cv2.split(image)[:3]
    allowed = _GREY_LEVELS.get(image.dtype, 0.0)
    return any(float(cv2.absdiff(first, second).max()) > allowed for first, second in ((blue, green), (green, red)))


def write_image(path: Path, image: AnyArray) -> None:
    """Write (H, W) or (H, W, 3) RGB, of a depth the format can hold, as the suffix says, beside its place and then renamed.

    Raises:
        ImageFileError: The place cannot be written, or the suffix is that of no format.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # Not imwrite: it takes no path that is not UTF-8.
    with replacing(path, failure=ImageFileError, causes=(cv2.error,)) as (part,):
        part.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, beside its place and then renamed; file names in it stay the bytes they are.

    Raises:
        ImageFileError: The place cannot be written.
    """
    with replacing(path, failure=ImageFileError) as (part,):
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
