from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import write_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET, PST900
from rgbt_seg_ros.network.encoders import encoder
from rgbt_seg_ros.training import initialise
from rgbt_seg_ros.training.initialise import initial_network

SPEC = untrained_spec("atto", MFNET, 0, (64, 64))


def test_random_weights_are_those_of_the_seed() -> None:
    one, words = initial_network("random", SPEC, 3, True)
    same, _ = initial_network("random", SPEC, 3, False)
    other, _ = initial_network("random", SPEC, 4, True)
    assert words == "random weights"
    assert not any("deep_heads" in key for key in same.state_dict())
    assert all(torch.equal(tensor, one.state_dict()[key]) for key, tensor in same.state_dict().items())
    assert not torch.equal(one.rgb_encoder.stem_0.weight, other.rgb_encoder.stem_0.weight)


def unreachable(variant: str, channels: int) -> nn.Module:
    raise OSError("no route\nto the hub")


def test_without_the_hub_auto_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(initialise, "_pretrained", unreachable)
    network, words = initial_network("auto", SPEC, 3, True)
    printed = capsys.readouterr().out
    assert printed == (
        "no ImageNet weights for convnextv2_atto (OSError: no route to the hub); starting from random weights\n"
    )
    assert words == "random weights"
    initial_network("auto", SPEC, 3, True, show=False)
    assert capsys.readouterr().out == ""
    expected = new_network(SPEC, 3).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


def test_without_the_hub_imagenet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initialise, "_pretrained", unreachable)
    with pytest.raises(
        UserError, match="initialisation: 'imagenet', but the weights of convnextv2_atto cannot be downloaded"
    ):
        initial_network("imagenet", SPEC, 0, True)


def test_imagenet_weights_go_into_both_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}

    def remember(variant: str, channels: int) -> nn.Module:
        made[channels] = encoder(variant, channels)
        return made[channels]

    monkeypatch.setattr(initialise, "_pretrained", remember)
    network, words = initial_network("imagenet", SPEC, 0, True)
    assert "convnextv2_atto.fcmae_ft_in1k" in words
    for ours, theirs in ((network.rgb_encoder, made[3]), (network.thermal_encoder, made[1])):
        assert all(torch.equal(t, ours.state_dict()[key]) for key, t in theirs.state_dict().items())


def test_a_model_file_without_training_heads_can_be_trained_on(tmp_path: Path) -> None:
    source = new_network(SPEC, 9)
    state = {k: t for k, t in source.state_dict().items() if "deep_heads" not in k and "auxiliary" not in k}
    write_model(tmp_path / "start.safetensors", SPEC, state)
    network, words = initial_network(str(tmp_path / "start.safetensors"), SPEC, 0, True)
    assert words.startswith("the model file start.safetensors")
    found = network.state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in state.items())
    assert any("deep_heads" in key for key in found)


def test_a_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "start.safetensors", SPEC, new_network(SPEC, 9).state_dict())
    wanted = replace(SPEC, classes=PST900.classes)
    with pytest.raises(
        UserError,
        match=r"start\.safetensors: its variant is atto and its classes are unlabeled, car.*expected atto and background",
    ):
        initial_network(str(tmp_path / "start.safetensors"), wanted, 0, True)
