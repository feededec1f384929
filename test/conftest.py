"""What every test runs under: a ROS domain of its own, sized transports, and no more threads than its share.

The environment is set on import, which is before any test imports rclpy or torch, and is inherited by the nodes that
tests start as processes of their own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
import zlib

import pytest

from rgbt_seg_ros import resources

_LOG_DIR = tempfile.mkdtemp(prefix="rgbt_seg_ros-log-")
# Engines are built once for a run and its workers, which find the folder named already.
_CACHE_DIR = "" if "RGBT_SEG_CACHE" in os.environ else tempfile.mkdtemp(prefix="rgbt_seg_ros-cache-")
if _CACHE_DIR:
    os.environ["RGBT_SEG_CACHE"] = _CACHE_DIR

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Run in the background of a shell: processes that tests start would ignore Ctrl-C as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _domain_id() -> int:
    """Return a domain in 1..101: apart among the workers of a run, and most likely apart from other runs.

    Above 101 the ports of a domain can fall into those the system gives out by itself.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return 1 + (zlib.crc32(run.encode()) + worker) % 101


os.environ.update(
    ROS_PYTHON_CHECK_FIELDS="1",
    ROS_DOMAIN_ID=str(_domain_id()),
    ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
    ROS_LOG_DIR=_LOG_DIR,
)
# Read by torch when it is first imported, which costs seconds that most tests need not pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whatever profile a user has, the tests use the package's.
for _variable in (resources.FASTDDS_PROFILE, resources.FASTRTPS_PROFILE):
    os.environ.pop(_variable, None)
resources.prepare_image_transport()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `ros` where there is none."""
    if importlib.util.find_spec("rclpy") is None:
        for item in items:
            if item.get_closest_marker("ros"):
                item.add_marker(pytest.mark.skip(reason="rclpy is not installed"))


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    for folder in filter(None, (_LOG_DIR, _CACHE_DIR)):
        shutil.rmtree(folder, ignore_errors=True)
