"""A model that is ready to run, and how it is warmed up: first for remembered sizes, later for what a camera sends."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field

from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.backends.memory import forget_workspace
from rgbt_seg_ros.pipeline.segmenter import Segmenter, Sizes
from rgbt_seg_ros.serving.engine_watch import EngineWatch

ImageSizes = Mapping[str, tuple[int, int]]
"""(H, W) of the RGB images by the name of the camera pair, where it is known."""

_LARGEST = 64
"""Sizes that a model remembers to have run for."""


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Attributes:
        file: What it was read from.
        segmenters: By the name of the camera pair, all around the same engine.
        warm: Sizes, and numbers of pairs in one run, that the engine has run for. It may have discarded the oldest since.
    """

    file: str
    segmenters: Mapping[str, Segmenter]
    warm: set[tuple[Sizes, int]] = field(default_factory=set, compare=False)

    def note_warm(self, entry: tuple[Sizes, int]) -> None:
        """Take note that the engine has run for sizes, and for so many pairs."""
        if len(self.warm) >= _LARGEST:
            # A camera whose size changes all the time; engines keep fewer sizes than that.
            self.warm.clear()
        self.warm.add(entry)

    @property
    def first(self) -> Segmenter:
        """Any of the segmenters, for what is the same for all."""
        return next(iter(self.segmenters.values()))

    def cold(self, largest: int, image_sizes: ImageSizes) -> list[tuple[Sizes, int]]:
        """Return the sizes, and numbers of pairs in one run, that are expected and that the engine has not run for.

        Args:
            largest: Pairs that may share a run; those of the same sizes do.
            image_sizes: (H, W) of the images as they were or will be.
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
            self.note_warm((sizes, batch))


def open_warm(
    make: Callable[[], Loaded], warm: Callable[[Loaded, ImageSizes], None], image_sizes: ImageSizes
) -> tuple[Loaded, ImageSizes]:
    """Return a model that is warmed up for the sizes or, where that fails, for what is known without them.

    Args:
        make: Opens the model; what it raises has nothing to do with sizes, and is not tried again.
        warm: Warms it up for sizes.
        image_sizes: Remembered sizes; they may be those of another camera, so they are given up where they fail.

    Returns:
        The model, and the sizes that it is warm for: those given, or none.

    Raises:
        Exception: Of ``make``, or of ``warm`` without sizes.
    """
    loaded = make()
    if image_sizes:
        try:
            warm(loaded, image_sizes)
            return loaded, image_sizes
        except AlignmentError:
            # A calibration's sizes go before those that are remembered: without these it would be the same.
            raise
        except Exception:
            # Another engine for the second try: this one may have run out of memory, or have fallen back to slower ones.
            with suppress(Exception):
                loaded.first.close()
        # Out here the exception, and the tensors that its traceback holds, are gone.
        del loaded
        forget_workspace()
        loaded = make()
    warm(loaded, {})
    return loaded, {}


def warm_up_beside(
    loaded: Loaded, runs: int, largest: int, image_sizes: ImageSizes, watch: EngineWatch, log: logging.Logger
) -> None:
    """Build the engine of a model that runs for sizes that were seen, and run it on noise.

    What fails here fails again for the first pair, and is handled there.

    Args:
        loaded: The model.
        runs: How often for each size.
        largest: Pairs that may share a run.
        image_sizes: As of ``Loaded.cold``.
        watch: Marks the build, and each run.
        log: Takes what is being built, and whether it succeeded.
    """
    cold = loaded.cold(largest, image_sizes)
    if not cold:
        return
    (_, size), _ = cold[0]
    what = f"RGB images of {size[0]}x{size[1]}"
    log.info(f"engine: building for {what}; pairs that come meanwhile are dropped")
    start, problem = time.monotonic(), ""
    try:
        with watch.making(size):
            loaded.warm_up(runs, largest, image_sizes, watch.running)
    except Exception as error:
        problem = str(error).strip().partition("\n")[0] or type(error).__name__
    if problem:
        forget_workspace()
        log.info(f"engine: not ready for {what}: {problem}")
        return
    log.info(f"engine: ready for {what} after {time.monotonic() - start:.1f} s")
