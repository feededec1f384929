"""The models that segment a bag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from rgbt_seg_ros.cores import thread_count
from rgbt_seg_ros.data.bags.reader import BagError
from rgbt_seg_ros.network.model_file import read_spec
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings


@lru_cache(maxsize=2)
def open_segmenter(model: str, settings: SegmenterSettings, threads: int, warm_up: int) -> Segmenter:
    """Return a segmenter, kept for the next bag of this process; raises UserError as ``Segmenter.open``."""
    torch.set_num_threads(threads)
    segmenter = Segmenter.open(model, settings)
    segmenter.warm_up(runs=warm_up)
    return segmenter


@dataclass(frozen=True)
class Models:
    """What segments.

    Attributes:
        segmenter: The model whose masks are counted.
        other: The model it is compared with; None: none.
    """

    segmenter: Segmenter
    other: Segmenter | None = None

    @classmethod
    def open(cls, model: str, compare: str, settings: NodeSettings) -> Models:
        """Open the models.

        Args:
            model: The model file.
            compare: File of the other model; empty: none.
            settings: The node's.

        Raises:
            UserError: A model cannot be used, or the alignment needs depth images.
        """
        for path in filter(None, (model, compare)):
            read_spec(path)  # both, before minutes are spent on building an engine for one
        # As many threads as in a node: the last bits of some engines' sums depend on them.
        threads = thread_count(settings.threads, settings.runtime.worker_cores, torch.get_num_threads())

        def opened(path: str) -> Segmenter:
            return open_segmenter(path, settings.segmenter, threads, settings.warm_up)

        segmenter, other = opened(model), opened(compare) if compare else None
        if segmenter.aligner.mode == "depth":
            raise BagError(
                "alignment.mode: 'depth' takes a depth image with each pair, and bag evaluate reads none; replay the bag "
                "through the node and record its masks (docs/bags.md)"
            )
        return cls(segmenter, other)
