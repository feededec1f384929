"""Warm a model up: at first for sizes that are remembered, later for the size that a camera turns out to have."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.backends.memory import forget_workspace
from rgbt_seg_ros.pipeline.loaded import ImageSizes, Loaded
from rgbt_seg_ros.serving.engine_watch import EngineWatch


def open_warm(
    make: Callable[[], Loaded], warm: Callable[[Loaded, ImageSizes], None], image_sizes: ImageSizes
) -> tuple[Loaded, ImageSizes]:
    """Return a model that is warmed up for the sizes, or where that fails for what is known without them.

    Args:
        make: Opens the model; what it raises has nothing to do with sizes, and is not tried again.
        warm: Warms it up for sizes.
        image_sizes: Those that are remembered; they may have been another camera's, and are not insisted on.

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
            # An engine of its own for the second try: this one may have run out of memory, or have come to lesser engines.
            with suppress(Exception):
                loaded.first.close()
        # Out here the exception, and the tensors that its traceback holds, are gone.
        del loaded
        forget_workspace()
        loaded = make()
    warm(loaded, {})
    return loaded, {}


def warm_up_beside(
    loaded: Loaded, runs: int, largest: int, image_sizes: ImageSizes, watch: EngineWatch, report: Callable[[str], None]
) -> None:
    """Build the engine of a model that runs for sizes that were seen, and run it on noise.

    What fails here fails again for the first pair, which is where it is dealt with.

    Args:
        loaded: The model.
        runs: How often for each size.
        largest: Pairs that may share a run.
        image_sizes: As of ``Loaded.cold``.
        watch: Told of it, and of each run.
        report: Takes sentences on what is being built, and what came of it.
    """
    cold = loaded.cold(largest, image_sizes)
    if not cold:
        return
    (_, size), _ = cold[0]
    what = f"RGB images of {size[0]}x{size[1]}"
    report(f"engine: building for {what}; pairs that come meanwhile are dropped")
    start, problem = time.monotonic(), ""
    try:
        with watch.making(size):
            loaded.warm_up(runs, largest, image_sizes, watch.running)
    except Exception as error:
        problem = str(error).strip().partition("\n")[0] or type(error).__name__
    if problem:
        forget_workspace()
        report(f"engine: not ready for {what}: {problem}")
        return
    report(f"engine: ready for {what} after {time.monotonic() - start:.1f} s")
