"""What configure makes, without an executor: the class table before the first mask of another model."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from builtin_interfaces.msg import Time

from rgbt_seg_ros.cores import PROCESS_CORES, bound_to
from rgbt_seg_ros.network import read_model, read_spec, write_model
from rgbt_seg_ros.nodes import configured as module
from rgbt_seg_ros.nodes import outputs
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.parameters.file import defaults
from rgbt_seg_ros.parameters.pairs import settings_of_pairs
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.serving import shared_model


class Node:
    """Keeps what is published, by topic."""

    def __init__(self):
        self.published, self.destroyed, self.said = {}, [], []

    def resolve_topic_name(self, topic):
        return f"/{topic}"

    def create_lifecycle_publisher(self, kind, topic, qos, qos_overriding_options):
        self.published[topic] = []
        return SimpleNamespace(topic=topic, publish=self.published[topic].append)

    def destroy_lifecycle_publisher(self, publisher):
        self.destroyed.append(publisher.topic)

    def get_fully_qualified_name(self):
        return "/node"

    def get_logger(self):
        return SimpleNamespace(info=self.said.append, error=self.said.append)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))


@pytest.fixture
def vision_msgs(monkeypatch):
    """A stand-in: the package is not among the wheels."""
    module = SimpleNamespace(
        LabelInfo=lambda threshold: SimpleNamespace(header=SimpleNamespace(), class_map=[], threshold=threshold),
        Detection2DArray=SimpleNamespace,
        VisionClass=lambda class_id, class_name: (class_id, class_name),
    )
    monkeypatch.setattr(outputs, "vision_msgs", lambda: module)


def test_the_class_table_of_another_model_is_published_for_every_pair(vision_msgs, tmp_path):
    spec, network = read_model("demo")
    other = replace(spec, classes=tuple(replace(entry, name=f"other_{entry.name}") for entry in spec.classes))
    write_model(tmp_path / "other.safetensors", other, network.state_dict())
    values = {**defaults(), "pairs": ["left", "right"], "model.input_size": "32x64", "runtime.device": "cpu"}
    node = Node()
    configured = Configured(node, settings_of_pairs(values))

    order = []
    swap = configured.served.model.swap
    configured.served.model.swap = lambda loaded: (
        order.append(len(node.published["left/segmentation/label_info"])),
        swap(loaded),
    )
    configured.subscribe()
    configured.publish_labels()
    configured.served.loader.start(str(tmp_path / "other.safetensors"))
    configured.served.loader._thread.join(60)
    for pair in ("left", "right"):
        tables = [info.class_map for info in node.published[f"{pair}/segmentation/label_info"]]
        assert [table[1] for table in tables] == [(1, "car"), (1, "other_car")]
    # The table came before the model.
    assert order == [2]
    # The threshold that is set meanwhile is that of the other model too, and of its table.
    before = configured.tune(settings_of_pairs({**values, "output.threshold": 0.25}))
    assert set(before) == {"left", "right"}
    assert [info.threshold for info in node.published["right/segmentation/label_info"]] == [0.0, 0.0, 0.25]
    assert configured.served.model.loaded.segmenters["right"].settings.threshold == 0.25
    assert configured.tune(settings_of_pairs({**values, "output.threshold": 0.25})) == {}
    assert configured.served.model.spec.classes == other.classes
    assert configured.served.loader.state.startswith("loaded ")
    configured.close()
    assert sorted(node.destroyed) == sorted(node.published)


def test_a_model_that_is_ready_after_cleanup_comes_to_nothing(tmp_path):
    node = Node()
    configured = Configured(
        node, settings_of_pairs({**defaults(), "model.input_size": "32x64", "runtime.device": "cpu"})
    )
    before = configured.served.model.loaded
    configured.served.loader.close()
    configured.served.loader.start("demo")
    configured.served.loader._thread.join(60)
    assert configured.served.model.loaded is before
    assert before.first.spec.title == read_spec("demo").title


def configure(node, **changes):
    values = {**defaults(), "model.input_size": "32x64", "runtime.device": "cpu", "runtime.backend": "torch"}
    return Configured(node, settings_of_pairs({**values, **changes}))


@pytest.mark.parametrize("named", [True, False], ids=["worker_cores", "any"])
def test_engines_are_loaded_on_the_cores_of_the_worker_whoever_asks_for_them(monkeypatch, named):
    if len(PROCESS_CORES) < 2:
        pytest.skip("one core")
    callback, worker = min(PROCESS_CORES), max(PROCESS_CORES)
    seen, warmed = [], []
    open_engine, warm_up = shared_model.open_engine, shared_model.Segmenter.warm_up

    def spy(*arguments):
        # What an engine starts for itself has the cores of the thread that loads it.
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
        return open_engine(*arguments)

    def spy_warm_up(self, *arguments, **more):
        warmed.append(os.sched_getaffinity(0))
        warm_up(self, *arguments, **more)

    monkeypatch.setattr(shared_model, "open_engine", spy)
    monkeypatch.setattr(shared_model.Segmenter, "warm_up", spy_warm_up)
    configured = configure(Node(), **({"runtime.worker_cores": str(worker)} if named else {}))
    # Where callbacks run, and start the load of another model.
    with bound_to(frozenset({callback})):
        configured.served.loader.start("demo")
        configured.served.loader._thread.join(60)
    assert configured.served.loader.state.startswith("loaded ")
    expected = {worker} if named else PROCESS_CORES
    assert seen == [expected, expected]
    assert set(map(frozenset, warmed)) == {frozenset(expected)}
    assert os.sched_getaffinity(0) == PROCESS_CORES


def test_a_user_without_a_home_is_told_that_sizes_are_not_remembered(monkeypatch):
    from pathlib import Path

    for name in ("RGBT_SEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    node = Node()
    made = configure(node)
    try:
        assert sum("is not remembered: this user has no home" in sentence for sentence in node.said) == 1
        said = len(node.said)
        made.pairs[""].remember((480, 640))
        assert len(node.said) == said
    finally:
        made.close()


def test_no_number_of_threads_is_torchs_own_also_after_another(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "_TORCH_THREADS", 3)
    try:
        counts = []
        for threads in (1, 0, 2):
            configure(Node(), **{"runtime.threads": threads}).close()
            counts.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert counts == [1, 3, 2]


def test_without_a_number_of_threads_there_is_one_for_each_core_of_the_worker(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "_TORCH_THREADS", 3)
    one = {"runtime.worker_cores": str(min(PROCESS_CORES))}
    try:
        configure(Node(), **one).close()
        assert torch.get_num_threads() == 1
        configure(Node(), **one, **{"runtime.threads": 2}).close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_calibrations_that_follow_each_other_fast_are_told_of_once(monkeypatch):
    node = Node()
    configured = configure(node)
    take = configured.pairs[""].take
    node.said.clear()
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    ready = Aligner(None, AlignmentSettings())
    for _ in range(3):
        take(ready)
    assert len(node.said) == 1
    # What was waited for is told at once; the rest after a while.
    take(Aligner.awaiting(ready.settings, "rgb/camera_info"))
    take(ready)
    assert len(node.said) == 2
    now[0] += 6.0
    take(ready)
    assert len(node.said) == 3
