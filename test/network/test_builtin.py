"""Untrained models: the same for the same seed, and not one flat class."""

from __future__ import annotations

import torch

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.network.builtin import demo_spec, new_network


def test_the_seed_decides_and_torchs_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (new_network(demo_spec(), seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["decoder.head.4.weight"], other["decoder.head.4.weight"])


def test_the_demo_model_is_untrained_and_says_so():
    spec, network = read_model("demo")
    assert (spec.variant, spec.num_classes, spec.input_size) == ("atto", 9, (480, 640))
    assert not spec.provenance.trained
    assert "untrained" in spec.provenance.source
    assert not network.training


def test_the_demo_models_mask_has_more_than_one_class():
    _, network = read_model("demo")
    y, x = torch.meshgrid(torch.linspace(-2, 2, 120), torch.linspace(-2, 2, 160), indexing="ij")
    block = ((x.abs() < 1) & (y.abs() < 0.7)).float()
    rgb = torch.stack((x, y, 2 * block - 1))[None]
    with torch.inference_mode():
        labels = network(rgb, 3 * block[None, None] - 1).argmax(1)
    assert (torch.bincount(labels.flatten(), minlength=9) > 0.01 * labels.numel()).sum() >= 2
