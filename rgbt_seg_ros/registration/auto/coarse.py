"""The global search: every shift by correlation in the frequency domain, for each turn and scale of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.registration.auto.models import HomographyModel, Model, Size
from rgbt_seg_ros.registration.auto.warping import Prepared, rgb_channels, warped
from rgbt_seg_ros.registration.orientation import orientation_channels

_TURN_STEP = 1.2
_SCALE_STEP = 2.0
"""Degrees and percent between two tries: each moves the border of the image by half a coarse pixel or so beside the next."""


@dataclass(frozen=True)
class Limits:
    """How far the truth may lie from the start.

    Attributes:
        shift: px of the RGB image.
        rotation: Degrees.
        scale: Percent.
    """

    shift: float = 40.0
    rotation: float = 4.0
    scale: float = 6.0


def search(pairs: Sequence[Prepared], model: Model, size: Size, limits: Limits) -> FloatArray:
    """Search around a model.

    Args:
        pairs: One or several.
        model: The start.
        size: (height, width) of the images to search on.
        limits: How far.

    Returns:
        (3, 3), the best similarity: RGB pixels of the warped thermal image → RGB pixels.
    """
    height, width = size
    pixel = model.rgb_size[1] / width
    reach = int(np.ceil(limits.shift / pixel)) + 1
    padded = tuple(cv2.getOptimalDFTSize(side + reach + 2) for side in size)
    rows, columns = (np.arange(-reach, reach + 1) % side for side in padded)
    positions = model.positions(size)
    images = [warped(pair, positions) for pair in pairs]
    spectra = []
    for pair in pairs:
        channels = rgb_channels(pair, size)
        spectra.append((np.fft.rfft2(channels, padded), float(np.linalg.norm(channels)) + 1e-6))
    best, similarity = -np.inf, np.eye(3)
    # What is a coarse pixel's middle lies half a pixel off the middle of the pixels it was made of.
    full = np.array(((pixel, 0, (pixel - 1) / 2), (0, pixel, (pixel - 1) / 2), (0, 0, 1)))
    for turn in _steps(limits.rotation, _TURN_STEP):
        for scale in _steps(limits.scale, _SCALE_STEP):
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -turn, 1 + scale / 100)
            total = np.zeros((2 * reach + 1, 2 * reach + 1))
            for (image, inside), (spectrum, norm) in zip(images, spectra, strict=True):
                turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
                visible = cv2.warpAffine(inside, matrix, (width, height), flags=cv2.INTER_NEAREST)
                channels = orientation_channels(np.asarray(turned, np.float32), np.asarray(visible, np.uint8))
                product = (spectrum * np.conj(np.fft.rfft2(channels, padded))).sum(0)
                surface = np.fft.irfft2(product, padded)[np.ix_(rows, columns)]
                total += surface / (norm * (float(np.linalg.norm(channels)) + 1e-6))
            if total.max() > best:
                best = float(total.max())
                row, column = np.unravel_index(int(total.argmax()), total.shape)
                shift = np.array(((1, 0, column - reach), (0, 1, row - reach), (0, 0, 1)), np.float64)
                similarity = full @ shift @ np.vstack((matrix, (0, 0, 1))) @ np.linalg.inv(full)
    return similarity


def _steps(limit: float, step: float) -> FloatArray:
    """Return values from -limit to limit, 0 among them, no further apart than the step."""
    count = int(np.ceil(limit / step))
    return np.linspace(-limit, limit, 2 * count + 1) if count else np.zeros(1)


def moved_by(model: Model, similarity: FloatArray) -> Model:
    """Return the model nearest to a similarity of the RGB image after it."""
    if isinstance(model, HomographyModel):
        whole = similarity @ model.array
        return HomographyModel(tuple((whole / whole[2, 2]).ravel().tolist()), model.rgb_size, model.thermal_size)
    height, width = model.rgb_size
    y, x = np.mgrid[0.05:1:0.1, 0.05:1:0.1]
    points = np.stack((x.ravel() * width, y.ravel() * height), -1)
    wanted = points @ similarity[:2, :2].T + similarity[:2, 2] - points
    basis = model.basis(points)
    return model.moved(np.linalg.lstsq(basis.reshape(-1, basis.shape[2]), wanted.ravel(), rcond=None)[0])
