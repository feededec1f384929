"""Read the samples of a data set in order, several at a time in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence

import cv2

from rgbt_seg_ros.data.samples import DataError, Dataset, Sample
from rgbt_seg_ros.workers import Finished, WorkerLost, Workers

_AHEAD = 3
"""Samples begun for each worker: one in the work, one to go on with, one that waits for its turn."""

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
    done: dict[int, Finished] = {}
    begun = 0
    with Workers(workers, 1, _begin, dataset) as pool:
        for position in range(len(indices)):
            while True:
                last = min(len(indices), position + _AHEAD * workers)
                for each in range(begun, min(last, begun + pool.room)):
                    pool.submit(each, _read, indices[each])
                    begun += 1
                done |= {finished.key: finished for finished in pool.finished(block=position not in done)}
                if position in done:
                    break
            try:
                yield done.pop(position).result()
            except WorkerLost as error:
                raise DataError(
                    f"{dataset.spec}: a process that reads it ended; try fewer workers, memory may be short"
                ) from error


def _begin(dataset: Dataset) -> None:
    """Set a worker up."""
    global _dataset
    _dataset = dataset
    cv2.setNumThreads(1)


def _read(index: int) -> Sample:
    assert _dataset is not None
    return _dataset[index]
