"""Upsampling and decision of the engines against torch's own interpolate, softmax and argmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as fn

from rgbt_seg_ros.pipeline.backends.masks import Upsample, decide_planes, linear_taps


@pytest.mark.parametrize(
    ("source", "target"), [((16, 24), (64, 96)), ((15, 20), (61, 79)), ((7, 9), (7, 9)), ((30, 40), (11, 13))]
)
def test_upsampling_by_rows_is_bilinear(source, target):
    logits = torch.randn(2, 5, *source, generator=torch.Generator().manual_seed(0))
    expected = fn.interpolate(logits, size=target, mode="bilinear", align_corners=False)
    assert torch.allclose(Upsample(source, target)(logits), expected, atol=1e-4)


def test_taps_stay_inside_and_mix_to_one():
    lower, upper, weight = linear_taps(3, 12)
    assert lower.min() == 0
    assert upper.max() == 2
    assert (weight >= 0).all()
    assert (weight <= 1).all()
    assert weight[6] == pytest.approx(0.125)


@pytest.mark.parametrize("classes", [2, 9, 40])
def test_the_decision_is_softmax_and_argmax_to_one_grey_level(classes):
    logits = 4 * torch.randn(2, classes, 33, 47, generator=torch.Generator().manual_seed(classes))
    best, expected = logits.softmax(1).max(1)
    label, confidence = decide_planes(logits)
    assert label.dtype == confidence.dtype == torch.uint8
    assert torch.equal(label.long(), expected)
    assert int((confidence.int() - (255 * best).round().int()).abs().max()) <= 1


def test_equals_go_to_the_lowest_class_and_255_classes_fit():
    logits = torch.zeros(1, 255, 2, 2)
    logits[:, 3:6] = 9.0
    logits[:, 254, 1, 1] = 50.0
    label, confidence = decide_planes(logits)
    assert label[0].tolist() == [[3, 3], [3, 254]]
    assert confidence[0, 1, 1] == 255


def test_one_class_is_certain_and_nan_is_label_zero_without_confidence():
    label, confidence = decide_planes(torch.tensor([[[[0.5, float("nan")]]]]))
    np.testing.assert_array_equal(confidence[0].numpy(), [[255, 0]])
    label, confidence = decide_planes(torch.full((1, 3, 1, 1), float("nan")))
    assert (label.item(), confidence.item()) == (0, 0)
