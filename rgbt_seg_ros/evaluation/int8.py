"""Images that int8 is calibrated on: any data of the package, as the network takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.preparation import RawPair, prepare
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

DEFAULT = "synthetic:64@100"
"""Of another seed than the scenes that the package evaluates on."""

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def calibration_pairs(spec: ModelSpec, data: str = DEFAULT) -> Callable[[tuple[int, int]], Iterator[Pair]]:
    """Return what ``open_backend`` asks for as ``calibration``; the data is opened when images are first asked for.

    Args:
        spec: Of the model: how thermal values become 8 bits.
        data: A SPEC of docs/data.md.

    Returns:
        Gives, for an input size (h, w), pairs of (h, w, 3) uint8 RGB and (h, w) uint8 thermal. It raises ``DataError``
        where the data cannot be read.
    """

    def pairs(size: tuple[int, int]) -> Iterator[Pair]:
        dataset = open_dataset(data)
        stage = ThermalInput(ThermalSettings(), spec.thermal_preprocessing)
        aligner = Aligner(None, AlignmentSettings("none"))
        for index in range(len(dataset)):
            sample = dataset[index]
            pair = RawPair(sample.rgb, sample.thermal)
            prepared = prepare(pair, spec, stage, aligner, f"{size[0]}x{size[1]}", "rgbt")
            yield prepared.rgb, prepared.thermal

    return pairs
