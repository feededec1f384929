"""What configure makes, without an executor: the class table before the first mask of another model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from builtin_interfaces.msg import Time

from rgbt_seg_ros.network import read_model, read_spec, write_model
from rgbt_seg_ros.nodes import outputs
from rgbt_seg_ros.nodes.configured import Configured
from rgbt_seg_ros.pipeline.pair_parameters import settings_of_pairs
from rgbt_seg_ros.pipeline.parameter_file import defaults


class Node:
    """Keeps what is published, by topic."""

    def __init__(self):
        self.published, self.destroyed = {}, []

    def create_lifecycle_publisher(self, kind, topic, qos):
        self.published[topic] = []
        return SimpleNamespace(topic=topic, publish=self.published[topic].append)

    def destroy_lifecycle_publisher(self, publisher):
        self.destroyed.append(publisher.topic)

    def get_fully_qualified_name(self):
        return "/node"

    def get_logger(self):
        return SimpleNamespace(info=print, error=print)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))


@pytest.fixture
def vision_msgs(monkeypatch):
    """A stand-in: the package is not among the wheels."""
    module = SimpleNamespace(
        LabelInfo=lambda: SimpleNamespace(header=SimpleNamespace(), class_map=[]),
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
    swap = configured.model.swap
    configured.model.swap = lambda loaded: (
        order.append(len(node.published["left/segmentation/label_info"])),
        swap(loaded),
    )
    configured.subscribe()
    configured.publish_labels()
    configured.loader.start(str(tmp_path / "other.safetensors"))
    configured.loader._thread.join(60)
    for pair in ("left", "right"):
        tables = [info.class_map for info in node.published[f"{pair}/segmentation/label_info"]]
        assert [table[1] for table in tables] == [(1, "car"), (1, "other_car")]
    # The table came before the model.
    assert order == [2]
    assert configured.model.spec.classes == other.classes
    assert configured.loader.state.startswith("loaded ")
    configured.close()
    assert sorted(node.destroyed) == sorted(node.published)


def test_a_model_that_is_ready_after_cleanup_comes_to_nothing(tmp_path):
    node = Node()
    configured = Configured(
        node, settings_of_pairs({**defaults(), "model.input_size": "32x64", "runtime.device": "cpu"})
    )
    before = configured.model.loaded
    configured.loader.close()
    configured.loader.start("demo")
    configured.loader._thread.join(60)
    assert configured.model.loaded is before
    assert before.first.spec.title == read_spec("demo").title
