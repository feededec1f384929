"""One copy of the weights for several camera pairs, swapped while it runs; and what happens when GPU memory runs out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import MappingProxyType

from rgbt_seg_ros.errors import SettingError, in_words
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.parameters.table import RuntimeSettings
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.backends import Build
from rgbt_seg_ros.pipeline.backends.memory import OutOfMemoryError, forget_workspace, is_out_of_memory
from rgbt_seg_ros.pipeline.preparation import Prepared
from rgbt_seg_ros.pipeline.segmenter import Segmentation, Segmenter, SegmenterSettings, open_engine
from rgbt_seg_ros.serving.engine_watch import EngineWatch
from rgbt_seg_ros.serving.throttle import Throttle
from rgbt_seg_ros.serving.warming import ImageSizes, Loaded, open_warm, warm_up_beside

_NEW_SIZE, _NEW_SIZES = 30.0, 6
"""Seconds, and how often: the engine is warmed up for so many new sizes at once, and then for one in so many seconds."""


class SharedModel:
    """The segmenters of all camera pairs around one engine.

    ``loaded`` is replaced as a whole: a frame that takes it once has one model from begin to end. ``segment`` and
    ``warm_up`` are for one thread; the rest may be called from others beside it.
    """

    def __init__(
        self,
        file: str,
        settings: Mapping[str, SegmenterSettings],
        aligners: Mapping[str, Aligner],
        runtime: RuntimeSettings,
        warm_up: int,
        log: logging.Logger,
        image_sizes: ImageSizes | None = None,
    ) -> None:
        """Read the model, load it and warm it up.

        Args:
            file: Model file, or ``demo``.
            settings: By camera pair; they differ only in ``thermal`` and ``alignment``.
            aligners: By camera pair.
            runtime: How the engine is used.
            warm_up: Runs of the network before the first frame.
            log: Takes errors (memory that ran out, an engine that failed; each sentence once), and what is chosen and built.
            image_sizes: (H, W) of the RGB images when they were last seen, by camera pair: warmed up for in place of the model's
                input size, unless that fails.

        Raises:
            UserError: As of ``Segmenter.open``, or the GPU has no memory for the model and the settings do not name the CPU.
        """
        self._lock = threading.Lock()
        self._runtime, self._warm_up, self._log = runtime, warm_up, log
        self._told: set[str] = set()
        self._engine_settings = next(iter(settings.values()))
        self.one_at_a_time = False
        self.on_cpu_for_memory = self._refused_by_cpu = False
        self._image_sizes = dict(image_sizes or {})
        self._watch = EngineWatch(runtime.watchdog)
        self._new_sizes = Throttle(_NEW_SIZE, _NEW_SIZES)
        self._retired: list[Loaded] = []
        self._held: Loaded | None = None
        self.loaded = self._open(file, settings, aligners)

    def _open(self, file: str, settings: Mapping[str, SegmenterSettings], aligners: Mapping[str, Aligner]) -> Loaded:
        def on(chosen: SegmenterSettings) -> Loaded:
            def make() -> Loaded:
                engine = open_engine(file, chosen, self._log)
                segmenters = {name: Segmenter(*engine, settings[name], aligners[name]) for name in settings}
                return Loaded(file, MappingProxyType(segmenters))

            loaded, sizes = open_warm(make, self._warm, self._image_sizes)
            self._image_sizes = dict(sizes)
            return loaded

        try:
            return on(self._engine_settings)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Out here the exception, and the tensors that its traceback holds, are gone.
        forget_workspace()
        if self._runtime.on_out_of_memory != "cpu":
            raise SettingError(
                "device",
                f"the GPU has no memory for '{file}'",
                "more free memory, or the parameter on_out_of_memory: cpu",
            )
        self._tell("the GPU has no memory for the model: it is loaded on the CPU")
        loaded = on(self._for_cpu())
        self.on_cpu_for_memory = True
        return loaded

    def _for_cpu(self) -> SegmenterSettings:
        return replace(self._engine_settings, device="cpu", precision="auto", backend="auto")

    @property
    def spec(self) -> ModelSpec:
        """Metadata of the model that runs."""
        return self.loaded.first.spec

    @property
    def name(self) -> str:
        """Variant, engine, device and precision in words."""
        return self.loaded.first.name

    @property
    def prepares_ahead(self) -> bool:
        """Whether pairs are made ready while the network runs on others: on a CPU that would take its cores from it."""
        overlap = self._runtime.overlap
        return overlap == "always" or (overlap == "auto" and self.loaded.first.on_gpu)

    @property
    def largest_batch(self) -> int:
        """How many pairs may share a run."""
        return 1 if self.one_at_a_time else self._full(self.loaded)

    @property
    def building(self) -> Build | None:
        """What the engine is being built for, or warmed up, in the thread of ``segment``; None: for nothing."""
        return self._watch.building

    @property
    def busy_since(self) -> float | None:
        """When (time.monotonic, s) the run began, or the build in it ended, that has not returned; None between runs."""
        return self._watch.busy_since

    @property
    def ended_at(self) -> float:
        """When (time.monotonic, s) the last run or build in the thread of ``segment`` ended; -inf: none has ended yet."""
        return self._watch.ended_at

    def see(self, pair: str, image_size: tuple[int, int]) -> bool:
        """Take note of the (H, W) of a pair's RGB images; return whether the engine has to ``warm_up`` for it."""
        self._image_sizes[pair] = image_size
        if not self._warm_up or not self.loaded.cold(self.largest_batch, self._image_sizes):
            return False
        if self._new_sizes.passes(pair) is None:
            of = f" of {pair}" if pair else ""
            self._tell(
                f"RGB images{of} change their size all the time: the engine is not warmed up for each", logging.WARNING
            )
            return False
        return True

    def warm_up(self) -> None:
        """Build the engine for the sizes that were seen, and run it on noise; ``building`` says so meanwhile.

        What fails here fails again for the first pair, and is handled there.
        """
        sizes = dict(self._image_sizes)
        warm_up_beside(self.loaded, self._warm_up, self.largest_batch, sizes, self._watch, self._log)

    def _warm(self, loaded: Loaded, image_sizes: ImageSizes) -> None:
        """Warm up: for each size with one pair, and with all pairs that share the size."""
        loaded.warm_up(self._warm_up, self._full(loaded), image_sizes)

    def _full(self, loaded: Loaded) -> int:
        # A CPU takes nearly as long for a shared run as for its parts, and every pair would wait for all of it.
        pairs = len(loaded.segmenters)
        return min(self._runtime.max_batch or (pairs if loaded.first.on_gpu else 1), pairs)

    def read(self, file: str) -> Loaded:
        """Read another model, load it beside the one that runs and warm it up; nothing changes for that one.

        Raises:
            UserError: It cannot be used, or memory does not hold both.
        """
        try:
            engine = open_engine(file, self._engine_settings, self._log)
            with self._lock:
                segmenters = {name: entry.with_engine(*engine) for name, entry in self.loaded.segmenters.items()}
            other = Loaded(file, MappingProxyType(segmenters))
            self._warm(other, dict(self._image_sizes))
            return other
        except Exception as error:
            if not (isinstance(error, MemoryError) or is_out_of_memory(error)):
                raise
            raise OutOfMemoryError(
                f"there is no memory for '{file}' beside the model that runs; deactivate and cleanup the node first"
            ) from error

    def swap(self, other: Loaded) -> None:
        """Run this model from the next frame on, with the aligners and settings of this moment."""
        with self._lock:
            for name, segmenter in other.segmenters.items():
                aligner = self.aligner(name)
                if segmenter.aligner is not aligner:
                    segmenter.realign(aligner)
                segmenter.tune(self.loaded.segmenters[name].settings)
            self._retired.append(self.loaded)
            self.loaded = other
            self.one_at_a_time = self.on_cpu_for_memory = False
        self._give_back()

    @contextmanager
    def in_hand(self) -> Iterator[Loaded]:
        """Give the model for one turn of the thread that segments: it is not given back before, whatever takes its place."""
        with self._lock:
            loaded = self._held = self.loaded
        try:
            yield loaded
        finally:
            with self._lock:
                self._held = None
            self._give_back()

    def close(self) -> None:
        """Release what the engine holds; nothing can be segmented afterwards."""
        self._retired.append(self.loaded)
        self._give_back()

    def _give_back(self) -> None:
        """Close the engines that were replaced, but for the one in hand."""
        with self._lock:
            gone = [entry for entry in self._retired if entry is not self._held]
            self._retired = [entry for entry in self._retired if entry is self._held]
        for entry in gone:
            # It may be too broken to close; that must not stop the one that runs.
            with suppress(Exception):
                entry.first.close()

    def aligner(self, pair: str) -> Aligner:
        """Return what aligns the thermal images of a camera pair now."""
        return self.loaded.segmenters[pair].aligner

    def realign(self, pair: str, aligner: Aligner) -> None:
        """Take another calibration for a camera pair from its next frame on."""
        with self._lock:
            self.loaded.segmenters[pair].realign(aligner)

    def tune(self, pair: str, settings: SegmenterSettings) -> None:
        """Take another threshold and other thermal settings for a camera pair from its next frame on."""
        with self._lock:
            self.loaded.segmenters[pair].tune(settings)

    def reset(self) -> None:
        """Forget what is smoothed over time."""
        for segmenter in self.loaded.segmenters.values():
            segmenter.reset()

    def segment(self, loaded: Loaded, pairs: Sequence[Prepared]) -> list[Segmentation | OutOfMemoryError]:
        """Segment pairs of one image size and one input size in one run; where memory runs out, one at a time.

        Args:
            loaded: The model ``in_hand``, that the pairs were prepared for.
            pairs: At most ``largest_batch``.

        Returns:
            For each pair its masks, or why there was no memory for it. With ``on_out_of_memory: cpu`` the model is on the CPU
            after such a pair.
        """
        first = self._run(loaded, pairs)
        if isinstance(first, list):
            return [*first]
        forget_workspace()
        if len(pairs) > 1:
            self.one_at_a_time = True
            self._tell("out of GPU memory with several camera pairs in one run: one at a time from now on")
        results: list[Segmentation | OutOfMemoryError] = []
        for pair in pairs:
            again = self._run(loaded, [pair])
            if isinstance(again, list):
                results += again
            else:
                forget_workspace()
                results.append(again)
        if any(isinstance(result, OutOfMemoryError) for result in results):
            self._after_failure(loaded)
        return results

    def _run(self, loaded: Loaded, pairs: Sequence[Prepared]) -> list[Segmentation] | OutOfMemoryError:
        try:
            with self._watch.running(loaded.first):
                results = loaded.first.segment(pairs)
            height, width = pairs[0].rgb.shape[:2]
            loaded.note_warm((((height, width), pairs[0].image_size), len(pairs)))
            return results
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Without the exception: its traceback holds the tensors that there was no room for.
            return OutOfMemoryError(f"out of GPU memory ({str(error).splitlines()[0]})")

    def _tell(self, sentence: str, level: int = logging.ERROR) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._log.log(level, sentence)

    def _after_failure(self, loaded: Loaded) -> None:
        if self._runtime.on_out_of_memory != "cpu" or self.on_cpu_for_memory or self._refused_by_cpu:
            self._tell(
                "out of GPU memory for a single pair: pairs are dropped (runtime.on_out_of_memory: cpu avoids that)"
            )
            return
        self._tell("out of GPU memory for a single pair: the model is loaded on the CPU")
        try:
            name, first = next(iter(loaded.segmenters.items()))
            with self._watch.making(first.expected_sizes(self._image_sizes.get(name))[1]):
                engine = open_engine(loaded.file, self._for_cpu(), self._log)
        except Exception as error:
            # Once is enough: it would be tried again with every pair.
            self._refused_by_cpu = True
            self._tell(f"the model cannot be loaded on the CPU: {in_words(error)}")
            return
        with self._lock:
            # A model that was swapped in meanwhile gets its own chance on the GPU.
            if self.loaded is loaded:
                segmenters = {name: entry.with_engine(*engine) for name, entry in loaded.segmenters.items()}
                self._retired.append(loaded)
                self.loaded = Loaded(loaded.file, MappingProxyType(segmenters))
                self.on_cpu_for_memory = True
        forget_workspace()
