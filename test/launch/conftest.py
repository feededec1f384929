"""A launch file in a process of its own, with the real launch."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# What launch does where a process has not ended within 5 s of SIGINT would tell of the machine.
# Noninteractive: nobody but launch itself passes the signal on to the processes.
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *arguments = sys.argv[1:]
included = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[("sigterm_timeout", "60"), *(argument.split(":=", 1) for argument in arguments)],
)
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


@pytest.fixture
def run_launch(request, tmp_path):
    """Start the module's LAUNCH_FILE with arguments; what is left of its process group is killed after the test."""
    started = []

    def run(**arguments):
        # The installed node starts with `env python3`.
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        log = tmp_path / f"launch{len(started)}.log"
        command = [sys.executable, "-c", RUN, str(request.module.LAUNCH_FILE)]
        command += [f"{name}:={value}" for name, value in arguments.items()]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path, start_new_session=True
            )
        started.append(process)
        return process, log

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
