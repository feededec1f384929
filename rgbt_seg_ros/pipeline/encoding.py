"""Pictures and label masks to PNG and JPEG data, for messages that travel; ``pipeline.image_data`` goes the other way."""

from __future__ import annotations

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray

JPEG_QUALITY = 85
"""Of the overlay: at 480x640 some 50 KB, in which the edges of classes stay sharp to the eye."""

# Classes come in areas: run lengths of the difference to the row above. Half the time of the defaults, and no more bytes.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    # Not in OpenCV before 4.11, which chooses by itself.
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


def label_png(label: ByteArray) -> ByteArray:
    """Return a (H, W) uint8 label or confidence mask as (N,) uint8, the data of an 8-bit grey PNG; lossless."""
    return _encoded(".png", label, _PNG)


def picture_jpeg(picture: ByteArray) -> ByteArray:
    """Return a (H, W, 3) uint8 RGB picture as (N,) uint8, the data of a JPEG."""
    # The encoder takes BGR.
    return _encoded(
        ".jpg", np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )


def _encoded(kind: str, pixels: ByteArray, options: list[int]) -> ByteArray:
    done, data = cv2.imencode(kind, pixels, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode {pixels.shape} of {pixels.dtype} as {kind}")
    return np.asarray(data, dtype=np.uint8).reshape(-1)
