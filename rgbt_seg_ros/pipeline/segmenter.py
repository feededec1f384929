"""A colour image and a thermal image in, a label mask and a confidence mask out. Knows no ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import ModelSpec, read_model
from rgbt_seg_ros.pipeline import thermal as thermal_stage
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings, resize
from rgbt_seg_ros.pipeline.alignment.resample import resize_mask
from rgbt_seg_ros.pipeline.backends import BACKENDS, Backend, open_backend
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.masks import apply_threshold
from rgbt_seg_ros.pipeline.thermal import ThermalSettings

MODALITIES = ("rgbt", "rgb", "thermal")


class SegmenterError(UserError):
    """A setting of the segmenter, or an image it cannot take."""


@dataclass(frozen=True)
class SegmenterSettings:
    """Everything between two images and two masks.

    Attributes:
        input_size: What the network sees: ``model`` (the size it was trained at), ``image`` (the RGB image's own size), or
            ``HxW`` in pixels.
        threshold: Probability 0..1; a less confident pixel becomes 255 (unlabeled) with confidence 0.
        temperature: Softmax temperature; 0 takes the model's own.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: One of ``backends.PRECISIONS``.
        backend: One of ``backends.BACKENDS``.
        modality: What the network is given: ``rgbt`` (both), ``rgb`` or ``thermal`` alone. An image that is left out is
            replaced by its neutral grey (``Normalisation.neutral``), as in training with modality dropout.
        thermal: How raw thermal values become 8 bits.
        alignment: How the thermal image comes into the RGB image's pixels.
    """

    input_size: str = "model"
    threshold: float = 0.0
    temperature: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    modality: str = "rgbt"
    thermal: ThermalSettings = field(default_factory=ThermalSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        parse_input_size(self.input_size, (1, 1), (1, 1))
        if not 0.0 <= self.threshold <= 1.0:
            raise SegmenterError(f"output.threshold: {self.threshold:g} is not a probability between 0 and 1")
        if self.backend not in BACKENDS:
            raise SegmenterError(f"runtime.backend: '{self.backend}' is not one of {', '.join(BACKENDS)}")
        if self.modality not in MODALITIES:
            raise SegmenterError(f"model.modality: '{self.modality}' is not one of {', '.join(MODALITIES)}")
        if not 0.0 <= self.temperature < float("inf"):
            raise SegmenterError(f"model.temperature: {self.temperature:g} is not positive, nor 0 for the model's own")


@dataclass(frozen=True)
class Segmentation:
    """The masks of one pair.

    Attributes:
        label: (H, W) uint8 class id in the RGB image's pixels; 255 where unlabeled.
        confidence: (H, W) uint8, round(255·p) of the winning class; 0 where the label is 255.
        durations: Seconds per stage, in the order they ran.
    """

    label: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    durations: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """One pair as the network takes it, still in 8 bits.

    Attributes:
        rgb: (h, w, 3) uint8 RGB of the network's size.
        thermal: (h, w) uint8, normalised, in the pixels of ``rgb``.
        image_size: (H, W) of the RGB image, and of the masks to come.
        durations: Seconds of the stages ``thermal`` and ``alignment``.
        valid: (H, W) bool, false where no thermal pixel falls into the RGB image; None: all valid.
    """

    rgb: npt.NDArray[np.uint8]
    thermal: npt.NDArray[np.uint8]
    image_size: tuple[int, int]
    durations: dict[str, float]
    valid: npt.NDArray[np.bool_] | None = None


def parse_input_size(text: str, model: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) for ``model``, ``image`` or ``HxW``.

    Raises:
        SegmenterError: Anything else.
    """
    if text == "model":
        return model
    if text == "image":
        return image
    parts = text.split("x")
    if len(parts) == 2 and all(part.isdigit() and int(part) > 0 for part in parts):
        return int(parts[0]), int(parts[1])
    raise SegmenterError(f"model.input_size: '{text}' is not model, image or HxW in pixels, such as 480x640")


def prepare(
    spec: ModelSpec,
    settings: SegmenterSettings,
    aligner: Aligner,
    rgb: npt.NDArray[np.uint8],
    thermal: npt.NDArray[Any],
    depth: npt.NDArray[Any] | None = None,
) -> Prepared:
    """Bring one pair to what the network takes, still in 8 bits.

    Args:
        spec: The model's metadata.
        settings: Input size, modality and thermal scaling.
        aligner: What brings the thermal image into the RGB image's pixels.
        rgb: (H, W, 3) uint8 RGB.
        thermal: (h, w) uint8, uint16 or float32; in alignment mode ``none`` of the same field of view.
        depth: (H, W) uint16 in mm or float32 in m, registered to the RGB camera; for alignment mode ``depth`` only.

    Returns:
        Images of the network's size, views of the arguments where nothing had to change, and seconds of the stages ``thermal``
        and ``alignment``. Where no thermal pixel falls, the thermal image is the neutral grey.

    Raises:
        UserError: An image has another shape or dtype, or is not of the size that the calibration is for.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise SegmenterError(f"RGB image: expected (H, W, 3) of uint8, not {rgb.shape} of {rgb.dtype}")
    if thermal.size == 0:
        raise SegmenterError(f"thermal image: expected (H, W) with pixels, not {thermal.shape}")
    start = time.perf_counter()
    resolved = thermal_stage.resolve(settings.thermal, spec.thermal_preprocessing, thermal.dtype)
    stretched = thermal_stage.normalise(thermal, resolved)
    scaled = time.perf_counter()
    size = parse_input_size(settings.input_size, spec.input_size, (rgb.shape[0], rgb.shape[1]))
    image_size, neutral = (rgb.shape[0], rgb.shape[1]), spec.thermal.neutral[0]
    rgb_input = resize(rgb, size)
    aligned = aligner.align(stretched, size, depth, rgb_size=image_size, fill=neutral)
    thermal_input, valid = aligned.image, aligned.valid
    if valid is not None:
        valid = resize_mask(valid, image_size)
    if settings.modality == "rgb":
        # Every pixel is segmented without thermal here, so none is invalid for the lack of it.
        thermal_input, valid = np.full(size, neutral, np.uint8), None
    elif settings.modality == "thermal":
        rgb_input = np.full((*size, 3), spec.rgb.neutral, np.uint8)
    durations = {"thermal": scaled - start, "alignment": time.perf_counter() - scaled}
    return Prepared(rgb_input, thermal_input, image_size, durations, valid)


class Segmenter:
    """The whole path of one pair: thermal scaling, alignment, network, masks."""

    def __init__(
        self,
        spec: ModelSpec,
        backend: Backend,
        settings: SegmenterSettings | None = None,
        aligner: Aligner | None = None,
    ) -> None:
        """Put an engine behind the settings; ``open`` does it for a model file.

        Args:
            spec: The model's metadata.
            backend: The engine.
            settings: Everything between two images and two masks.
            aligner: Of the settings' alignment; None: made from them, which reads their calibration file.

        Raises:
            UserError: The calibration cannot be used for the alignment mode.
        """
        self.spec = spec
        self.settings = settings or SegmenterSettings()
        self._backend = backend
        self._aligner = aligner or Aligner.open(self.settings.alignment)

    @classmethod
    def open(
        cls,
        model: str | Path,
        settings: SegmenterSettings | None = None,
        calibration: Calibration | None = None,
    ) -> Segmenter:
        """Read a model file (or the model named ``demo``) and load it on its device.

        Args:
            model: The file.
            settings: Everything between two images and two masks.
            calibration: Of the cameras, such as from camera_info and TF; None: the file that the settings name.

        Raises:
            UserError: The file is no model of ours, the calibration cannot be used for the alignment mode, or the device or
                precision is not to be had.
        """
        settings = settings or SegmenterSettings()
        alignment = settings.alignment
        aligner = Aligner.open(alignment) if calibration is None else Aligner(calibration, alignment)
        spec, network = read_model(model)
        backend = open_backend(
            network,
            spec,
            backend=settings.backend,
            device=settings.device,
            precision=settings.precision,
            temperature=settings.temperature or None,
        )
        return cls(spec, backend, settings, aligner)

    @property
    def aligner(self) -> Aligner:
        """Return what brings thermal images into the RGB image's pixels."""
        return self._aligner

    def recalibrate(self, calibration: Calibration) -> None:
        """Take another calibration from the next pair on; what cannot be used changes nothing.

        Tables for the sizes in use are built here, so that no frame waits for them.

        Raises:
            UserError: The calibration cannot be used for the alignment mode.
        """
        aligner = Aligner(calibration, self._aligner.settings)
        aligner.build_as(self._aligner)
        self._aligner = aligner

    @property
    def name(self) -> str:
        """Return variant, engine, device and precision in words."""
        return f"{self.spec.variant} on {self._backend.name}"

    def warm_up(self, size: tuple[int, int] | None = None, runs: int = 1) -> None:
        """Run the network on noise, so that allocation and kernel selection do not fall on the first frame.

        Args:
            size: (H, W) of the RGB images to come; None: the calibration's, or the model's own in alignment mode ``none``.
            runs: How often.
        """
        calibration = self._aligner.calibration
        height, width = size or (calibration.rgb.size if calibration else self.spec.input_size)
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        thermal, depth = np.ascontiguousarray(noise[..., 0]), None
        if calibration is not None:
            thermal, depth = resize(thermal, calibration.thermal.size), np.ones((height, width), np.float32)
        for _ in range(runs):
            self(noise, thermal, depth)

    def __call__(
        self, rgb: npt.NDArray[np.uint8], thermal: npt.NDArray[Any], depth: npt.NDArray[Any] | None = None
    ) -> Segmentation:
        """Segment one pair.

        Args:
            rgb: (H, W, 3) uint8 RGB.
            thermal: (h, w) uint8, uint16 or float32; in alignment mode ``none`` of the same field of view.
            depth: (H, W) uint16 in mm or float32 in m, registered to the RGB camera; for alignment mode ``depth`` only.

        Returns:
            Masks of (H, W), 255 with confidence 0 where no thermal pixel falls, and the stages ``thermal``, ``alignment``,
            ``preprocess``, ``network``, ``masks``.

        Raises:
            UserError: An image has another shape or dtype, or is not of the size that the calibration is for.
        """
        return self.segment([self.prepare(rgb, thermal, depth)])[0]

    def prepare(
        self, rgb: npt.NDArray[np.uint8], thermal: npt.NDArray[Any], depth: npt.NDArray[Any] | None = None
    ) -> Prepared:
        """Do what comes before the network; for those who overlap it with the network. Arguments as of a call."""
        return prepare(self.spec, self.settings, self._aligner, rgb, thermal, depth)

    def segment(self, pairs: Sequence[Prepared]) -> list[Segmentation]:
        """Segment prepared pairs, all of one image size and one input size, in one run of the network.

        One at a time gives what a call gives, bit by bit; a batch may differ from that in the last bits of a probability.
        """
        inferences = self._backend.infer([(pair.rgb, pair.thermal) for pair in pairs], pairs[0].image_size)
        results = []
        for pair, inference in zip(pairs, inferences, strict=True):
            finishing = time.perf_counter()
            apply_threshold(inference.label, inference.confidence, self.settings.threshold, pair.valid)
            durations = {**pair.durations, **inference.durations}
            durations["masks"] += time.perf_counter() - finishing
            results.append(Segmentation(inference.label, inference.confidence, durations))
        return results
