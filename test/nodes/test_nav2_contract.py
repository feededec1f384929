"""What Nav2's semantic segmentation layer reads of the masks, by the rules of its source; and the bond it is managed with."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header

from rgbt_seg_ros.nodes.bond import LifecycleBond
from rgbt_seg_ros.nodes.conversions import image_message
from rgbt_seg_ros.pipeline.reduction import reduce_masks


def buffered(mask, confidence, cloud):
    """Return (class id, confidence) of each point, or None where the layer does not buffer the mask."""
    height, width = cloud
    if mask.width * mask.height != width * height or len(mask.data) < mask.width * mask.height:
        return None
    # Encoding, step and the size of the confidence mask are not looked at.
    pixels = [v * mask.width + u for v in range(mask.height) for u in range(mask.width)]
    return [(mask.data[pixel], confidence.data[pixel]) for pixel in pixels]


def messages(label, confidence):
    return [image_message(Header(), mask) for mask in (label, confidence)]


def test_each_point_gets_the_label_and_the_confidence_of_its_pixel():
    rng = np.random.default_rng(1)
    # A view whose rows have gaps: what is sent has none.
    label, confidence = (rng.integers(0, 256, (12, 40), dtype=np.uint8)[:, ::2] for _ in range(2))
    found = buffered(*messages(label, confidence), (12, 20))
    assert found == list(zip(label.ravel().tolist(), confidence.ravel().tolist(), strict=True))


def test_masks_in_the_size_of_the_cloud_are_buffered_and_others_are_not():
    label, confidence = np.full((48, 64), 3, np.uint8), np.full((48, 64), 200, np.uint8)
    assert buffered(*messages(label, confidence), (24, 32)) is None
    reduced = reduce_masks(label, confidence, (24, 32))
    assert buffered(*messages(*reduced), (24, 32)) == [(3, 200)] * (24 * 32)


class Log:
    def __init__(self):
        self.lines = []
        self.info = self.warning = self.error = self.lines.append


@pytest.fixture
def bonds(monkeypatch):
    """bondpy as its source has it: what was made, started and ended."""
    made = []

    class Bond:
        def __init__(self, node, topic, bond_id, on_broken=None, on_formed=None):
            self.topic, self.id, self.started, self.ended = topic, bond_id, 0, 0
            made.append(self)

        def start(self):
            assert (self.heartbeat_period, self.heartbeat_timeout) == (0.1, 4.0)
            self.started += 1

        def shutdown(self):
            self.ended += 1

    package, module = ModuleType("bondpy"), ModuleType("bondpy.bondpy")
    module.Bond, package.bondpy = Bond, module
    monkeypatch.setitem(sys.modules, "bondpy", package)
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    return made


def test_there_is_one_bond_at_a_time_also_after_another_activation(bonds):
    log = Log()
    bond = LifecycleBond(SimpleNamespace(get_name=lambda: "rgbt_segmentation", get_logger=lambda: log))
    bond.start()
    bond.start()
    assert [(made.topic, made.id, made.started, made.ended) for made in bonds] == [("bond", "rgbt_segmentation", 1, 0)]
    bond.end()
    bond.end()
    bond.start()
    assert [(made.started, made.ended) for made in bonds] == [(1, 1), (1, 0)]
    assert log.lines == []


def test_without_bondpy_the_way_out_is_logged_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "bondpy", None)
    log = Log()
    bond = LifecycleBond(SimpleNamespace(get_logger=lambda: log))
    for _ in range(2):
        bond.start()
        bond.end()
    (line,) = log.lines
    assert "bond_timeout: 0.0" in line


def test_a_bond_that_cannot_be_made_costs_no_mask(bonds, monkeypatch):
    def refuse(self):
        raise RuntimeError("no connect timer")

    monkeypatch.setattr(sys.modules["bondpy.bondpy"].Bond, "start", refuse)
    log = Log()
    bond = LifecycleBond(SimpleNamespace(get_name=lambda: "n", get_logger=lambda: log))
    bond.start()
    bond.end()
    assert log.lines == ["no bond: RuntimeError: no connect timer"]
