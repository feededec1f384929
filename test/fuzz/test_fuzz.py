"""Short forms of the fuzz programs in benchmarks/: the same checks on fewer messages and files."""

from __future__ import annotations

import importlib.util

import pytest
from fuzz_files import fuzz as fuzz_files
from fuzz_node import fuzz as fuzz_node


def test_damaged_files_end_every_command_with_one_sentence(tmp_path):
    report = fuzz_files(cuts=3, flips=4, seed=2, folder=tmp_path)
    assert report["problems"] == []
    assert len(report["commands"]) == 9
    assert sum(report["commands"].values()) >= 70


@pytest.mark.skipif(importlib.util.find_spec("rclpy") is None, reason="rclpy is not installed")
def test_the_node_survives_nonsense_counts_it_and_goes_on(tmp_path):
    report = fuzz_node(messages=150, seed=2, folder=tmp_path)
    assert report["problems"] == [], report["log"]
