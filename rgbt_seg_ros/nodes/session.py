"""One activation of the node: its camera pairs, the one worker that segments for all of them, and what prepares for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import groupby
from typing import Any

from rgbt_seg_ros.cores import bind_thread
from rgbt_seg_ros.nodes.camera_pair import CameraPair
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.nodes.frame import Frame, Job
from rgbt_seg_ros.nodes.worker import FairWorker
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.report import FrameFacts
from rgbt_seg_ros.serving.warming import Loaded


class Session:
    """Camera pairs and worker between activate and deactivate."""

    def __init__(self, node: Any, configured: Configured, enabled: bool = True) -> None:
        """Subscribe and start the worker; ``enabled``: whether frames are taken."""
        self._model = configured.model
        self._closed = False
        # Overlay, result and report of a frame are made while the next one is segmented.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="extras")
        self._extras: Future[None] = self._beside.submit(_publish_rest, [])
        self.pairs: list[CameraPair] = []
        self.worker: FairWorker[Job | Frame] = FairWorker(
            len(configured.pairs),
            self._work,
            self._failed,
            together=lambda slot: self.pairs[slot].sizes if slot < len(self.pairs) else None,
            largest=lambda: self._model.largest_batch,
            wait=configured.runtime.batch_wait,
            begin=partial(bind_thread, configured.runtime.worker_cores),
        )
        # It waits unless the model prepares ahead, which another model, or memory that runs out, may change.
        self._preparer: FairWorker[Job] = FairWorker(len(configured.pairs), self._prepare_ahead, self._failed)
        # After the worker has begun: a thread has the cores of the one that starts it.
        self._cores = bind_thread(configured.runtime.callback_cores)
        try:
            for slot, pair in enumerate(configured.pairs.values()):
                self.pairs.append(
                    CameraPair(node, pair, self._waiting_for(pair.name), self._putter(slot), self._seer(pair.name))
                )
        except Exception:
            self.close(timeout=1.0)
            raise
        self.enabled = enabled

    def _waiting_for(self, pair: str) -> Callable[[], str]:
        return lambda: self._model.loaded.segmenters[pair].aligner.waiting_for

    def _putter(self, slot: int) -> Callable[[Job], DropReason | None]:
        def put(job: Job) -> DropReason | None:
            worker = self._preparer if self._model.prepares_ahead else self.worker
            return self._reason if worker.put(job, slot) else None

        return put

    @property
    def _reason(self) -> DropReason:
        """Why a pair is dropped for a newer one at this moment."""
        return DropReason.PAIR_SUPERSEDED if self._model.building is None else DropReason.PAIR_ENGINE_BUILDING

    def _seer(self, pair: str) -> Callable[[tuple[int, int]], None]:
        def see(image_size: tuple[int, int]) -> None:
            if self._model.see(pair, image_size):
                # In the worker, so that no pair is begun meanwhile, and the newest comes next.
                self.worker.call(self._warm_up)

        return see

    def _warm_up(self) -> None:
        with self._model.in_hand():
            self._model.warm_up()

    @property
    def enabled(self) -> bool:
        """Whether frames are taken."""
        return all(pair.enabled for pair in self.pairs)

    @enabled.setter
    def enabled(self, value: bool) -> None:
        for pair in self.pairs:
            pair.enabled = value

    def _failed(self, items: Sequence[tuple[int, object]], error: Exception) -> None:
        for slot, _ in items:
            self.pairs[slot].failed(error)

    def _ready(self, slot: int, item: Job | Frame, loaded: Loaded) -> Frame | None:
        """Return what goes into the network, for this model; one that was made ready for another is made anew."""
        if isinstance(item, Frame):
            if item.loaded is loaded:
                return item
            item = item.job
        pair = self.pairs[slot]
        try:
            frame = pair.prepare(item, loaded)
        except Exception as error:
            pair.failed(error)
            return None
        if frame is None:
            pair.superseded(self._reason)
        return frame

    def _prepare_ahead(self, jobs: list[tuple[int, Job]]) -> None:
        """Make the newest pair ready while the network runs on another; one that is ready and waits gives way to it."""
        for slot, job in jobs:
            frame = self._ready(slot, job, self._model.loaded)
            if frame is not None and self.worker.put(frame, slot):
                self.pairs[slot].superseded(self._reason)

    def _work(self, items: list[tuple[int, Job | Frame]]) -> None:
        # A model that is swapped in meanwhile is for the frames to come.
        with self._model.in_hand() as loaded:
            made = [(slot, self._ready(slot, item, loaded)) for slot, item in items]
            frames = [(slot, frame) for slot, frame in made if frame is not None]
            # The worker puts together what had one size last time; a camera may have changed its own since.
            frames.sort(key=lambda entry: entry[1].sizes)
            for _, group in groupby(frames, key=lambda entry: entry[1].sizes):
                self._run(loaded, list(group))

    def _run(self, loaded: Loaded, frames: list[tuple[int, Frame]]) -> None:
        taken = time.perf_counter()
        try:
            results = self._model.segment(loaded, [frame.prepared for _, frame in frames])
        except Exception as error:
            for slot, _ in frames:
                self.pairs[slot].failed(error)
            return
        if self._closed:
            # The engine was given up and has come back after all: nobody waits for these any more.
            return
        batch = sum(isinstance(result, Segmentation) for result in results)
        published: list[tuple[CameraPair, Frame, Segmentation, FrameFacts]] = []
        for (slot, frame), result in zip(frames, results, strict=True):
            pair = self.pairs[slot]
            if isinstance(result, Segmentation):
                try:
                    published.append((pair, frame, result, pair.publish(frame, result, batch, taken)))
                except Exception as error:
                    pair.failed(error)
            else:
                pair.failed(result)
        # One frame's extras at a time: where they take longer than the network, the next frame waits for them here.
        wait([self._extras])
        self._extras = self._beside.submit(_publish_rest, published)

    @property
    def busy_since(self) -> float | None:
        """When (time.monotonic, s) the oldest turn of a worker began that has not ended; None: both wait."""
        turns = [since for since in (self.worker.busy_since, self._preparer.busy_since) if since is not None]
        return min(turns, default=None)

    @property
    def alive(self) -> bool:
        """Whether a worker runs, or has not ended after ``close``."""
        return self.worker.alive or self._preparer.alive

    def close(self, timeout: float) -> bool:
        """Unsubscribe and stop both workers; return whether they ended within ``timeout`` seconds."""
        for pair in self.pairs:
            pair.close()
        end = time.monotonic() + timeout
        prepared = self._preparer.stop(timeout)
        ended = self.worker.stop(max(0.0, end - time.monotonic())) and prepared
        self._closed = True
        if ended:
            self._beside.shutdown()
        bind_thread(self._cores)
        return ended


def _publish_rest(published: list[tuple[CameraPair, Frame, Segmentation, FrameFacts]]) -> None:
    for pair, frame, masks, facts in published:
        try:
            pair.publish_rest(frame, masks, facts)
        except Exception as error:
            pair.failed_beside(error)
