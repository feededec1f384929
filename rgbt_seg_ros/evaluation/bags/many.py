"""Evaluate many bags: one after the other, by several processes, or on a Ray cluster. One bag is one task."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.evaluate import Interrupted, evaluate_bag
from rgbt_seg_ros.evaluation.bags.job import Job, Progress, Result, silent
from rgbt_seg_ros.evaluation.bags.workspace import UNFINISHED
from rgbt_seg_ros.workers import WorkerLost, Workers

ATTEMPTS = 3
"""How often a bag is tried whose worker is lost (killed for memory, or with its machine)."""

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
    """Return the job that resumes what a lost worker left, instead of beginning the bag again."""
    if job.force and not (job.output / UNFINISHED).exists():
        return job  # lost before it began: what is there is still the results to be replaced
    return replace(job, resume=True, force=False)


def _interrupted(jobs: Iterable[Job]) -> Interrupted:
    """Return the error to raise after Ctrl-C; it names the folders that can be resumed."""
    kept = [str(job.output) for job in jobs if (job.output / UNFINISHED).exists()]
    if not kept:
        return Interrupted("no bag was being evaluated; finished bags are kept, and --resume skips them")
    return Interrupted(f"finished pairs are kept in {', '.join(kept)}; --resume continues from there")


def by_processes(jobs: Sequence[Job], workers: int, done: Done) -> list[Result]:
    """Evaluate bags in ``workers`` processes of this machine; the results are those of one process, in the order of the jobs.

    A bag whose process is lost goes on in another one.

    Raises:
        UserError: As ``evaluate_bag``, of the first bag that failed; LostWorker where a bag's process died every time.
        Interrupted: On Ctrl-C; what is done is kept.
    """
    results: dict[int, Result] = {}
    attempts = [0] * len(jobs)
    todo = deque(range(len(jobs)))
    try:
        # What the others have done when one fails is kept line by line; nobody waits for the end of their bags.
        with Workers(min(workers, len(jobs))) as pool:
            while todo or pool.busy:
                while todo and pool.room:
                    position = todo.popleft()
                    attempts[position] += 1
                    again = attempts[position] > 1
                    pool.submit(position, evaluate_bag, _again(jobs[position]) if again else jobs[position])
                for finished in pool.finished():
                    position = finished.key
                    try:
                        results[position] = finished.result()
                    except WorkerLost as lost:
                        if attempts[position] == ATTEMPTS:
                            raise LostWorker(
                                f"{jobs[position].bag}: its process was lost {ATTEMPTS} times; is there enough memory?"
                            ) from lost
                        todo.append(position)
                    else:
                        done(position, results[position])
    except KeyboardInterrupt as stop:
        raise _interrupted(jobs) from stop
    return [results[position] for position in range(len(jobs))]


def on_ray(jobs: Sequence[Job], address: str, done: Done) -> list[Result]:
    """Evaluate bags on a Ray cluster; its machines see the bags and the output under the same paths.

    Args:
        jobs: One a bag.
        address: Of the cluster, as ``ray.init`` takes it: ``auto`` or ``ray://HOST:PORT``.
        done: Called in this process.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, or as ``evaluate_bag``; LostWorker where a bag's worker
            died every time.
        Interrupted: On Ctrl-C; what is done is kept.
    """
    ray = _connect(address)
    try:
        return on_cluster(ray, jobs, done)
    finally:
        ray.shutdown()


def on_cluster(ray: Any, jobs: Sequence[Job], done: Done) -> list[Result]:
    """Evaluate bags on the cluster that ``ray``, the module, is connected to; otherwise as ``on_ray``."""
    try:
        # Each attempt resumes what a lost worker left, so it is a task of its own and Ray repeats none by itself.
        task = ray.remote(max_retries=0)(evaluate_bag)
        results: dict[int, Result] = {}
        attempts = [1] * len(jobs)
        running = {task.remote(job): position for position, job in enumerate(jobs)}
        while running:
            finished, _ = ray.wait(list(running), num_returns=1)
            position = running.pop(finished[0])
            try:
                results[position] = ray.get(finished[0])
            except ray.exceptions.RayTaskError as failed:
                raise (failed.cause if isinstance(failed.cause, UserError) else failed) from None
            except ray.exceptions.RayError as lost:  # the worker, its machine, or the result on a machine that is gone
                if attempts[position] == ATTEMPTS:
                    reason = " ".join(str(lost).split())
                    raise LostWorker(f"{jobs[position].bag}: its worker was lost {ATTEMPTS} times ({reason})") from lost
                attempts[position] += 1
                running[task.remote(_again(jobs[position]))] = position
                continue
            done(position, results[position])
        return [results[position] for position in range(len(jobs))]
    except KeyboardInterrupt as stop:
        raise _interrupted(jobs) from stop


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray: Ray is not installed; pip install 'rgbt_seg_ros[ray]'") from error
    if address == "local":
        # Ray 2.60 opens ports of its agents on every interface, whatever address its node is given.
        raise UserError(
            "--ray: local would start a cluster whose ports are open to the whole network; "
            "expected auto or ray://HOST:PORT, or --workers N for this machine alone"
        )
    # Ray sends usage statistics unless told not to; only the user may decide that.
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
