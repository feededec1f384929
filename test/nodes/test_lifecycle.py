"""Transitions, refused parameters and the end of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

NODE = "/front/rgbt_segmentation"


def change(client, transition):
    from lifecycle_msgs.srv import ChangeState

    request = ChangeState.Request()
    request.transition.id = transition
    return client.call(ChangeState, f"{NODE}/change_state", request).success


def state(client):
    from lifecycle_msgs.srv import GetState

    return client.call(GetState, f"{NODE}/get_state", GetState.Request()).current_state.label


def set_parameter(client, name, value):
    from rcl_interfaces.msg import Parameter
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter as RclpyParameter

    message: Parameter = RclpyParameter(name, value=value).to_parameter_msg()
    return client.call(SetParameters, f"{NODE}/set_parameters", SetParameters.Request(parameters=[message])).results[0]


def test_every_transition_and_what_it_means(client, start):
    from lifecycle_msgs.msg import Transition
    from sensor_msgs.msg import Image

    start(autostart=False)
    masks = client.listen(Image, "segmentation/mask")
    assert state(client) == "unconfigured"
    assert not client.connected()

    assert set_parameter(client, "sync.policy", "closest").successful
    assert not change(client, Transition.TRANSITION_CONFIGURE)
    assert state(client) == "unconfigured"
    assert set_parameter(client, "sync.policy", "nearest").successful
    assert change(client, Transition.TRANSITION_CONFIGURE)
    assert state(client) == "inactive"
    refused = set_parameter(client, "output.threshold", 0.5)
    assert not refused.successful
    assert "cleanup" in refused.reason

    for _ in range(2):
        assert change(client, Transition.TRANSITION_ACTIVATE)
        client.connect()
        masks.clear()
        for _ in range(40):
            stamp = client.later()
            client.send("rgb", stamp)
            client.send("thermal", stamp)
            client.spin(0.25)
            if masks:
                break
        assert masks
        assert change(client, Transition.TRANSITION_DEACTIVATE)
        client.wait(lambda: not client.connected())
    assert change(client, Transition.TRANSITION_CLEANUP)
    assert state(client) == "unconfigured"
    assert set_parameter(client, "output.threshold", 0.5).successful


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model.file": "/nowhere/m.safetensors"}, "/nowhere/m.safetensors: no such model file"),
        ({"alignment.mode": "plane"}, "tf2_ros has to be installed; expected a calibration file with an extrinsic"),
        ({"alignment.mode": "homography"}, "mode 'homography' needs a calibration file"),
        ({"alignment.calibration": "/nowhere/c.yaml"}, "/nowhere/c.yaml: not a readable calibration file"),
        ({"runtime.worker_cores": "'4000'"}, "runtime.worker_cores: core 4000 is not among those of this process"),
        ({"sync.policy": "closest"}, "sync.policy: 'closest' is not one of nearest, approximate, exact"),
        ({"sync.slop": 99.0}, "expected a number with a decimal point from 0 to 10"),
        ({"sync.queue_size": "many"}, "expected a whole number from 1 to 1000"),
        ({"alignment.mode": "stereo"}, "alignment.mode: 'stereo' is not one of auto, none, homography, plane, depth"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_parameter_refuses_configure_and_says_what_is_legal(client, start, parameters, words):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    process = start(**parameters)
    statuses = client.listen(DiagnosticArray, "/diagnostics")
    client.wait(lambda: statuses, 60)
    assert statuses[-1].status[0].level == DiagnosticStatus.ERROR
    assert words in statuses[-1].status[0].message
    assert state(client) == "unconfigured"
    assert words in process.log
    assert "Traceback" not in process.log
    # It can still be put right.
    assert set_parameter(client, "runtime.threads", 1).successful


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
def test_a_signal_ends_the_busy_node_within_two_seconds_with_code_0(client, start, number):
    process = start(**{"model.input_size": "480x640"})
    client.connect()
    for _ in range(5):
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp)
        client.spin(0.1)
    # The two seconds are the interface's promise to launch, not a measurement.
    assert process.stop(number, timeout=2.0) == 0, process.log
    assert "Traceback" not in process.log


def test_a_signal_during_start_up_ends_it_too(start):
    process = start()
    time.sleep(0.7)
    try:
        assert process.stop(signal.SIGINT, timeout=5.0) == 0, process.log
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running 5 s after SIGINT: {process.log}")


def test_threads_are_bound_to_the_cores_that_the_parameters_name(client, start):
    from lifecycle_msgs.msg import Transition

    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core")
    process = start(**{"runtime.callback_cores": f"'{cores[0]}'", "runtime.worker_cores": f"'{cores[1]}'"})
    client.connect()

    def bound():
        tasks = [int(task.name) for task in Path(f"/proc/{process.process.pid}/task").iterdir()]
        return [os.sched_getaffinity(task) for task in tasks], os.sched_getaffinity(process.process.pid)

    threads, main = bound()
    assert main == {cores[0]}
    assert {cores[1]} in threads
    assert change(client, Transition.TRANSITION_DEACTIVATE)
    assert bound()[1] == set(cores)
