"""One frame of labelled points through the rules of Nav2's semantic_segmentation_layer, judged by the true ground plan.

The rules are those of SegmentationBuffer::bufferSegmentation (kiwicampus/semantic_segmentation_layer; humble, jazzy and rolling
are the same here): points nearer than min_obstacle_distance or farther than max_obstacle_distance from the sensor, and those
whose z is not finite, are left out; each tile of the costmap's resolution keeps one observation, the first of the highest
max_cost (use_cost_selection, the default); class ids without a cost are skipped. One sample is enough (samples_to_max_cost 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray, FloatArray, IntArray
from rgbt_seg_ros.benchmark.rig.rig_surfaces import Box, Surface

RESOLUTION = 0.05
"""m, side of a tile: Nav2's default resolution."""
NEAREST, FARTHEST = 0.3, 5.0
"""m; the layer's min_obstacle_distance and max_obstacle_distance by default."""
AREA = RESOLUTION**2


@dataclass(frozen=True)
class Tiles:
    """What the layer marks in one frame: (N, 2) whole numbers, x to the right and z ahead in tiles, and (N,) whether lethal."""

    places: IntArray
    lethal: FloatArray

    @property
    def middles(self) -> FloatArray:
        """(N, 2) middles, m."""
        return (self.places + 0.5) * RESOLUTION


def mark(points: FloatArray, label: ByteArray, free: set[int], known: set[int]) -> Tiles:
    """Return the tiles that points mark.

    Args:
        points: (N, 3) m in the camera's optical frame, of a camera that looks level.
        label: (N,) class ids.
        free: Class ids with max_cost 0; all others of ``known`` are lethal.
        known: Class ids that have a cost.
    """
    with np.errstate(invalid="ignore"):
        distance = np.linalg.norm(points, axis=1)
        used = np.isfinite(points[:, 2]) & (distance > NEAREST) & (distance < FARTHEST)
    points, label = points[used], label[used]
    tiles = np.floor(points[:, (0, 2)] / RESOLUTION).astype(np.int64)
    costs = np.where(np.isin(label, list(known - free)), 254, 0)
    # The first of the highest cost is what stays; ids without a cost count as 0 until they are skipped at the end.
    order = np.lexsort((np.arange(len(costs)), -costs))
    places, first = np.unique(tiles[order], axis=0, return_index=True)
    kept = order[first]
    has_cost = np.isin(label[kept], list(known))
    return Tiles(places[has_cost], costs[kept][has_cost] > 0)


def outside(surfaces: list[Surface], places: FloatArray) -> FloatArray:
    """Return how far (N, 2) places x, z lie outside the nearest box, m; negative inside."""
    nearest = np.full(len(places), np.inf)
    for box in surfaces:
        if isinstance(box, Box):
            flat = np.stack((places[:, 0] - box.place[0], np.zeros(len(places)), places[:, 1] - box.place[2]), 1)
            beyond = np.abs(box.local(flat)[:, (0, 2)]) - np.array(box.shape)[[0, 2]]
            apart = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)
            nearest = np.minimum(nearest, apart)
    return nearest


@dataclass(frozen=True)
class Verdict:
    """Areas in m² of one frame: marked free, of that inside a box; marked lethal, of that more than a tile away from one."""

    free: float
    falsely_free: float
    lethal: float
    falsely_lethal: float


def judge(tiles: Tiles, surfaces: list[Surface]) -> Verdict:
    """Compare tiles with the boxes."""
    apart = outside(surfaces, tiles.middles)
    lethal = np.asarray(tiles.lethal, np.bool_)
    # The middle of a tile that a box only touches lies up to half its diagonal outside.
    counts = (~lethal, ~lethal & (apart < 0), lethal, lethal & (apart > RESOLUTION * 0.5**0.5))
    return Verdict(*(AREA * int(np.count_nonzero(chosen)) for chosen in counts))
