"""Transitions, refused parameters and the end of the process."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

COLD_START = True


def test_every_transition_and_what_it_means(client, start):
    from lifecycle_msgs.msg import Transition
    from sensor_msgs.msg import Image

    start(autostart=False)
    client.listen(Image, "segmentation/mask")

    def send(stamp):
        client.send("rgb", stamp)
        client.send("thermal", stamp)

    assert client.state() == "unconfigured"
    assert not client.connected()

    assert not client.set_parameter("sync.policy", "closest").successful
    assert client.set_parameter("alignment.calibration", "/nowhere/c.yaml").successful
    assert not client.change(Transition.TRANSITION_CONFIGURE)
    assert client.state() == "unconfigured"
    assert client.set_parameter("alignment.calibration", "").successful
    assert client.change(Transition.TRANSITION_CONFIGURE)
    assert client.state() == "inactive"
    refused = client.set_parameter("runtime.overlap", "never")
    assert not refused.successful
    assert "cleanup" in refused.reason

    for _ in range(2):
        assert client.change(Transition.TRANSITION_ACTIVATE)
        client.connect()
        client.until_seen(send, ["segmentation/mask"])
        assert client.change(Transition.TRANSITION_DEACTIVATE)
        client.wait(lambda: not client.connected())
    assert client.change(Transition.TRANSITION_CLEANUP)
    assert client.state() == "unconfigured"
    assert client.set_parameter("output.threshold", 0.5).successful


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model.file": "/nowhere/m.safetensors"}, "/nowhere/m.safetensors: no such model file"),
        ({"sync.slop": 99.0}, "expected a number with a decimal point from 0 to 10"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_parameter_refuses_configure_and_says_what_is_legal(client, start, parameters, words):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    process = start(**parameters)
    statuses = client.listen(DiagnosticArray, "/diagnostics")
    client.wait(lambda: statuses)
    assert statuses[-1].status[0].level == DiagnosticStatus.ERROR
    assert words in statuses[-1].status[0].message
    assert client.state() == "unconfigured"
    assert words in process.log
    assert "Traceback" not in process.log
    # It can still be put right.
    assert client.set_parameter("runtime.threads", 1).successful


def shared_memory(pid):
    """Return the files in /dev/shm that a process has mapped, less those that have lost their name since."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {
        line[line.index("/dev/shm/") :] for line in lines if "/dev/shm/" in line and not line.endswith(" (deleted)")
    }


def test_a_node_that_ends_leaves_no_shared_memory_behind(client, start):
    process = start()
    client.connect()
    mapped = shared_memory(process.process.pid)
    assert any(Path(name).stat().st_size > 2**20 for name in mapped)
    assert process.stop() == 0
    others = set().union(*(shared_memory(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()))
    assert not [name for name in mapped - others if Path(name).exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_busy_node_with_code_0(client, start, number):
    process = start(**{"model.input_size": "480x640"})
    client.connect()
    for _ in range(5):
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp)
        client.spin(0.1)
    assert process.stop(number) == 0, process.log
    assert "Traceback" not in process.log


def test_a_signal_ends_the_node_though_its_engine_never_returns(client, start, tmp_path):
    # Launch is promised an end within two seconds: whatever takes longer is not waited for.
    process = start(stand_in=tmp_path)
    client.connect()
    (tmp_path / "wedge").touch()

    def send():
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp)

    client.until((tmp_path / "held").exists, send)
    assert process.stop() == 0, process.log
    assert "Traceback" not in process.log


def catches(pid, number):
    """Return whether a process handles a signal by itself."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("stage", ["at once", "torch is imported"])
def test_a_signal_during_start_up_ends_it_too(client, start, stage):
    process = start()
    # Python handles SIGINT by itself, but not SIGTERM.
    client.wait(lambda: catches(process.process.pid, signal.SIGTERM))
    if stage != "at once":
        maps = Path(f"/proc/{process.process.pid}/maps")
        client.wait(lambda: "libtorch" in maps.read_text())
    assert process.stop(signal.SIGINT) == 0, process.log


def test_threads_are_bound_to_the_cores_that_the_parameters_name(client, start):
    from lifecycle_msgs.msg import Transition

    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core")
    process = start(**{"runtime.callback_cores": f"'{cores[0]}'", "runtime.worker_cores": f"'{cores[1]}'"})
    client.connect()

    def bound():
        threads = []
        for task in Path(f"/proc/{process.process.pid}/task").iterdir():
            # One may end meanwhile.
            with contextlib.suppress(ProcessLookupError):
                threads.append(os.sched_getaffinity(int(task.name)))
        return threads, os.sched_getaffinity(process.process.pid)

    # The worker binds itself when it is first given a core.
    client.wait(lambda: {cores[1]} in bound()[0])
    assert bound()[1] == {cores[0]}
    assert client.change(Transition.TRANSITION_DEACTIVATE)
    assert bound()[1] == set(cores)
