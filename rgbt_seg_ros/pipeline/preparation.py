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
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MAX_SIDE
from rgbt_seg_ros.pipeline.alignment import Aligner, resize
from rgbt_seg_ros.pipeline.thermal.stage import ThermalFrame, ThermalInput

MODALITIES = ("rgbt", "rgb", "thermal")


class SegmenterError(UserError):
    """An image that the segmenter cannot take."""


@dataclass(frozen=True)
class RawPair:
    """One pair as the cameras deliver it.

    Attributes:
        rgb: (H, W, 3) uint8 RGB.
        thermal: (h, w) uint8, uint16 or float32; in alignment mode ``none`` of the same field of view.
        depth: (H, W) uint16 in mm or float32 in m, registered to the RGB camera; for alignment mode ``depth`` only.
        thermal_stamp: Stamp of the thermal image, ns, for what is smoothed over time; None: the image is of no sequence.
        frames: frame_id of the RGB and of the thermal image, to be compared with the calibration's; empty: not compared.
    """

    rgb: ByteArray
    thermal: AnyArray
    depth: AnyArray | None = None
    thermal_stamp: int | None = None
    frames: tuple[str, str] = ("", "")


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
        frame: What was found in the thermal image.
    """

    rgb: ByteArray
    thermal: ByteArray
    image_size: tuple[int, int]
    durations: dict[str, float]
    valid: npt.NDArray[np.bool_] | None
    frame: ThermalFrame

    @property
    def facts(self) -> ThermalFacts:
        """What was found in the thermal image, counted when asked for."""
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


def prepare(
    pair: RawPair, spec: ModelSpec, stage: ThermalInput, aligner: Aligner, input_size: str, modality: str
) -> Prepared:
    """Bring one pair to what the network takes, still in 8 bits.

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
        UserError: An image has another shape or dtype, or is not of the camera or size that the calibration is for.
    """
    rgb, thermal = pair.rgb, pair.thermal
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise SegmenterError(f"RGB image: expected (H, W, 3) of uint8, not {rgb.shape} of {rgb.dtype}")
    if thermal.size == 0:
        raise SegmenterError(f"thermal image: expected (H, W) with pixels, not {thermal.shape}")
    aligner.check_cameras(*pair.frames)
    start = time.perf_counter()
    frame = stage(thermal, pair.thermal_stamp)
    scaled = time.perf_counter()
    image_size, neutral = (rgb.shape[0], rgb.shape[1]), spec.thermal.neutral[0]
    size = parse_input_size(input_size, spec.input_size, image_size)
    rgb_input = resize(rgb, size)
    aligned = aligner.align(frame.image, size, pair.depth, rgb_size=image_size, fill=neutral)
    thermal_input, valid = aligned.image, aligned.valid_at(image_size)
    if modality == "rgb":
        # Every pixel is segmented without thermal here, so none is invalid for the lack of it.
        thermal_input, valid = np.full(size, neutral, np.uint8), None
    elif modality == "thermal":
        rgb_input = np.full((*size, 3), spec.rgb.neutral, np.uint8)
    durations = {"thermal": scaled - start, "alignment": time.perf_counter() - scaled}
    return Prepared(rgb_input, thermal_input, image_size, durations, valid, frame)
