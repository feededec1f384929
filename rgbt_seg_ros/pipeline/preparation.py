"""What comes before the network: one pair of images as cameras deliver them to two 8-bit images of the network's size."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MAX_SIDE, MODALITIES, Modality
from rgbt_seg_ros.pipeline.alignment import Aligner, resize
from rgbt_seg_ros.pipeline.thermal.stage import ThermalFrame, ThermalInput

__all__ = ["MODALITIES", "Prepared", "RawPair", "SegmenterError", "ThermalFacts", "parse_input_size", "prepare"]


_NEEDED = {"rgbt": "it", "rgb": "it", "thermal": "its size at least"}


class SegmenterError(UserError):
    """An image that the segmenter cannot take."""


@dataclass(frozen=True)
class RawPair:
    """One pair as the cameras deliver it, or one image of it where the other is missing.

    Attributes:
        rgb: (H, W, 3) uint8 RGB; None: missing, for the modality ``thermal`` only.
        thermal: (h, w) uint8, uint16 or float32; in alignment mode ``none`` of the same field of view. None: missing, for the
            modality ``rgb`` only.
        depth: (H, W) uint16 in mm or float32 in m, registered to the RGB camera; for alignment mode ``depth`` only.
        thermal_stamp: Stamp of the thermal image, ns, for what is smoothed over time; None: the image is of no sequence.
        frames: frame_id of the RGB and of the thermal image, to be compared with the calibration's; empty: not compared.
        image_size: (H, W) of the RGB image, for a pair without one.
    """

    rgb: ByteArray | None
    thermal: AnyArray | None
    depth: AnyArray | None = None
    thermal_stamp: int | None = None
    frames: tuple[str, str] = ("", "")
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class ThermalFacts:
    """What was found in the thermal image of a pair.

    Attributes:
        unaligned_pixels: Pixels of the RGB image without a thermal pixel.
        temperature: K, the 1st and 99th percentile of the scene; None where the scale is unknown.
        non_finite: Pixels that were NaN or infinite.
        dead: Pixels that were found dead.
        saturated: Pixels at the upper end of what the format can hold.
    """

    unaligned_pixels: int = 0
    temperature: tuple[float, float] | None = None
    non_finite: int = 0
    dead: int = 0
    saturated: int = 0


@dataclass(frozen=True)
class Prepared:
    """One pair as the network takes it, still in 8 bits.

    Attributes:
        rgb: (h, w, 3) uint8 RGB of the network's size.
        thermal: (h, w) uint8, normalised, in the pixels of ``rgb``; the neutral grey where no thermal pixel falls.
        image_size: (H, W) of the RGB image, and of the masks to come.
        durations: Seconds of the stages ``thermal`` and ``alignment``.
        valid: (H, W) bool, false where no thermal pixel falls into the RGB image; None: all valid.
        frame: What was found in the thermal image; None: it is missing.
        modality: What the network is given.
    """

    rgb: ByteArray
    thermal: ByteArray
    image_size: tuple[int, int]
    durations: dict[str, float]
    valid: npt.NDArray[np.bool_] | None
    frame: ThermalFrame | None
    modality: Modality = "rgbt"

    @property
    def facts(self) -> ThermalFacts:
        """What was found in the thermal image, counted when asked for; nothing where it is missing."""
        if self.frame is None:
            return ThermalFacts()
        unaligned = 0 if self.valid is None else int(self.valid.size - np.count_nonzero(self.valid))
        frame = self.frame
        return ThermalFacts(unaligned, frame.temperature, frame.non_finite, frame.dead, frame.saturated)


def parse_input_size(text: str, model: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) for ``model``, ``image`` or ``HxW``.

    Raises:
        SettingError: Of ``input_size``: anything else, or a size that is too large.
    """
    if text == "model":
        return model
    if text == "image":
        return image
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if not match:
        raise SettingError("input_size", f"{shown(text)} is not model, image or HxW in pixels, such as 480x640")
    height, width = int(match[1]), int(match[2])
    if max(height, width) > MAX_SIDE:
        raise SettingError("input_size", f"'{text}' has a side of more than {MAX_SIDE} pixels")
    if height * width > MAX_INPUT_PIXELS:
        raise SettingError("input_size", f"'{text}' has more than {MAX_INPUT_PIXELS} pixels")
    return height, width


def _check(pair: RawPair, modality: Modality) -> tuple[int, int]:
    """Refuse images that cannot be used, and return (H, W) of the RGB image."""
    rgb, thermal = pair.rgb, pair.thermal
    if rgb is None and (modality != "thermal" or pair.image_size is None):
        raise SegmenterError(f"RGB image: missing, and modality {modality} needs {_NEEDED[modality]}")
    if thermal is None and modality != "rgb":
        raise SegmenterError(f"thermal image: missing, and modality {modality} needs it")
    if rgb is not None and (rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape):
        raise SegmenterError(f"RGB image: expected (H, W, 3) of uint8, not {rgb.shape} of {rgb.dtype}")
    if thermal is not None and thermal.size == 0:
        raise SegmenterError(f"thermal image: expected (H, W) with pixels, not {thermal.shape}")
    if rgb is not None:
        return rgb.shape[0], rgb.shape[1]
    assert pair.image_size is not None
    return pair.image_size


def prepare(
    pair: RawPair, spec: ModelSpec, stage: ThermalInput, aligner: Aligner, input_size: str, modality: Modality
) -> Prepared:
    """Bring one pair, or one image of it, to what the network takes, still in 8 bits.

    An image that the modality leaves out changes nothing in the masks: where it is missing they are the same, bit by bit. RGB
    alone needs no calibration; thermal alone lands in the pixels of an RGB image of ``image_size``.

    Args:
        pair: The images.
        spec: The model's metadata.
        stage: What makes 8 bits of the thermal image.
        aligner: What brings it into the RGB image's pixels.
        input_size: As of ``parse_input_size``.
        modality: One of ``MODALITIES``; the image that is left out is replaced by its neutral grey.

    Returns:
        Images of the network's size, views of the arguments where nothing had to change.

    Raises:
        UserError: An image that the modality needs is missing, has another shape or dtype, or is not of the camera or size that
            the calibration is for.
    """
    image_size, neutral = _check(pair, modality), spec.thermal.neutral[0]
    aligner.check_cameras(*pair.frames)
    size = parse_input_size(input_size, spec.input_size, image_size)
    start = scaled = time.perf_counter()
    frame = aligned = None
    if pair.thermal is not None:
        frame = stage(pair.thermal, pair.thermal_stamp)
        scaled = time.perf_counter()
        aligned = aligner.align(frame.image, size, pair.depth, rgb_size=image_size, fill=neutral)
    if aligned is None or modality == "rgb":
        # Every pixel is segmented without thermal here, so none is invalid for the lack of it.
        thermal_input, valid = np.full(size, neutral, np.uint8), None
    else:
        thermal_input, valid = aligned.image, aligned.valid_at(image_size)
    if pair.rgb is None or modality == "thermal":
        rgb_input = np.full((*size, 3), spec.rgb.neutral, np.uint8)
    else:
        rgb_input = resize(pair.rgb, size)
    durations = {"thermal": scaled - start, "alignment": time.perf_counter() - scaled}
    return Prepared(rgb_input, thermal_input, image_size, durations, valid, frame, modality)
