"""A pair on its way through an active node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from std_msgs.msg import Header

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.pairing.nearest import Pair
from rgbt_seg_ros.pipeline.preparation import Prepared
from rgbt_seg_ros.serving.warming import Loaded


@dataclass(frozen=True)
class Job:
    """A pair, its depth image if it has one, and the moment (time.perf_counter, s) it was complete."""

    pair: Pair
    depth: Any
    completed: float


@dataclass(frozen=True)
class Frame:
    """A pair that is ready for the network; moments of time.perf_counter, s.

    ``rgb`` is None where the thermal image alone is segmented; ``thermal`` holds the camera's own values without cropped
    rows, ``depth`` the depth image of the pair; each is None where there is none. ``header`` is that of the masks.
    """

    job: Job
    loaded: Loaded
    segmenter: Segmenter
    rgb: npt.NDArray[np.uint8] | None
    thermal: AnyArray | None
    depth: AnyArray | None
    prepared: Prepared
    header: Header
    start: float
    converted: float
    ready: float

    @property
    def sizes(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Shape of what the network is given, and (H, W) of the masks."""
        return self.prepared.rgb.shape, self.prepared.image_size
