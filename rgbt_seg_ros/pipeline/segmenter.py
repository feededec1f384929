"""A colour image and a thermal image in, a label mask and a confidence mask out. Knows no ROS."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network import Modality, ModelSpec, read_model
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import Build, Engine, EngineRequest, select_engine
from rgbt_seg_ros.pipeline.backends.base import LOG, check_names
from rgbt_seg_ros.pipeline.masks import apply_threshold
from rgbt_seg_ros.pipeline.preparation import (
    MODALITIES,
    Prepared,
    RawPair,
    parse_input_size,
    prepare,
)
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

Sizes = tuple[tuple[int, int], tuple[int, int]]
"""(H, W) of the network's input, and of the RGB image and the masks."""


@dataclass(frozen=True)
class SegmenterSettings:
    """Everything between two images and two masks.

    Attributes:
        input_size: What the network sees: ``model`` (the size it was trained at), ``image`` (the RGB image's own size), or
            ``HxW`` in pixels.
        threshold: Probability 0..1; a less confident pixel becomes 255 (unlabeled) with confidence 0.
        temperature: Softmax temperature of all modalities; 0 takes the model's own, which each modality has one of.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: One of ``backends.PRECISIONS``.
        backend: One of ``backends.BACKENDS``.
        modality: What the network is given where a frame does not say it: ``rgbt`` (both), ``rgb`` or ``thermal`` alone. An
            image that is left out is replaced by its neutral grey (``Normalisation.neutral``), as in training with modality
            dropout.
        thermal: How raw thermal values become 8 bits.
        alignment: How the thermal image comes into the RGB image's pixels.
    """

    input_size: str = "model"
    threshold: float = 0.0
    temperature: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    modality: Modality = "rgbt"
    thermal: ThermalSettings = field(default_factory=ThermalSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def __post_init__(self) -> None:
        """Refuse what no run could use; a ``SettingError`` names the field."""
        parse_input_size(self.input_size, (1, 1), (1, 1))
        if not 0.0 <= self.threshold <= 1.0:
            raise SettingError("threshold", f"{self.threshold:g} is not a probability", "0 to 1")
        check_names(self.backend, self.device, self.precision)
        if self.modality not in MODALITIES:
            raise SettingError("modality", f"'{self.modality}' is not one of {', '.join(MODALITIES)}")
        if not 0.0 <= self.temperature < float("inf"):
            raise SettingError("temperature", f"{self.temperature:g}", "a positive number, or 0 for the model's own")


@dataclass(frozen=True)
class Segmentation:
    """The masks of one pair.

    Attributes:
        label: (H, W) uint8 class id in the RGB image's pixels; 255 where unlabeled.
        confidence: (H, W) uint8, round(255·p) of the winning class; 0 where the label is 255.
        durations: Seconds per stage, in the order they ran.
    """

    label: ByteArray
    confidence: ByteArray
    durations: dict[str, float]


def open_engine(model: str | Path, settings: SegmenterSettings, log: logging.Logger = LOG) -> tuple[ModelSpec, Engine]:
    """Read a model file (or the model named ``demo``) and load it on its device, for one segmenter or several.

    Args:
        model: The file.
        settings: Of which engine, device, precision and temperature are taken.
        log: Takes what was chosen and what is being built as info, and what failed as a warning.

    Raises:
        UserError: The file is not a model of this package, or a setting cannot be used here.
    """
    spec, network = read_model(model)
    request = EngineRequest(
        network,
        spec,
        backend=settings.backend,
        device=settings.device,
        precision=settings.precision,
        temperature=settings.temperature or None,
        log=log,
    )
    return spec, select_engine(request)


class Segmenter:
    """The whole path of one pair: thermal scaling, alignment, network, masks. For one thread before the network at a time.

    >>> settings = SegmenterSettings(backend="torch", device="cpu", input_size="96x128")
    >>> segmenter = Segmenter.open("demo", settings)
    >>> masks = segmenter(np.zeros((120, 160, 3), np.uint8), np.zeros((60, 80), np.uint16))
    >>> masks.label.shape, masks.confidence.dtype
    ((120, 160), dtype('uint8'))
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: Engine,
        settings: SegmenterSettings | None = None,
        aligner: Aligner | None = None,
    ) -> None:
        """Put an engine behind the settings; ``open`` does it for a model file.

        Args:
            spec: The model's metadata.
            engine: What runs the model.
            settings: Everything between two images and two masks.
            aligner: In place of the settings' alignment; None: made from them, which reads their calibration file.

        Raises:
            UserError: The calibration cannot be used for the alignment mode.
        """
        self.spec = spec
        self.settings = settings or SegmenterSettings()
        self._engine = engine
        self._aligner = aligner or Aligner.open(self.settings.alignment)
        self._thermal = ThermalInput(self.settings.thermal, spec.thermal_preprocessing)

    @classmethod
    def open(
        cls,
        model: str | Path,
        settings: SegmenterSettings | None = None,
        aligner: Aligner | None = None,
    ) -> Segmenter:
        """Read a model file (or the model named ``demo``) and load it on its device.

        Args:
            model: The file.
            settings: Everything between two images and two masks.
            aligner: In place of the settings' alignment, such as of camera_info and TF; None: made from them.

        Raises:
            UserError: The file is not a model of this package, the calibration cannot be used for the alignment mode, or a
                setting cannot be used here.
        """
        settings = settings or SegmenterSettings()
        aligner = aligner or Aligner.open(settings.alignment)
        return cls(*open_engine(model, settings), settings, aligner)

    def with_engine(self, spec: ModelSpec, engine: Engine) -> Segmenter:
        """Return one with this one's settings and aligner around another model; nothing smoothed is carried over."""
        return Segmenter(spec, engine, self.settings, self._aligner)

    @property
    def aligner(self) -> Aligner:
        """Return what brings thermal images into the RGB image's pixels."""
        return self._aligner

    def realign(self, aligner: Aligner) -> None:
        """Take another calibration or mode from the next pair on.

        The table for the size in use is built here, so that no frame waits for them.
        """
        aligner.build_as(self._aligner)
        self._aligner = aligner

    def tune(self, settings: SegmenterSettings) -> None:
        """Take another threshold and other thermal settings from the next pair on; the rest of the settings stays."""
        if settings.thermal != self.settings.thermal:
            self._thermal.tune(settings.thermal)
        self.settings = replace(self.settings, threshold=settings.threshold, thermal=settings.thermal)

    def reset(self) -> None:
        """Forget what is smoothed over time, as before another recording."""
        self._thermal.reset()

    @property
    def name(self) -> str:
        """Return variant, engine, device and precision in words."""
        return f"{self.spec.variant} on {self._engine.name}"

    def close(self) -> None:
        """Give back what the engine holds, for all segmenters around it."""
        self._engine.close()

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a GPU, so that the processor is free meanwhile."""
        return self._engine.device != "cpu"

    @property
    def building(self) -> Build | None:
        """Return what the engine is being built for; None: nothing."""
        return self._engine.building

    @property
    def built_at(self) -> float:
        """Return when the engine was built last, time.monotonic, s; -inf: never."""
        return self._engine.built_at

    def expected_sizes(self, image_size: tuple[int, int] | None = None) -> Sizes:
        """Return (H, W) of the network's input and of the RGB image, as far as it can be known before the first one.

        Args:
            image_size: (H, W) of the RGB image as it was or is about to be; the calibration's goes before it, since no other is
                segmented. None: the model's input size stands in.
        """
        calibration = self._aligner.calibration
        size = calibration.rgb.size if calibration else image_size or self.spec.input_size
        return parse_input_size(self.settings.input_size, self.spec.input_size, size), size

    def warm_up(self, runs: int = 1, batch: int = 1, sizes: Sizes | None = None) -> None:
        """Run the network on noise, and build the tables, so that neither falls on the first frame.

        Args:
            runs: How often.
            batch: Pairs in each run.
            sizes: As of ``expected_sizes``, which is asked where it is None.
        """
        size, image_size = sizes or self.expected_sizes()
        self._aligner.build(size)
        if not runs:
            return
        noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        thermal = np.ascontiguousarray(noise[..., 0])
        for _ in range(runs):
            self._engine.infer([(noise, thermal)] * batch, image_size)

    def __call__(
        self,
        rgb: ByteArray,
        thermal: AnyArray,
        depth: AnyArray | None = None,
        thermal_stamp: int | None = None,
    ) -> Segmentation:
        """Segment one pair.

        Args:
            rgb: (H, W, 3) uint8 RGB.
            thermal: (h, w) uint8, uint16 or float32; in alignment mode ``none`` of the same field of view.
            depth: (H, W) uint16 in mm or float32 in m, registered to the RGB camera; for alignment mode ``depth`` only.
            thermal_stamp: Stamp of the thermal image, ns, for ``thermal.smoothing``; None: the image is of no sequence.

        Returns:
            Masks of (H, W), 255 with confidence 0 where no thermal pixel falls, and the stages ``thermal``, ``alignment``,
            ``preprocess``, ``network``, ``masks``.

        Raises:
            UserError: An image has another shape or dtype, or is not of the size that the calibration is for.
        """
        return self.segment([self.prepare(rgb, thermal, depth, thermal_stamp)])[0]

    def prepare(
        self,
        rgb: ByteArray | None,
        thermal: AnyArray | None,
        depth: AnyArray | None = None,
        thermal_stamp: int | None = None,
        frames: tuple[str, str] = ("", ""),
        *,
        modality: Modality | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> Prepared:
        """Do what comes before the network; for those who overlap it with the network. Arguments as of a call.

        Args:
            rgb: None: there is none, for the modality ``thermal`` alone.
            thermal: None: there is none, for the modality ``rgb`` alone.
            depth: As of a call.
            thermal_stamp: As of a call.
            frames: frame_id of both images, to be compared with the calibration's; empty: not compared.
            modality: What the network is given of this frame; None: what the settings say.
            image_size: (H, W) of the RGB image, and so of the masks, where ``rgb`` is None; the last one that is known.

        Raises:
            UserError: As of a call, or an image is missing that the modality needs.
        """
        pair = RawPair(rgb, thermal, depth, thermal_stamp, frames, image_size)
        settings = self.settings
        return prepare(
            pair, self.spec, self._thermal, self._aligner, settings.input_size, modality or settings.modality
        )

    def segment(self, pairs: Sequence[Prepared]) -> list[Segmentation]:
        """Segment prepared pairs, all of one image size and one input size, in one run of the network, whatever their modalities.

        One at a time gives what a call gives, bit by bit; a batch may differ from that in the last bits of a probability.
        """
        scales = [self._scale(pair.modality) for pair in pairs]
        inferences = self._engine.infer([(pair.rgb, pair.thermal) for pair in pairs], pairs[0].image_size, scales)
        results = []
        for pair, inference in zip(pairs, inferences, strict=True):
            finishing = time.perf_counter()
            apply_threshold(inference.label, inference.confidence, self.settings.threshold, pair.valid)
            durations = {**pair.durations, **inference.durations}
            durations["masks"] += time.perf_counter() - finishing
            results.append(Segmentation(inference.label, inference.confidence, durations))
        return results

    def _scale(self, modality: Modality) -> float:
        """Return what turns logits that are divided by the engine's temperature into those divided by the modality's."""
        if self.settings.temperature:
            return 1.0
        return self.spec.temperature / self.spec.temperature_of(modality)
