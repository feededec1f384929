"""Worker processes do their tasks, are missed when they are lost, and never outlive the process that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rgbt_seg_ros.workers import WorkerLost, Workers

PROGRAM = """
import os, sys, time
from rgbt_seg_ros.workers import Workers
if __name__ == "__main__":
    try:
        with Workers(2) as pool:
            for key in range(2):
                pool.submit(key, os.getpid)
            print(*(finished.value for _ in range(2) for finished in pool.finished()), flush=True)
            pool.submit("long", time.sleep, 1000)
            print("waiting", flush=True)
            pool.finished()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def alive(process):
    """Return whether a process is there and not only waits to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def program(tmp_path):
    """Run a program with two workers, of which one sleeps; return it and the workers' process ids."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        while len(pids) < 2:
            pids += [int(word) for word in process.stdout.readline().split()]
        assert process.stdout.readline() == "waiting\n"
        yield process, pids
        process.kill()


UNPICKLABLE = """
class Local(Exception):
    pass
raise Local("a")
"""


def test_tasks_are_done_in_other_processes_and_errors_come_back():
    with Workers(2, 1) as pool:
        assert pool.room == 4
        assert not pool.busy
        for key, function, *arguments in (("pid", os.getpid), ("boom", int, "here"), ("odd", exec, UNPICKLABLE)):
            pool.submit(key, function, *arguments)
        assert pool.room == 1
        found = {}
        while pool.busy:
            found |= {finished.key: finished for finished in pool.finished()}
    assert found["pid"].result() != os.getpid()
    with pytest.raises(ValueError, match="here"):
        found["boom"].result()
    with pytest.raises(RuntimeError, match="Local: a"):
        found["odd"].result()


def test_what_begins_a_worker_is_called_once_before_its_tasks():
    with Workers(1, 0, os.putenv, "RGBT_SEG_TEST", "begun") as pool:
        pool.submit(0, subprocess.check_output, ["sh", "-c", "echo $RGBT_SEG_TEST"])
        assert pool.finished()[0].result() == b"begun\n"


def test_a_lost_worker_is_told_with_its_task_and_another_one_takes_the_next():
    with Workers(1) as pool:
        pool.submit("first", os.getpid)
        (first,) = pool.finished()
        pool.submit("lost", time.sleep, 1000)
        os.kill(first.result(), signal.SIGKILL)
        (lost,) = pool.finished()
        assert lost.key == "lost"
        with pytest.raises(WorkerLost):
            lost.result()
        pool.submit("next", os.getpid)
        assert pool.finished()[0].result() != first.result()


def test_the_end_of_the_block_ends_what_still_works():
    before = signal.getsignal(signal.SIGINT)
    with Workers(1) as pool:
        pool.submit(0, os.getpid)
        process = pool.finished()[0].result()
        pool.submit(1, time.sleep, 1000)
        assert pool.finished(block=False) == []
        assert alive(process)
    assert not alive(process)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_parent_that_is_killed(program, number):
    process, pids = program
    process.send_signal(number)
    process.wait(60)
    wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("count", [1, 2, 20])
def test_any_number_of_interrupts_is_one_and_leaves_no_worker(program, count):
    process, pids = program
    for _ in range(count):
        process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    # Where the last ones came after the workers had ended, Python's own handler was back.
    assert "interrupted" in output or "KeyboardInterrupt" in errors
    assert not any(map(alive, pids))
