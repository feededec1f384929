"""Child processes import nothing that lies in the working directory, and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rgbt_seg_ros.children import python_code, python_module

SHADOWS = ("json", "numpy", "rclpy", "cv2", "rgbt_seg_ros")


@pytest.fixture
def trap(tmp_path):
    """Return a folder with modules that leave a trace when they are imported."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    return tmp_path


def run(command, folder):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_trap_works(trap):
    run([sys.executable, "-c", "import json"], trap)
    assert (trap / "ran").exists()


def test_code_imports_nothing_from_the_working_directory(trap):
    done = run(python_code("import json, rgbt_seg_ros; print(json.__file__)"), trap)
    assert done.returncode == 0, done.stderr
    assert str(trap) not in done.stdout
    assert not (trap / "ran").exists()


def test_a_module_gets_its_arguments_and_imports_nothing_from_the_working_directory(trap):
    done = run(python_module("rgbt_seg_ros.cli", "--version"), trap)
    assert done.stdout.startswith("rgbt-seg "), done.stderr
    assert done.returncode == 0
    assert not (trap / "ran").exists()


def test_the_exit_code_of_a_module_is_that_of_the_process(trap):
    done = run(python_module("rgbt_seg_ros.cli", "nonsense"), trap)
    assert done.returncode == 2
    assert "invalid choice: 'nonsense'" in done.stderr


PARENT = """
import subprocess, sys, time
from rgbt_seg_ros.children import python_code
child = subprocess.Popen(python_code("import time; print('up', flush=True); time.sleep(600)"), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_a_child_ends_when_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    status = Path(f"/proc/{child}/stat")
    deadline = time.monotonic() + 60
    # The process that takes orphans over may leave it as a zombie.
    while status.exists() and ") Z " not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
