"""Read the samples of a data set in order, several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import cv2

from rgbt_seg_ros.data.samples import DataError, Dataset, Sample

_AHEAD = 3
"""Samples begun for each worker: one in the work, one to go on with, one on its way back."""

_WORTH_A_WORKER = 50
"""Samples that take about as long to render as a process takes to start."""

_dataset: Dataset | None = None


def default_workers(count: int) -> int:
    """Return how many processes to read ``count`` samples with: the CPUs this process may use, fewer for a few samples."""
    return max(1, min(len(os.sched_getaffinity(0)), count // _WORTH_A_WORKER))


def read_in_order(dataset: Dataset, indices: Sequence[int], workers: int) -> Generator[Sample, None, None]:
    """Yield ``dataset[index]`` for each of ``indices``, in their order.

    Args:
        dataset: Can be pickled, and gives the same samples in every process.
        indices: What to read.
        workers: Processes to read with, at least 1; 1: this one. A few samples for each of them are kept, however
            many there are in all.

    Raises:
        DataError: As reading raises it, at the place of that sample; or a worker was killed.
    """
    if workers <= 1:
        yield from (dataset[index] for index in indices)
        return
    # Spawned: a fork would copy the locks of whatever threads this process has.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (dataset,))
    waiting: deque[Future[Sample]] = deque()
    try:
        for index in indices:
            waiting.append(_submit(pool, index))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{dataset.spec}: a process that reads it ended; try fewer workers, memory may be short"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, index: int) -> Future[Sample]:
    """Begin a sample, in a new worker while there are too few.

    Ctrl-C reaches every process of the terminal, and this one ends the workers. They inherit which signals are blocked, so
    that none is told by it, not even one that still imports.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_read, index)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(dataset: Dataset) -> None:
    """Set a worker up."""
    global _dataset
    _dataset = dataset
    cv2.setNumThreads(1)


def _read(index: int) -> Sample:
    assert _dataset is not None
    return _dataset[index]
