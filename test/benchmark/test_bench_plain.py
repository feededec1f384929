"""Plain eager is the network itself, and its auxiliary head is that of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rgbt_seg_ros.benchmark.agreement import agreement
from rgbt_seg_ros.benchmark.plain import PlainEager
from rgbt_seg_ros.benchmark.settings import load
from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), rng.integers(0, 256, (64, 96), dtype=np.uint8)


def test_its_masks_are_those_of_the_eager_engine(pair):
    spec, network = load("demo")
    label, confidence = PlainEager(network, spec, "cpu")(pair)
    other = TorchEngine(EngineRequest(load("demo")[1], spec, device="cpu", precision="fp32")).infer([pair], (64, 96))[0]
    assert label.shape == confidence.shape == (64, 96)
    assert (label == other.label).mean() > 0.999
    assert np.abs(confidence.astype(int) - other.confidence).max() <= 1


def test_the_auxiliary_head_reads_what_it_reads_in_training(pair):
    spec, network = load("atto")
    assert network.decoder.auxiliary_head is not None
    plain = PlainEager(network, spec, "cpu")
    plain(pair)
    found = plain.auxiliary
    # The decoder alone in training mode gives all heads; its norms and dropout stay as they are.
    network.decoder.training = True
    expected = []
    network.decoder.register_forward_hook(lambda module, arguments, output: expected.append(output))
    rgb, thermal = plain._load(pair[0], plain._rgb), plain._load(pair[1], plain._thermal)
    with torch.inference_mode():
        network(rgb, thermal)
    torch.testing.assert_close(found, expected[0].auxiliary)


def test_a_model_without_the_head_gets_one(pair):
    spec, network = load("atto")
    network.decoder.auxiliary_head = None
    plain = PlainEager(network, spec, "cpu")
    plain(pair)
    assert plain.auxiliary.shape == (1, spec.num_classes, 64, 96)


def test_the_forward_is_timed_with_every_call(pair):
    spec, network = load("atto")
    plain = PlainEager(network, spec, "cpu")
    plain(pair)
    plain(pair)
    assert len(plain.forward_seconds) == 2
    assert min(plain.forward_seconds) > 0


def test_a_variant_has_the_same_weights_every_time():
    first, second = (load("atto")[1].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_agreement_counts_pixels_over_scenes_and_names_the_worst():
    zeros = np.zeros((4, 5), np.uint8)
    label = zeros.copy()
    label[0] = 3
    confidence = zeros.copy()
    confidence[0, 0] = 200
    found = agreement([(zeros, zeros), (label, zeros)], [(zeros, zeros), (zeros, confidence)])
    assert found.labels == pytest.approx(0.875)
    assert found.worst_scene == pytest.approx(0.75)
    assert found.largest_class == pytest.approx(35 / 40)
    assert found.scenes == 2
    assert 0 < found.confidence_p99 <= 200


def test_agreement_refuses_masks_of_another_size():
    with pytest.raises(ValueError, match="do not belong"):
        agreement([(np.zeros((2, 2), np.uint8),) * 2], [(np.zeros((2, 3), np.uint8),) * 2])
