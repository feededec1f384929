"""Many bags, by one process, by several, and on a Ray cluster; processes are killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.job import Job
from rgbt_seg_ros.evaluation.bags.many import by_processes, on_cluster, on_ray, serially
from rgbt_seg_ros.evaluation.bags.merged import merge
from rgbt_seg_ros.evaluation.metrics import to_json
from rgbt_seg_ros.parameters.file import defaults

FRAMES = 10


@pytest.fixture(scope="module")
def bags(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("many")
    return [
        record(folder / f"drive_{name}", frames=FRAMES, seed=seed, repeat=5).path for seed, name in enumerate("cab")
    ]


@pytest.fixture(scope="module")
def jobs_in(bags, model):
    def jobs(folder):
        values = {**defaults(), "model.file": model, "runtime.threads": 1, "runtime.backend": "torch"}
        return [
            Job(bag, folder / bag.name, values, labels="/ground_truth/mask", command="c", pictures=False)
            for bag in sorted(bags)
        ]

    return jobs


@pytest.fixture(scope="module")
def alone(jobs_in, tmp_path_factory):
    """What one process gives."""
    jobs = jobs_in(tmp_path_factory.mktemp("alone"))
    order = []
    results = serially(jobs, lambda position, result: order.append(position))
    assert order == [0, 1, 2]
    return to_json(merge(Path("many"), "c", jobs, results))


def kill_one(found, folder, killed):
    """Kill one of the processes that ``found`` returns, once the first of the results in ``folder`` has some lines."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if any(path.stat().st_size > 2000 for path in folder.glob("*/.unfinished/frames.jsonl")):
            for process in found():
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return
        time.sleep(0.01)


def descendants(name):
    """Return the processes below this one whose command line begins with ``name``."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def below(process):
        while process in parents:
            if process == os.getpid():
                return True
            process = parents[process]
        return False

    return [process for process, words in names.items() if words.startswith(name) and below(process)]


def test_processes_give_what_one_gives_in_the_same_order(jobs_in, alone, tmp_path):
    jobs = jobs_in(tmp_path)
    results = by_processes(jobs, 2, lambda position, result: None)
    assert to_json(merge(Path("many"), "c", jobs, results)) == alone


def test_a_bag_whose_process_is_killed_is_gone_on_with(jobs_in, alone, tmp_path):
    jobs, killed = jobs_in(tmp_path), []

    def spawned():
        import multiprocessing

        return [process.pid for process in multiprocessing.active_children()]

    killer = threading.Thread(target=kill_one, args=(spawned, tmp_path, killed))
    killer.start()
    results = by_processes(jobs, 2, lambda position, result: None)
    killer.join()
    assert len(killed) == 1
    assert to_json(merge(Path("many"), "c", jobs, results)) == alone


@pytest.fixture
def cluster():
    """Ray, connected to a cluster of this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.nightly
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core is one worker")
def test_a_ray_cluster_gives_the_same_with_one_of_two_workers_killed(cluster, jobs_in, alone, tmp_path):
    jobs, killed, held = jobs_in(tmp_path), [], []

    def running():
        # One of two: the first one is held until the other one has started, which may take longer than all three bags.
        found = descendants("ray::evaluate_bag")
        if found and not held:
            os.kill(found[0], signal.SIGSTOP)
            held.append(found[0])
        return held if len(found) == 2 else []

    def interfere():
        kill_one(running, tmp_path, killed)
        if not killed and held:
            os.kill(held[0], signal.SIGCONT)

    killer = threading.Thread(target=interfere)
    killer.start()
    results = on_cluster(cluster, jobs, lambda position, result: None)
    killer.join()
    assert len(killed) == 1
    assert to_json(merge(Path("many"), "c", jobs, results)) == alone


def test_a_bag_that_cannot_be_read_is_one_sentence_from_any_process(jobs_in, tmp_path):
    jobs = jobs_in(tmp_path)
    broken = [*jobs[:1], Job(tmp_path / "gone", tmp_path / "out", jobs[0].parameters)]
    with pytest.raises(UserError, match="gone: no such bag"):
        by_processes(broken, 2, lambda position, result: None)


def test_a_cluster_out_of_reach_is_one_sentence(jobs_in, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(UserError, match="--ray: no cluster answers at"):
        on_ray(jobs_in(tmp_path), "127.0.0.1:1", lambda position, result: None)


def test_a_cluster_of_this_machine_alone_is_refused_because_ray_listens_on_every_interface(jobs_in, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(UserError, match=r"--ray: local .* expected auto or ray://HOST:PORT, or --workers N"):
        on_ray(jobs_in(tmp_path), "local", lambda position, result: None)
