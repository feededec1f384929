"""Images that int8 is calibrated on: any data of the package, as the network takes it."""

from __future__ import annotations

from collections.abc import Iterator

from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends.base import Calibration, Images
from rgbt_seg_ros.pipeline.preparation import RawPair, prepare
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

DEFAULT = "synthetic:64@100"
"""Generated with another seed than the scenes that the package evaluates on."""


def calibration_pairs(spec: ModelSpec, data: str = DEFAULT) -> Calibration:
    """Return images to calibrate int8 with, for ``EngineRequest.calibration``; the data is opened with the first image.

    Args:
        spec: The model's metadata, which says how thermal values become 8 bits.
        data: A SPEC of docs/data.md.

    Returns:
        Gives, for an input size (h, w), pairs of (h, w, 3) uint8 RGB and (h, w) uint8 thermal. It raises ``DataError``
        where the data cannot be read.
    """

    def pairs(size: tuple[int, int]) -> Iterator[Images]:
        dataset = open_dataset(data)
        stage = ThermalInput(ThermalSettings(), spec.thermal_preprocessing)
        aligner = Aligner(None, AlignmentSettings("none"))
        for index in range(len(dataset)):
            sample = dataset[index]
            pair = RawPair(sample.rgb, sample.thermal)
            prepared = prepare(pair, spec, stage, aligner, f"{size[0]}x{size[1]}", "rgbt")
            yield prepared.rgb, prepared.thermal

    return pairs
