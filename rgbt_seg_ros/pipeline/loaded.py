"""A model that is ready to run: the segmenters of all camera pairs around one engine, and the sizes it has run for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from rgbt_seg_ros.pipeline.segmenter import Segmenter, Sizes

ImageSizes = Mapping[str, tuple[int, int]]
"""(H, W) of the RGB images by the name of the camera pair, where it is known."""


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Attributes:
        file: What it was read from.
        segmenters: By the name of the camera pair, all around the same engine.
        warm: Sizes, and numbers of pairs in one run, that the engine has run for. It may have let go of the oldest since.
    """

    file: str
    segmenters: Mapping[str, Segmenter]
    warm: set[tuple[Sizes, int]] = field(default_factory=set, compare=False)

    @property
    def first(self) -> Segmenter:
        """Any of the segmenters, for what is the same for all."""
        return next(iter(self.segmenters.values()))

    def cold(self, largest: int, image_sizes: ImageSizes) -> list[tuple[Sizes, int]]:
        """Return the sizes, and numbers of pairs in one run, that are to be expected and the engine has not run for.

        Args:
            largest: Pairs that may share a run; those of the same sizes do.
            image_sizes: Of the images as they were or are about to be.
        """
        pairs = Counter(entry.expected_sizes(image_sizes.get(name)) for name, entry in self.segmenters.items())
        alone = [(sizes, 1) for sizes in pairs]
        shared = [(sizes, min(count, largest)) for sizes, count in pairs.items() if min(count, largest) > 1]
        return [entry for entry in (*alone, *shared) if entry not in self.warm]

    def warm_up(
        self,
        runs: int,
        largest: int,
        image_sizes: ImageSizes,
        around: Callable[[Segmenter], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Build the tables of every pair, and run the engine on noise for what is ``cold``.

        Args:
            runs: How often for each; 0: not at all.
            largest: As of ``cold``.
            image_sizes: As of ``cold``.
            around: Returns what each run of the engine is made within.

        Raises:
            UserError: The engine cannot be built, or a calibration is of images that do not meet.
        """
        for name, entry in self.segmenters.items():
            entry.warm_up(0, sizes=entry.expected_sizes(image_sizes.get(name)))
        for sizes, batch in self.cold(largest, image_sizes):
            for _ in range(runs):
                with around(self.first):
                    self.first.warm_up(1, batch, sizes)
            self.warm.add((sizes, batch))
