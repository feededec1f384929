"""Worker processes: started, given tasks and ended in one way, which leaves none behind.

They end with this process, however it ends: each watches the pipe that ``multiprocessing`` keeps open to its parent. Ctrl-C
reaches every process of the terminal, and only this one acts on it: while there are workers, one SIGINT raises
KeyboardInterrupt, never amid the start or the end of a worker, and further ones are ignored until the workers have ended.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any

# Spawned, not forked: a fork would copy the locks of whatever threads this process has, and torch's threads would be gone.
_SPAWN = multiprocessing.get_context("spawn")


class WorkerLost(Exception):
    """A worker ended before it had done its task: it was killed, such as for memory."""


@dataclass(frozen=True)
class Finished:
    """What came of a task.

    Attributes:
        key: Of the task.
        value: What its function returned.
        error: What it raised, or WorkerLost; None: it returned.
    """

    key: Any
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised, or WorkerLost."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    tasks: deque[Any] = field(default_factory=deque)
    """Keys of the tasks that it has been given and not done, in their order."""


class Workers:
    """A context manager of processes that do tasks; for one thread. At its end the workers are killed, whatever they do."""

    def __init__(self, count: int, ahead: int = 0, begin: Callable[..., None] | None = None, *arguments: Any) -> None:
        """Hold workers; each starts with the first task for which no other is free.

        Args:
            count: How many, at least 1.
            ahead: Tasks that may wait at each worker, so that it need not wait for this process between two.
            begin: Called first in each worker.
            arguments: Of ``begin``.
        """
        self._count, self._depth = count, 1 + ahead
        self._begin = (begin, arguments)
        self._workers: list[_Worker] = []
        self._lost: list[Finished] = []
        self._interrupts = _Interrupts()

    def __enter__(self) -> Workers:
        self._interrupts.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts.ended = True
        try:
            with self._interrupts.postponed():
                for worker in self._workers:
                    worker.process.kill()
                while self._workers:
                    self._remove(self._workers[-1])
        finally:
            self._interrupts.restore()
        if kind is None and self._interrupts.received:
            raise KeyboardInterrupt

    @property
    def room(self) -> int:
        """How many more tasks can be given now."""
        return self._count * self._depth - sum(len(worker.tasks) for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether any task is in the work, or its outcome not yet handed out."""
        return bool(self._lost) or any(worker.tasks for worker in self._workers)

    def submit(self, key: Any, function: Callable[..., Any], *arguments: Any) -> None:
        """Give a task to a worker; there must be ``room``.

        Args:
            key: Names the task in what ``finished`` returns.
            function: To be called in the worker; it, the arguments and the result can be pickled. Where tasks wait at a worker,
                arguments have at most some 10 KB: a worker that sends a result takes none.
            arguments: Of the function.
        """
        task = pickle.dumps((function, arguments))
        with self._interrupts.postponed():
            while True:
                idle = min(self._workers, key=lambda worker: len(worker.tasks), default=None)
                if idle is None or (idle.tasks and len(self._workers) < self._count):
                    idle = self._start()
                try:
                    idle.pipe.send_bytes(task)
                except OSError:  # it ended while nothing was asked of it
                    self._lose(idle)
                else:
                    idle.tasks.append(key)
                    return

    def finished(self, block: bool = True) -> list[Finished]:
        """Return the outcome of tasks that are done since the last call, in any order.

        Args:
            block: Whether to wait for one, if any task is in the work.
        """
        self._interrupts.check()
        done, self._lost = self._lost, []
        timeout = None if block and not done else 0
        working = [worker for worker in self._workers if worker.tasks]
        if not working:
            return done
        # What a worker has sent can be read after its end, too, so its pipe tells all.
        ready = wait([worker.pipe for worker in working], timeout)
        for worker in working:
            if worker.pipe in ready:
                done += self._take(worker)
        return done

    def _take(self, worker: _Worker) -> list[Finished]:
        try:
            value, error = pickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            with self._interrupts.postponed():
                self._lose(worker)
            lost, self._lost = self._lost, []
            return lost
        return [Finished(worker.tasks.popleft(), value, error)]

    def _start(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, *self._begin))
        # Inherited, so that no worker is told by Ctrl-C, not even one that still imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _lose(self, worker: _Worker) -> None:
        self._lost += [Finished(key, error=WorkerLost()) for key in worker.tasks]
        self._remove(worker)

    def _remove(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)


def _work(pipe: Connection, begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Do tasks until the pipe is closed: the life of a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send_bytes(_outcome(pipe.recv_bytes()))


def _outcome(task: bytes) -> bytes:
    """Do a task and return its result and error, pickled; an error that cannot be pickled becomes its words."""
    try:
        function, arguments = pickle.loads(task)
        return pickle.dumps((function(*arguments), None), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        try:
            content = pickle.dumps((None, error))
            pickle.loads(content)
        except Exception:
            content = pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
        return content


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


class _Interrupts:
    """SIGINT while there are workers: the first one raises KeyboardInterrupt where that is safe, others do nothing."""

    def __init__(self) -> None:
        self._before: Any = None
        self._postpone = 0
        self.received = False
        """Whether a SIGINT has come."""
        self.ended = False
        """Whether the workers are being ended, for whatever reason."""

    def install(self) -> None:
        """Take over from Python's own handler; another one, and SIGINT that is ignored, are left alone."""
        own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if own and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def restore(self) -> None:
        """Give back the handler that was there."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Raise only after this block."""
        self._postpone += 1
        try:
            yield
        finally:
            self._postpone -= 1
        self.check()

    def check(self) -> None:
        """Raise what could not be raised when it came: amid a start, or where Python drops it, in a ``__del__``."""
        if self.received and not self._postpone and not self.ended:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        first, self.received = not self.received, True
        if first:
            self.check()
