"""Evaluate many bags: one after the other, by several processes, or on a Ray cluster. One bag is one task."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.evaluate import Interrupted, evaluate_bag
from rgbt_seg_ros.evaluation.bags.job import Job, Progress, Result, silent

ATTEMPTS = 3
"""How often a bag is begun whose worker was lost, by the system for memory or with its machine."""

Done = Callable[[int, Result], None]
"""Takes the position of a job and its result, as soon as that is there."""


class LostWorker(UserError):
    """A bag whose worker was lost every time."""


def serially(jobs: Sequence[Job], done: Done, progress: Progress = silent) -> list[Result]:
    """Evaluate bags one after the other in this process; raises as ``evaluate_bag``."""
    results = []
    for position, job in enumerate(jobs):
        results.append(evaluate_bag(job, progress))
        done(position, results[-1])
    return results


def _again(job: Job) -> Job:
    """Return the job to go on with what a lost worker left, rather than begin the bag again."""
    return replace(job, resume=True, force=False)


def _task(job: Job) -> Result:
    return evaluate_bag(job)


def by_processes(jobs: Sequence[Job], workers: int, done: Done) -> list[Result]:
    """Evaluate bags in ``workers`` processes of this machine; the results are those of one process, in the order of the jobs.

    Raises:
        UserError: As ``evaluate_bag``, of the first bag that failed; LostWorker where a bag's process died every time.
    """
    results: dict[int, Result] = {}
    attempts = [0] * len(jobs)
    while len(results) < len(jobs):
        waiting = [position for position in range(len(jobs)) if position not in results]
        for position in waiting:
            if attempts[position] == ATTEMPTS:
                raise LostWorker(
                    f"{jobs[position].bag}: its process was lost {ATTEMPTS} times; is there enough memory?"
                )
        _round(jobs, waiting, attempts, results, workers, done)
    return [results[position] for position in range(len(jobs))]


def _round(
    jobs: Sequence[Job],
    waiting: Sequence[int],
    attempts: list[int],
    results: dict[int, Result],
    workers: int,
    done: Done,
) -> None:
    """Evaluate the bags that wait, until all are done or a process is lost, which takes the whole pool with it."""
    todo = iter(waiting)
    # Not forked: torch's threads would not survive it.
    with ProcessPoolExecutor(min(workers, len(waiting)), multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[Result], int] = {}

        def submit() -> None:
            # No more than there are processes: a bag that only waited when one was lost has lost no attempt.
            while len(running) < workers and (position := next(todo, None)) is not None:
                job = jobs[position] if not attempts[position] else _again(jobs[position])
                attempts[position] += 1
                running[pool.submit(_task, job)] = position

        submit()
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    position = running.pop(future)
                    results[position] = future.result()
                    done(position, results[position])
                submit()
        except BrokenProcessPool:
            return
        except BaseException as stop:
            # What the others have done is kept line by line; nobody waits for the end of their bags.
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(stop, KeyboardInterrupt):
                kept = ", ".join(str(jobs[position].output) for position in running.values())
                raise Interrupted(f"what is done is kept in {kept}; --resume goes on from there") from stop
            raise


def on_ray(jobs: Sequence[Job], address: str, done: Done) -> list[Result]:
    """Evaluate bags on a Ray cluster; its machines see the bags and the output under the same paths.

    Args:
        jobs: One a bag.
        address: Of the cluster, as ``ray.init`` takes it: ``auto``, ``local`` or ``ray://HOST:PORT``.
        done: Called in this process.

    Raises:
        UserError: Ray is not installed, the cluster out of reach, or as ``evaluate_bag``; LostWorker where a bag's worker died
            every time.
    """
    ray = _connect(address)
    try:
        # What a lost worker left is gone on with, so each attempt is a task of its own and Ray repeats none by itself.
        task = ray.remote(max_retries=0)(_task)
        results: dict[int, Result] = {}
        attempts = [1] * len(jobs)
        running = {task.remote(job): position for position, job in enumerate(jobs)}
        while running:
            finished, _ = ray.wait(list(running), num_returns=1)
            position = running.pop(finished[0])
            try:
                results[position] = ray.get(finished[0])
            except (
                ray.exceptions.WorkerCrashedError,
                ray.exceptions.NodeDiedError,
                ray.exceptions.OutOfMemoryError,
            ) as lost:
                if attempts[position] == ATTEMPTS:
                    raise LostWorker(f"{jobs[position].bag}: its worker was lost {ATTEMPTS} times ({lost})") from lost
                attempts[position] += 1
                running[task.remote(_again(jobs[position]))] = position
                continue
            except ray.exceptions.RayTaskError as failed:
                cause = failed.cause
                raise (cause if isinstance(cause, UserError) else failed) from None
            done(position, results[position])
        return [results[position] for position in range(len(jobs))]
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray: Ray is not installed; pip install 'rgbt_seg_ros[ray]'") from error
    # Ray reports its use to its makers unless it is told not to; that is for the user to decide, not for us.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _knock(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises many kinds for an address nothing answers at
        raise UserError(f"--ray: no cluster answers at {address} ({' '.join(str(error).split())})") from error
    return ray


def _knock(address: str) -> None:
    """Refuse a HOST:PORT where nothing listens: Ray would try for minutes."""
    place = re.fullmatch(r"(?:ray://)?(?P<host>.+):(?P<port>\d+)", address)
    if place is None:
        return
    try:
        socket.create_connection((place["host"], int(place["port"])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--ray: no cluster answers at {address} ({error})") from error
