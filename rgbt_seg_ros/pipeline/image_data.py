"""JPEG and PNG data to arrays: the one decoder for compressed messages, bags and files.

Pillow decodes, not OpenCV: it tells the size before it decodes, it takes only the formats it is told to, it writes nothing to
the console when data is broken, and it keeps the stored values. An orientation in Exif data is ignored everywhere: thermal images
and label masks are never turned, so the RGB image of the same rig must not be turned either.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Collection

import numpy as np
from PIL import Image, UnidentifiedImageError

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.errors import UserError

MAX_PIXELS = 36_000_000
"""Default of ``input.max_pixels``. The largest video format, 8K (4320x7680), has 33 million pixels; 36 million pixels of RGB are
108 MB, which a decoder and its copies hold a few times over."""

TRANSPORTED = ("JPEG", "PNG")
"""Formats that are decoded in messages: those of image_transport that are compressed and common."""

_MAX_SCANS = 100
"""Scans of a progressive JPEG. Encoders make about ten; each decodes the whole image, so that thousands would take minutes."""

_DEPTH_HEADER = struct.Struct("<iff")
"""Before the PNG of image_transport's compressedDepth: a number for the format, and the quantisation of 32-bit values."""

# The limit of pixels is checked here, before anything is decoded; Pillow's warning at its own limit would only repeat it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageDataError(UserError):
    """Data that cannot be decoded. The sentence says what is wrong and what was expected, not where the data came from."""


def decode_image(
    data: bytes | bytearray | memoryview,
    max_pixels: int = MAX_PIXELS,
    formats: Collection[str] = TRANSPORTED,
    alpha: bool = False,
) -> AnyArray:
    """Decode an image, once its size is known to be bearable.

    Args:
        data: The whole file.
        max_pixels: The most pixels it may have.
        formats: Which of Pillow's formats are taken.
        alpha: Whether the fourth channel of a colour image is kept.

    Returns:
        (H, W) uint8 or uint16 where the image is grey, else (H, W, 3 or 4) uint8 RGB; as stored, whatever its Exif data says.
        Colours of a palette are looked up, 16-bit colours are reduced to 8 bits.

    Raises:
        ImageDataError: Another format, too many pixels, damaged or incomplete data.
    """
    image = open_image(data, max_pixels, formats)
    try:
        pixels = np.asarray(_plain(image, alpha))
    except MemoryError:
        raise
    except Exception as error:  # damaged data can raise anything in Pillow's readers, and none of it is our bug
        raise _damaged(data, error) from error
    # Pillow before 11 opens 16-bit grey as 32-bit whole numbers.
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels


def open_image(
    data: bytes | bytearray | memoryview, max_pixels: int = MAX_PIXELS, formats: Collection[str] = TRANSPORTED
) -> Image.Image:
    """Read the header of an image and refuse what should not be decoded. Arguments and errors are those of ``decode_image``."""
    try:
        image = Image.open(io.BytesIO(data), formats=[*formats])
    except UnidentifiedImageError:
        kind = _kind(data)
        damaged = " that is damaged or incomplete" if any(name in kind for name in formats) else ""
        raise ImageDataError(f"{len(data)} bytes: {kind}{damaged}; expected {' or '.join(formats)}") from None
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(f"{found[0] if found else 'too many'} pixels", max_pixels) from error
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(data, error) from error
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(f"{height}x{width} (HxW) is {width * height} pixels", max_pixels)
    if image.format in ("JPEG", "MPO") and bytes(data).count(b"\xff\xda") > _MAX_SCANS:
        raise ImageDataError(f"a JPEG of more than {_MAX_SCANS} scans; expected one as cameras write it")
    return image


def check_image(
    data: bytes | bytearray | memoryview, max_pixels: int = MAX_PIXELS, formats: Collection[str] = TRANSPORTED
) -> None:
    """Refuse what ``decode_image`` would, as far as header and end tell; damage between them only decoding finds.

    Raises:
        ImageDataError: As ``decode_image``.
    """
    kind = open_image(data, max_pixels, formats).format
    whole = bytes(data)
    # The end of a thumbnail in a JPEG's header lies before the last scan.
    if (kind == "PNG" and b"IEND" not in whole) or (
        kind in ("JPEG", "MPO") and whole.rfind(b"\xff\xd9") < whole.rfind(b"\xff\xda")
    ):
        raise ImageDataError(f"{len(whole)} bytes: a {kind} that is incomplete: its end is missing")


def depth_png(format_text: str, data: memoryview) -> memoryview:
    """Return the PNG in the data of a compressedDepth message.

    Raises:
        ImageDataError: Its format is RVL.
    """
    if "rvl" in format_text:
        raise ImageDataError(
            "RVL is not supported: only compressedDepth as PNG is decoded; publish that, or the raw topic"
        )
    return data[_DEPTH_HEADER.size :]


def depth_values(data: memoryview, stored: AnyArray) -> AnyArray:
    """Return the values of a 32FC1 image in a compressedDepth message, which stores them quantised by their inverse.

    Args:
        data: Of the message, header included.
        stored: (H, W) uint16, the decoded PNG; 0: no value, or one above the publisher's ``depth_max``.

    Returns:
        (H, W) float32, NaN where there is no value.

    Raises:
        ImageDataError: The PNG is not of 16 bits, or the quantisation is not of this world.
    """
    _, scale, shift = _DEPTH_HEADER.unpack_from(data)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise ImageDataError("the PNG is not of 16-bit grey values, as compressedDepth of 32FC1 has it")
    if not (np.isfinite(scale) and np.isfinite(shift) and scale > 0):
        raise ImageDataError(f"a quantisation of {scale:g} and {shift:g}; expected finite numbers, the first above 0")
    values = np.full(stored.shape, np.nan, np.float32)
    np.divide(
        np.float32(scale), stored - np.float32(shift), out=values, where=(stored > 0) & (stored != np.float32(shift))
    )
    return values


def stored_bits(data: bytes) -> int:
    """Return the bits per sample of a PNG, or per index: 1, 2, 4, 8 or 16; 8 for everything else."""
    return data[24] if len(data) > 24 and data.startswith(b"\x89PNG") else 8


def _plain(image: Image.Image, alpha: bool) -> Image.Image:
    if image.mode in ("L", "F") or (alpha and image.mode == "RGBA") or image.mode.startswith("I"):
        return image
    grey = image.mode == "1" or (image.mode == "LA" and "transparency" not in image.info)
    return image.convert("L" if grey else "RGB") if image.mode != "RGB" else image


def _too_large(what: str, limit: int) -> ImageDataError:
    return ImageDataError(f"{what}; expected at most {limit} (input.max_pixels)")


def _damaged(data: bytes | bytearray | memoryview, error: Exception) -> ImageDataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageDataError(f"{len(data)} bytes: {_kind(data)} that is damaged or incomplete ({reason[:100]})")


_MAGIC = (
    (b"\xff\xd8", "a JPEG"),
    (b"\x89PNG", "a PNG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"RIFF", "a WebP or another RIFF file"),
    (b"v/1\x01", "an OpenEXR"),
    (b"#?RADIANCE", "a Radiance HDR"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000"),
    (b"\xffO\xffQ", "a JPEG 2000"),
    (b"P5", "a PGM"),
    (b"P6", "a PPM"),
)


def _kind(data: bytes | bytearray | memoryview) -> str:
    start = bytes(data[:16])
    return next((words for magic, words in _MAGIC if start.startswith(magic)), "not a decodable image")
