"""The models that come with the package: the demo model, and untrained ones."""

from __future__ import annotations

import torch

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.network.builtin import DEMO, new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET

UNTRAINED = untrained_spec("atto", MFNET, seed=0)


def test_the_seed_decides_and_torchs_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (new_network(UNTRAINED, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["decoder.head.4.weight"], other["decoder.head.4.weight"])


def test_the_demo_model_says_what_it_was_trained_on_and_that_it_is_a_demonstration():
    spec, network = read_model("demo")
    assert (spec.num_classes, spec.classes) == (9, MFNET.classes)
    assert spec.provenance.trained
    assert "synthetic:" in spec.provenance.data
    assert "demonstration" in spec.provenance.source
    assert "rgbt-seg train" in spec.provenance.command
    assert spec.provenance.metrics["miou"] > 0.5
    assert not network.training


def test_the_demo_model_is_small_enough_to_ship():
    assert DEMO.stat().st_size <= 25e6


def test_an_untrained_models_mask_has_more_than_one_class():
    network = new_network(UNTRAINED, seed=0)
    y, x = torch.meshgrid(torch.linspace(-2, 2, 120), torch.linspace(-2, 2, 160), indexing="ij")
    block = ((x.abs() < 1) & (y.abs() < 0.7)).float()
    rgb = torch.stack((x, y, 2 * block - 1))[None]
    with torch.inference_mode():
        labels = network(rgb, 3 * block[None, None] - 1).argmax(1)
    assert (torch.bincount(labels.flatten(), minlength=9) > 0.01 * labels.numel()).sum() >= 2
