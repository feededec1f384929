"""Reading a data set in processes: the same samples, in order, and one sentence for what goes wrong in them."""

from __future__ import annotations

import multiprocessing
import os
from itertools import islice

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.parallel_reading import default_workers, read_in_order
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.data.synthetic import SyntheticScenes

SIZE = (48, 64)


@pytest.fixture
def dataset(tmp_path):
    """Return data with boxes, of which sample 9 cannot be read."""
    for folder in ("rgb", "thermal", "boxes"):
        (tmp_path / folder).mkdir()
    for index in range(12):
        name = f"{index:02d}"
        assert cv2.imwrite(str(tmp_path / "rgb" / f"{name}.png"), np.full((*SIZE, 3), index, np.uint8))
        assert cv2.imwrite(str(tmp_path / "thermal" / f"{name}.png"), np.full(SIZE, index, np.uint8))
        (tmp_path / "boxes" / f"{name}.txt").touch()
    (tmp_path / "rgb" / "09.png").write_bytes(b"no picture")
    return open_dataset(f"boxes:{tmp_path}")


def test_samples_come_in_order_from_other_processes_and_an_error_at_its_place(dataset):
    indices = [5, 3, 4, 0, 1, 2, 8, 7, 9, 10]
    samples = read_in_order(dataset, indices, 2)
    found = [next(samples)]
    assert len(multiprocessing.active_children()) == 2
    found += islice(samples, 7)
    assert [(sample.name, int(sample.rgb[0, 0, 0])) for sample in found] == [(f"{i:02d}", i) for i in indices[:8]]
    with pytest.raises(DataError, match=r"09\.png"):
        next(samples)
    assert multiprocessing.active_children() == []


def test_a_killed_worker_is_one_sentence():
    samples = read_in_order(SyntheticScenes(1000, 3, SIZE), range(1000), 2)
    next(samples)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(DataError, match="synthetic:1000@3: a process that reads it ended"):
        list(samples)


def test_one_worker_is_this_process(dataset):
    samples = read_in_order(dataset, [3, 1], 1)
    assert next(samples).name == "03"
    assert multiprocessing.active_children() == []


def test_few_samples_need_no_processes():
    assert default_workers(1) == default_workers(20) == 1
    assert default_workers(10**6) == len(os.sched_getaffinity(0))
