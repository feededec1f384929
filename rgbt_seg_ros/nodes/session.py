"""One activation of the node: its camera pairs, the one worker that segments for all of them, and what prepares for it.

The way of a message, read from top to bottom: ``ImageStream`` receives it, ``CameraPair`` pairs it, ``Session.put`` hands the
pair to a thread, ``Session._work`` runs ``PairStages.prepare``, the network and ``PairStages.publish``. docs/architecture.md
says which thread does what, and under which lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import groupby

from rclpy.lifecycle import LifecycleNode

from rgbt_seg_ros.cores import bind_thread
from rgbt_seg_ros.errors import in_words
from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.nodes.frame import Frame, Job
from rgbt_seg_ros.nodes.pair_stages import Beside, PairStages
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.report import FrameFacts
from rgbt_seg_ros.serving.warming import Loaded
from rgbt_seg_ros.serving.worker import FairWorker

_Published = tuple[PairStages, Frame, Segmentation, Segmentation, FrameFacts]
"""A frame with its masks, and with those as they were published."""


class Session:
    """Camera pairs and workers between activate and deactivate; a ``PairSink`` for its camera pairs."""

    def __init__(self, node: LifecycleNode, configured: Configured, enabled: bool = True) -> None:
        """Subscribe and start the workers; ``enabled``: whether frames are taken."""
        self._model = configured.served.model
        self._names = list(configured.pairs)
        self._closed = False
        # Overlay, result and report of a frame are made while the next one is segmented.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="extras")
        self._extras: Future[None] = self._beside.submit(_publish_rest, [])
        self.pairs: list[CameraPair] = []
        self.stages: list[PairStages] = []
        runtime = configured.served.runtime
        self.worker: FairWorker[Job | Frame] = FairWorker(
            "segmentation",
            len(self._names),
            work=self._work,
            failed=self._failed,
            together=lambda slot: self.stages[slot].sizes if slot < len(self.stages) else None,
            largest=lambda: self._model.largest_batch,
            wait=runtime.batch_wait,
            begin=partial(bind_thread, runtime.worker_cores),
        )
        # It waits unless the model prepares ahead, which another model, or memory that runs out, may change.
        self.preparer: FairWorker[Job] = FairWorker(
            "preparation", len(self._names), work=self._prepare_ahead, failed=self._failed
        )
        # What costs more than a report (compressed images, objects, points) never holds a frame up: the newest wins.
        self.beside: FairWorker[Beside] = FairWorker(
            "outputs", len(self._names), work=self._publish_beside, failed=self._failed_beside
        )
        # After the worker has begun: a thread has the cores of the one that starts it.
        self._cores = bind_thread(runtime.callback_cores)
        try:
            for slot, entry in enumerate(configured.pairs.values()):
                pair = CameraPair(node, entry, self, slot)
                self.pairs.append(pair)
                self.stages.append(PairStages(pair))
        except Exception:
            self.close(timeout=1.0)
            raise
        self.enabled = enabled

    @property
    def enabled(self) -> bool:
        """Whether frames are taken."""
        return all(pair.enabled for pair in self.pairs)

    @enabled.setter
    def enabled(self, value: bool) -> None:
        for pair in self.pairs:
            pair.enabled = value

    # In the thread of callbacks.

    def see(self, slot: int, image_size: tuple[int, int]) -> None:
        """Have the engine warmed up where images of this (H, W) need that."""
        if self._model.see(self._names[slot], image_size):
            # In the worker, so that no pair is begun meanwhile, and the newest comes next.
            self.worker.call(self._warm_up)

    def put(self, slot: int, job: Job) -> DropReason | None:
        """Hand a pair to the thread that prepares it; return why an older one was dropped for it, or None."""
        worker = self.preparer if self._model.prepares_ahead else self.worker
        return self._superseded if worker.put(job, slot) else None

    @property
    def _superseded(self) -> DropReason:
        """Why a pair is dropped for a newer one at this moment."""
        return DropReason.PAIR_SUPERSEDED if self._model.building is None else DropReason.PAIR_ENGINE_BUILDING

    # In the thread of the preparer.

    def _prepare_ahead(self, jobs: list[tuple[int, Job]]) -> None:
        """Prepare the newest pair while the network runs on another one; a prepared pair that still waits is dropped for it."""
        for slot, job in jobs:
            frame = self._prepare(slot, job, self._model.loaded)
            if frame is not None and self.worker.put(frame, slot):
                self.pairs[slot].drop(self._superseded)

    # In the thread of the worker.

    def _warm_up(self) -> None:
        with self._model.in_hand():
            self._model.warm_up()

    def _work(self, items: list[tuple[int, Job | Frame]]) -> None:
        # A model that is swapped in meanwhile is for the frames to come.
        with self._model.in_hand() as loaded:
            made = [(slot, self._prepare(slot, item, loaded)) for slot, item in items]
            frames = [(slot, frame) for slot, frame in made if frame is not None]
            # The worker puts together what had one size last time; a camera may have changed its own since.
            frames.sort(key=lambda entry: entry[1].sizes)
            for _, group in groupby(frames, key=lambda entry: entry[1].sizes):
                self._segment(loaded, list(group))

    def _prepare(self, slot: int, item: Job | Frame, loaded: Loaded) -> Frame | None:
        """Return what goes into the network of this model, or None for a pair that was dropped.

        A frame that was prepared for another model is prepared again.
        """
        if isinstance(item, Frame):
            if item.loaded is loaded:
                return item
            item = item.job
        try:
            frame = self.stages[slot].prepare(item, loaded)
        except Exception as error:
            self.stages[slot].failed(error)
            return None
        if frame is None:
            self.pairs[slot].drop(self._superseded)
        return frame

    def _segment(self, loaded: Loaded, frames: list[tuple[int, Frame]]) -> None:
        taken = time.perf_counter()
        try:
            results = self._model.segment(loaded, [frame.prepared for _, frame in frames])
        except Exception as error:
            self._failed(frames, error)
            return
        if self._closed:
            # The engine was given up and has returned after all: nobody waits for these masks any more.
            return
        batch = sum(isinstance(result, Segmentation) for result in results)
        published: list[_Published] = []
        for (slot, frame), result in zip(frames, results, strict=True):
            stages = self.stages[slot]
            if isinstance(result, Segmentation):
                try:
                    facts = stages.publish(frame, result, batch, taken)
                    published.append((stages, frame, result, stages.sized, facts))
                    if (wanted := stages.wanted) and self.beside.put(Beside(frame, result, stages.sized, wanted), slot):
                        self.pairs[slot].drop(DropReason.OUTPUT_SUPERSEDED)
                except Exception as error:
                    stages.failed(error)
            else:
                stages.failed(result)
        # One frame's extras at a time: where they take longer than the network, the next frame waits for them here.
        wait([self._extras])
        self._extras = self._beside.submit(_publish_rest, published)

    # In the thread of outputs.

    def _publish_beside(self, entries: list[tuple[int, Beside]]) -> None:
        for slot, entry in entries:
            self.stages[slot].publish_beside(entry)

    def _failed_beside(self, entries: list[tuple[int, Beside]], error: Exception) -> None:
        for slot, _ in entries:
            self.pairs[slot].log.error(f"outputs: {in_words(error)}", throttle_duration_sec=5.0)

    def _failed(self, items: Sequence[tuple[int, object]], error: Exception) -> None:
        for slot, _ in items:
            self.stages[slot].failed(error)

    # In any thread.

    @property
    def busy_since(self) -> float | None:
        """When (time.monotonic, s) the oldest turn of a worker began that has not ended; None: both wait."""
        turns = [since for since in (self.worker.busy_since, self.preparer.busy_since) if since is not None]
        return min(turns, default=None)

    @property
    def alive(self) -> bool:
        """Whether a worker runs, or has not ended after ``close``."""
        return self.worker.alive or self.preparer.alive or self.beside.alive

    def close(self, timeout: float) -> bool:
        """Unsubscribe and stop both workers; return whether they ended within ``timeout`` seconds."""
        for pair in self.pairs:
            pair.close()
        end = time.monotonic() + timeout
        prepared = self.preparer.stop(timeout)
        ended = self.worker.stop(max(0.0, end - time.monotonic())) and prepared
        ended = self.beside.stop(max(0.0, end - time.monotonic())) and ended
        self._closed = True
        if ended:
            self._beside.shutdown()
        bind_thread(self._cores)
        return ended


def _publish_rest(published: list[_Published]) -> None:
    """In the thread of extras."""
    for stages, frame, masks, sized, facts in published:
        stages.publish_rest(frame, masks, sized, facts)
