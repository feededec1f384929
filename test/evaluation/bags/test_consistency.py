"""Label flips from mask to mask."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.evaluation.bags.consistency import flips

BEFORE = np.array([[0, 1, 255], [2, 2, 2]], np.uint8)
AFTER = np.array([[0, 2, 1], [2, 255, 1]], np.uint8)


def test_pixels_that_changed_are_counted_where_both_masks_have_a_label():
    found = flips(BEFORE, AFTER, 500_000_000)
    assert (found.changed, found.compared) == (2, 4)
    assert found.step_ns == 500_000_000


@pytest.mark.parametrize("step", [0, -5, 1_000_000_001])
def test_masks_too_far_apart_or_out_of_order_are_not_compared(step):
    assert flips(BEFORE, AFTER, step) is None


def test_masks_of_other_sizes_are_not_compared():
    assert flips(BEFORE, AFTER[:, :2], 1) is None
