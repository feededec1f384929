"""The stages give the outputs recorded from the authors' implementation, and the network has its size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.network.checkpoint import rename, rename_decoder, rename_fusion
from rgbt_seg_ros.network.decoder import PanetDecoder, TrainingOutput, merge_levels
from rgbt_seg_ros.network.frequency_fusion import FrequencyFusion
from rgbt_seg_ros.network.semantic_fusion import SemanticFusion

GOLDEN = Path(__file__).parent / "golden"


def load(module: torch.nn.Module, name: str, renamer) -> dict[str, torch.Tensor]:
    case = load_file(GOLDEN / f"{name}.safetensors")
    weights = {renamer(k.removeprefix("weights.")): v for k, v in case.items() if k.startswith("weights.")}
    module.load_state_dict(weights, strict=True)
    module.eval()
    return case


@pytest.mark.parametrize(
    ("name", "module"),
    [("frequency_fusion", FrequencyFusion(8)), ("semantic_fusion", SemanticFusion(32))],
)
def test_fusion_stage_gives_the_recorded_output(name, module):
    case = load(module, name, rename_fusion)
    with torch.inference_mode():
        fused = module(case["input.rgb"], case["input.thermal"])
    torch.testing.assert_close(fused, case["output.fused"], rtol=0, atol=1e-5)


def test_decoder_gives_the_recorded_logits():
    module = PanetDecoder((8, 16, 32, 64), 3)
    case = load(module, "panet_decoder", rename_decoder)
    levels = [case[f"input.level{i}"] for i in range(4)]
    size = case["output.logits"].shape[2:]
    with torch.inference_mode():
        torch.testing.assert_close(module(levels, size), case["output.logits"], rtol=0, atol=1e-5)
        pyramid = merge_levels(module, levels)
        auxiliary = torch.nn.functional.interpolate(
            module.auxiliary_head(pyramid[2]), size=size, mode="bilinear", align_corners=False
        )
    torch.testing.assert_close(auxiliary, case["output.auxiliary"], rtol=0, atol=1e-5)


def test_official_layout_is_ours_after_renaming():
    layout = json.loads((GOLDEN / "checkpoint_layout_nano_9.json").read_text())
    with torch.device("meta"):
        state = FusionNetwork("nano", 9).state_dict()
    assert {rename(key): shape for key, shape in layout.items()} == {k: list(v.shape) for k, v in state.items()}


@pytest.mark.parametrize(("variant", "millions"), [("nano", 35.52), ("tiny", 63.71), ("base", 189.54)])
def test_parameter_count_is_the_papers(variant, millions):
    with torch.device("meta"):
        network = FusionNetwork(variant, 9)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


def test_parameter_count_as_the_paper_counts():
    # 35.43 M is what a counter gives that knows convolutions and batch norms only: without GRN, res_scale and the
    # encoders' layer norms.
    with torch.device("meta"):
        network = FusionNetwork("nano", 9)
    counted = sum(
        parameter.numel()
        for module in network.modules()
        if isinstance(module, (torch.nn.Conv2d, torch.nn.BatchNorm2d))
        for parameter in module.parameters(recurse=False)
    )
    assert round(counted / 1e6, 2) == 35.43


@pytest.mark.parametrize(
    ("variant", "giga", "digits"),
    [
        ("nano", 51.39, 2),
        *(pytest.param(*row, marks=pytest.mark.nightly) for row in (("tiny", 85.4, 1), ("base", 242.8, 1))),
    ],
)
def test_multiply_accumulates_at_480_by_640_are_the_papers(variant, giga, digits):
    # The figures hold for the training graph with its deep heads, without the auxiliary head on N3.
    with torch.device("meta"):
        network = FusionNetwork(variant, 9).train()
        counter = FlopCounterMode(display=False)
        with counter:
            network(torch.empty(1, 3, 480, 640), torch.empty(1, 1, 480, 640))
    counts = counter.get_flop_counts()
    auxiliary = sum(counts["FusionNetwork.decoder.auxiliary_head"].values())
    assert auxiliary > 0
    assert round((counter.get_total_flops() - auxiliary) / 2 / 1e9, digits) == giga


def test_evaluation_computes_no_training_head():
    network = FusionNetwork("atto", 4).eval()

    def refuse(*_):
        raise AssertionError("a training head ran")

    for head in (network.decoder.auxiliary_head, *network.decoder.deep_heads):
        head.register_forward_pre_hook(refuse)
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    assert logits.shape == (1, 4, 64, 64)


@pytest.mark.parametrize("size", [(33, 47), (32, 32), (100, 70)])
def test_any_input_size_and_class_count(size):
    network = FusionNetwork("atto", 1).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, *size), torch.zeros(2, 1, *size))
        assert logits.shape == (2, 1, *size)
        assert network(torch.zeros(1, 3, *size), torch.zeros(1, 1, *size), (20, 30)).shape == (1, 1, 20, 30)


def test_training_returns_every_head_at_the_input_size():
    output = FusionNetwork("atto", 3).train()(torch.zeros(2, 3, 64, 96), torch.zeros(2, 1, 64, 96))
    assert isinstance(output, TrainingOutput)
    assert {t.shape for t in (output.logits, output.auxiliary, *output.deep)} == {(2, 3, 64, 96)}
    assert len(output.deep) == 4
