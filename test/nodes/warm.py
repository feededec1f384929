"""Nodes that start warm: a process that has imported what a node imports forks one in milliseconds instead of seconds.

Each is a process of its own all the same, with its environment, log, signals and exit code. What happens while a node imports is
tested with nodes that start cold.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_POLL = 0.02


class WarmProcess:
    """What the tests use of subprocess.Popen."""

    def __init__(self, pid, exit_file):
        self.pid, self.returncode, self._exit_file = pid, None, exit_file

    def poll(self):
        if self.returncode is None and self._exit_file.exists():
            self.returncode = int(self._exit_file.read_text())
        return self.returncode

    def wait(self, timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(_POLL)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks; its children end with it."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def start(self, program, arguments, environment, log):
        """Run a module, or a file where the name ends in .py, as ``python -m`` does; return its process."""
        exit_file = log.with_suffix(".exit")
        log.write_bytes(b"")
        order = {"program": program, "arguments": arguments, "environment": environment}
        order |= {"log": str(log), "exit": str(exit_file), "folder": os.getcwd()}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return WarmProcess(int(self._process.stdout.readline()), exit_file)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _import_everything():
    from rgbt_seg_ros.resources import prepare_ros_environment

    prepare_ros_environment()
    import rgbt_seg_ros.nodes.lifecycle
    import rgbt_seg_ros.nodes.session  # noqa: F401
    from rgbt_seg_ros.network.torchvision_shim import import_timm

    import_timm()


def _serve():
    """Fork for each line of the standard input; in the child, return its order, and None at the end in this process."""
    children, waiting = {}, b""
    while True:
        if select.select([0], [], [], _POLL if children else None)[0]:
            data = os.read(0, 65536)
            if not data:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return None
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if not pid:
                    return order
                children[pid] = Path(order["exit"])
                os.write(1, f"{pid}\n".encode())
        for pid in list(children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                beside = children[pid].with_suffix(".part")
                beside.write_text(str(os.waitstatus_to_exitcode(status)))
                beside.rename(children.pop(pid))


def _become(order):
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    program = order["program"]
    sys.argv = [program, *order["arguments"]]
    if program.endswith(".py"):
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")
    else:
        sys.path[0] = order["folder"]
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import_everything()
    if (own := _serve()) is not None:
        _become(own)
