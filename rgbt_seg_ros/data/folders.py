"""RGB-thermal pairs in folders of image files."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import TiffImagePlugin

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.errors import in_words
from rgbt_seg_ros.files import read_bounded, replacing
from rgbt_seg_ros.pipeline.content import Note, ignore, judge_colours, judge_jpeg, pass_on
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS, ImageDataError, decode_image, open_image, stored_bits

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "PPM", "WEBP")
"""What image files may be, by their content, as Pillow names it. They are the user's own: more than a message may be."""

_LARGEST_FILE = 1 << 30


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


def read_image(path: Path) -> AnyArray:
    """Read an image as (H, W), or (H, W, channels), red first; as stored, whatever way up Exif says it is.

    Raises:
        ImageFileError: The file is missing, cut off, too large or not an image.
    """
    data = read_bounded(path, "image file", _LARGEST_FILE, ImageFileError)
    try:
        if data[:4] in (b"II*\0", b"MM\0*"):
            _check_tiff(data)
            return _through_opencv(data)
        header = open_image(data, formats=FORMATS)
        if header.format in ("JPEG", "MPO") or (
            header.format == "PNG" and (header.mode[0] in "1LIP" or stored_bits(data) <= 8)
        ):
            return decode_image(data, formats=FORMATS, alpha=True)
        return _through_opencv(data)
    except ImageDataError as error:
        raise ImageFileError(f"{path}: not a readable image file ({error})") from error


def _check_tiff(data: bytes) -> None:
    """Refuse a TIFF of too many pixels; Pillow does not open every kind, but reads the tags of all."""
    tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    try:
        file.seek(tags.next)
        tags.load(file)
        width, height = int(tags[256]), int(tags[257])
    except Exception as error:  # damaged tags can raise anything
        raise ImageDataError(f"a damaged TIFF: {in_words(error)}") from error
    if width * height > MAX_PIXELS:
        raise ImageDataError(f"{width * height} pixels; expected at most {MAX_PIXELS}")


def _through_opencv(data: bytes) -> AnyArray:
    """Decode what Pillow has no arrays for: every depth of TIFF and PNM, 16-bit colours."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageDataError("damaged or incomplete")
    if image.ndim == 2:
        return np.asarray(image)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def read_rgb(path: Path, note: Note = ignore) -> ByteArray:
    """Read a colour or grey image as (H, W, 3) uint8 RGB, as stored; what is odd about it is noted.

    Raises:
        ImageFileError: The file cannot be read, or has pixels of another kind.
    """
    image = read_image(path)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ImageFileError(f"{path}: pixels are {image.dtype}; expected 8 or 16 bits")
    _note_holes(path, image, note)
    rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image[..., :3]
    return np.ascontiguousarray(rgb, dtype=np.uint8)


def read_thermal(path: Path, note: Note = ignore) -> AnyArray:
    """Read a thermal image as (H, W), uint8, uint16 or float32; a picture in colour is turned to grey, and that is noted.

    Raises:
        ImageFileError: The file cannot be read, or has pixels of another kind.
    """
    image = read_image(path)
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageFileError(f"{path}: pixels are {image.dtype}; expected uint8, uint16 or float32")
    _note_holes(path, image, note)
    if image.ndim == 2:
        return image
    pass_on(judge_colours(str(path), image[..., :3]), note)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY))


def _note_holes(path: Path, image: AnyArray, note: Note) -> None:
    if path.suffix.lower() in (".jpg", ".jpeg"):
        pass_on(judge_jpeg(str(path), image), note)


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
