from __future__ import annotations

import numpy as np

from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.training.pictures import picture_grid
from rgbt_seg_ros.training.validation import Item, Shown


def shown(height: int, width: int) -> Shown:
    label = np.zeros((height, width), np.uint8)
    item = Item(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8), label)
    return Shown(item, label + 1, label + 255)


def test_a_row_a_sample_with_truth_and_prediction_apart() -> None:
    grid = picture_grid([shown(96, 128), shown(96, 200)], MFNET.classes, height=60)
    assert grid.shape == (120, 5 * 125, 3)
    truth, prediction = grid[40, 2 * 80 + 40], grid[40, 3 * 80 + 40]
    assert truth.tolist() == [0, 0, 0]
    car = np.array(MFNET.classes[1].color) * 0.6
    assert np.abs(prediction - car).max() <= 1
