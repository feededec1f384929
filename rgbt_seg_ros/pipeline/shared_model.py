"""One copy of the weights for several camera pairs: swapped while it runs, and what to do when GPU memory runs out."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory
from rgbt_seg_ros.pipeline.parameters import RuntimeSettings
from rgbt_seg_ros.pipeline.preparation import Prepared
from rgbt_seg_ros.pipeline.segmenter import Segmentation, Segmenter, SegmenterSettings, open_engine


class OutOfMemoryError(UserError):
    """A pair that the GPU had no memory for."""


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Attributes:
        file: What it was read from.
        segmenters: By the name of the camera pair, all around the same engine.
    """

    file: str
    segmenters: Mapping[str, Segmenter]

    @property
    def first(self) -> Segmenter:
        """Any of the segmenters, for what is the same for all."""
        return next(iter(self.segmenters.values()))


class SharedModel:
    """The segmenters of all camera pairs around one engine.

    ``loaded`` is replaced as a whole: who takes it once for a frame has one model for the whole of it. ``segment`` is for one
    thread; the rest may be called from others beside it.
    """

    def __init__(
        self,
        file: str,
        settings: Mapping[str, SegmenterSettings],
        aligners: Mapping[str, Aligner],
        runtime: RuntimeSettings,
        warm_up: int,
        say: Callable[[str], None],
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Read the model, load it and warm it up.

        Args:
            file: Model file, or ``demo``.
            settings: Of each camera pair; they differ in ``thermal`` and ``alignment`` alone.
            aligners: Of each camera pair.
            runtime: How the engine is used.
            warm_up: Runs of the network before the first frame.
            say: Takes a sentence on memory that ran out, or an engine that failed; called once for each.
            report: Takes a sentence on which engine was chosen, and what is being built.

        Raises:
            UserError: As of ``Segmenter.open``, or the GPU has no memory for the model and the settings do not name the CPU.
        """
        self._lock = threading.Lock()
        self._runtime, self._warm_up, self._say, self._report = runtime, warm_up, say, report
        self._told: set[str] = set()
        self._engine_settings = next(iter(settings.values()))
        self.one_at_a_time = False
        self.on_cpu_for_memory = False
        self.busy_since: float | None = None
        """When (time.monotonic, s) the run began that the engine has not returned from; None between runs."""
        self.loaded = self._open(file, settings, aligners)

    def _open(self, file: str, settings: Mapping[str, SegmenterSettings], aligners: Mapping[str, Aligner]) -> Loaded:
        def on(chosen: SegmenterSettings) -> Loaded:
            engine = open_engine(file, chosen, self._report, self._say)
            return self._ready(file, {name: Segmenter(*engine, settings[name], aligners[name]) for name in settings})

        try:
            return on(self._engine_settings)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Out here the exception, and the tensors that its traceback holds, are gone.
        self._forget_workspace()
        if self._runtime.on_out_of_memory != "cpu":
            raise OutOfMemoryError(
                f"runtime.device: the GPU has no memory for '{file}'; expected less on it, or runtime.on_out_of_memory: cpu"
            )
        self._tell("the GPU has no memory for the model: it is loaded on the CPU")
        self.on_cpu_for_memory = True
        return on(self._for_cpu())

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
    def largest_batch(self) -> int:
        """How many pairs may share a run."""
        pairs = len(self.loaded.segmenters)
        return 1 if self.one_at_a_time else min(self._runtime.max_batch or pairs, pairs)

    def _ready(self, file: str, segmenters: dict[str, Segmenter]) -> Loaded:
        """Warm up: once for each size, and once more for a full batch."""
        warm: set[object] = set()
        for segmenter in segmenters.values():
            segmenter.warm_up(runs=0 if segmenter.expected_sizes in warm else self._warm_up)
            warm.add(segmenter.expected_sizes)
        loaded = Loaded(file, MappingProxyType(segmenters))
        batch = min(self._runtime.max_batch or len(segmenters), len(segmenters))
        if batch > 1 and len(warm) == 1:
            loaded.first.warm_up(self._warm_up, batch)
        return loaded

    def read(self, file: str) -> Loaded:
        """Read another model, load it beside the one that runs and warm it up; nothing changes for that one.

        Raises:
            UserError: It cannot be used, or memory does not hold both.
        """
        try:
            engine = open_engine(file, self._engine_settings, self._report, self._say)
            with self._lock:
                segmenters = {name: entry.with_engine(*engine) for name, entry in self.loaded.segmenters.items()}
            return self._ready(file, segmenters)
        except Exception as error:
            if not (isinstance(error, MemoryError) or is_out_of_memory(error)):
                raise
            raise OutOfMemoryError(
                f"model.file: there is no memory for '{file}' beside the model that runs; deactivate and cleanup the node first"
            ) from error

    def swap(self, other: Loaded) -> None:
        """Run this model from the next frame on, with the aligners of this moment."""
        with self._lock:
            for name, segmenter in other.segmenters.items():
                aligner = self.loaded.segmenters[name].aligner
                if segmenter.aligner is not aligner:
                    segmenter.realign(aligner)
            self.loaded = other
            self.one_at_a_time = self.on_cpu_for_memory = False

    def realign(self, pair: str, aligner: Aligner) -> None:
        """Take another calibration for a camera pair from its next frame on."""
        with self._lock:
            self.loaded.segmenters[pair].realign(aligner)

    def reset(self) -> None:
        """Forget what is smoothed over time."""
        for segmenter in self.loaded.segmenters.values():
            segmenter.reset()

    def segment(self, loaded: Loaded, pairs: Sequence[Prepared]) -> list[Segmentation | OutOfMemoryError]:
        """Segment pairs of one image size and one input size in one run; where memory runs out, one at a time.

        Args:
            loaded: The model that the pairs were prepared for.
            pairs: At most ``largest_batch``.

        Returns:
            For each pair its masks, or why there was no memory for it. With ``on_out_of_memory: cpu`` the model is on the CPU
            after such a pair.
        """
        first = self._run(loaded, pairs)
        if isinstance(first, list):
            return [*first]
        self._forget_workspace()
        if len(pairs) > 1:
            self.one_at_a_time = True
            self._tell("out of GPU memory with several camera pairs in one run: one at a time from now on")
        results: list[Segmentation | OutOfMemoryError] = []
        for pair in pairs:
            again = self._run(loaded, [pair])
            if isinstance(again, list):
                results += again
            else:
                self._forget_workspace()
                results.append(again)
        if any(isinstance(result, OutOfMemoryError) for result in results):
            self._after_failure(loaded)
        return results

    def _run(self, loaded: Loaded, pairs: Sequence[Prepared]) -> list[Segmentation] | OutOfMemoryError:
        self.busy_since = time.monotonic()
        try:
            return loaded.first.segment(pairs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Without the exception: its traceback holds the tensors that there was no room for.
            return OutOfMemoryError(f"out of GPU memory ({str(error).splitlines()[0]})")
        finally:
            self.busy_since = None

    @staticmethod
    def _forget_workspace() -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._say(sentence)

    def _after_failure(self, loaded: Loaded) -> None:
        if self._runtime.on_out_of_memory != "cpu" or self.on_cpu_for_memory:
            self._tell(
                "out of GPU memory for a single pair: pairs are dropped (runtime.on_out_of_memory: cpu goes on there)"
            )
            return
        self._tell("out of GPU memory for a single pair: the model is loaded on the CPU")
        try:
            engine = open_engine(loaded.file, self._for_cpu(), self._report, self._say)
        except UserError as error:
            self._tell(f"the model cannot be loaded on the CPU: {error}")
            return
        with self._lock:
            # A model that was swapped in meanwhile gets its own chance on the GPU.
            if self.loaded is loaded:
                segmenters = {name: entry.with_engine(*engine) for name, entry in loaded.segmenters.items()}
                self.loaded = Loaded(loaded.file, MappingProxyType(segmenters))
                self.on_cpu_for_memory = True
        self._forget_workspace()
