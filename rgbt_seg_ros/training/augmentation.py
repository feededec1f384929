"""One random training sample out of one pair: geometry, coarse dropout, photometry, modality dropout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.samples import IGNORED
from rgbt_seg_ros.training.augmentation_config import AugmentationConfig, ModalityDropout
from rgbt_seg_ros.training.geometry import draw_holes, draw_warp, identity, warp_image, warp_label
from rgbt_seg_ros.training.photometric import change_rgb, change_thermal


@dataclass(frozen=True)
class Triple:
    """What the network is trained on.

    Attributes:
        rgb: (h, w, 3) uint8 RGB.
        thermal: (h, w) uint8.
        label: (h, w) uint8 class ids, 255 where nothing is known.
    """

    rgb: ByteArray
    thermal: ByteArray
    label: ByteArray


@dataclass(frozen=True)
class Neutral:
    """Grey levels that normalise to about zero: what stands where an image shows nothing."""

    rgb: tuple[int, ...]
    thermal: tuple[int, ...]


def fit(triple: Triple, size: tuple[int, int]) -> Triple:
    """Resize both images and the label mask to (h, w), nothing else."""
    warp = identity(size)
    return Triple(
        warp_image(triple.rgb, warp, (0, 0, 0)),
        warp_image(triple.thermal, warp, (0,)),
        warp_label(triple.label, warp, IGNORED),
    )


def augment(
    triple: Triple, settings: AugmentationConfig, size: tuple[int, int], neutral: Neutral, rng: np.random.Generator
) -> Triple:
    """Return a random variation of a sample.

    Both images and the mask go through the same geometric map; each image through its own photometric changes. Where the map
    leaves the image, and in the holes of coarse dropout, both images are neutral and the mask is 255: there nothing can be
    seen, and a label would only teach to be confident about what is not there.

    Args:
        triple: (H, W) images and mask; the thermal image may have another size of the same field of view.
        settings: Probabilities and strengths.
        size: (h, w) of the result.
        neutral: Grey levels of what shows nothing.
        rng: Source of all randomness: the same state gives the same sample.
    """
    warp = draw_warp(settings.geometry, size, rng)
    rgb = warp_image(triple.rgb, warp, neutral.rgb)
    thermal = warp_image(triple.thermal, warp, neutral.thermal, drift=True)
    label = warp_label(triple.label, warp, IGNORED)
    rgb = change_rgb(rgb, settings.rgb, rng)
    thermal = change_thermal(thermal, settings.thermal, rng)
    for hole in draw_holes(settings.geometry, size, rng):
        rgb[hole], thermal[hole], label[hole] = neutral.rgb, neutral.thermal[0], IGNORED
    return drop_modality(Triple(rgb, thermal, label), settings.modality_dropout, neutral, rng)


def drop_modality(triple: Triple, settings: ModalityDropout, neutral: Neutral, rng: np.random.Generator) -> Triple:
    """Replace one image by its neutral grey, as often as the settings say; exactly what a model sees that is run without it."""
    draw = rng.random()
    if draw < settings.rgb_only:
        return Triple(triple.rgb, np.full_like(triple.thermal, neutral.thermal[0]), triple.label)
    if draw < settings.rgb_only + settings.thermal_only:
        return Triple(np.full_like(triple.rgb, neutral.rgb), triple.thermal, triple.label)
    return triple
