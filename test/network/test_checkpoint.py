"""Official checkpoints are imported strictly, EMA first, and none of their own code is ever run."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from rgbt_seg_ros.network import ModelFileError
from rgbt_seg_ros.network.checkpoint import _shape_of_model, import_checkpoint, official_name, rename
from rgbt_seg_ros.network.conventions import MFNET, PST900
from rgbt_seg_ros.network.encoders import VARIANTS
from rgbt_seg_ros.network.frequency_fusion import gaussian_kernel
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.spec import ClassInfo

GOLDEN = Path(__file__).parent / "golden"
BIAS = "decoder.seg_head.4.bias"


def official_state(shapes: dict) -> dict[str, torch.Tensor]:
    """Random weights under official names."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(1)
        elif key.endswith("running_var"):
            state[key] = torch.ones(shape)
        elif key.endswith("lowpass.kernel"):
            state[key] = gaussian_kernel().expand(tuple(shape)).clone()
        else:
            state[key] = 0.05 * torch.randn(tuple(shape), generator=generator)
    return state


def shapes_of(variant: str, num_classes: int) -> dict:
    with torch.device("meta"):
        network = FusionNetwork(variant, num_classes)
    return {official_name(key): tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def atto():
    return official_state(shapes_of("atto", 9))


@pytest.fixture
def saved(tmp_path):
    def save(content) -> Path:
        path = tmp_path / "best.pth"
        torch.save(content, path)
        return path

    return save


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        import_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_names_map_both_ways_onto_the_official_layout():
    layout = json.loads((GOLDEN / "checkpoint_layout_nano_9.json").read_text())
    assert {key: list(shape) for key, shape in shapes_of("nano", 9).items()} == layout
    assert all(official_name(rename(key)) == key for key in layout)


def test_an_official_nano_checkpoint_imports_and_runs(saved):
    layout = json.loads((GOLDEN / "checkpoint_layout_nano_9.json").read_text())
    state = official_state(layout)
    config = {
        "rgb_arch": "convnextv2_nano",
        "num_classes": 9,
        "img_height": 240,
        "img_width": 320,
        "out": Path("/x/y"),
    }
    content = {"model_state_dict": state, "config": config, "best_miou": np.float64(61.5), "epoch": 88}
    spec, network = import_checkpoint(saved(content), command="rgbt-seg model import best.pth")
    assert (spec.variant, spec.classes, spec.input_size, spec.thermal) == (
        "nano",
        MFNET.classes,
        (240, 320),
        MFNET.thermal,
    )
    assert spec.provenance.trained
    assert spec.provenance.metrics == {"reported_miou": 61.5, "epoch": 88.0}
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[official_name(key)]), key
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 70, 95), torch.randn(1, 1, 70, 95))
    assert logits.shape == (1, 9, 70, 95)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_and_class_count_come_from_the_tensors(variant):
    # The biggest variants weigh a gigabyte: only the finding is under test, on shapes.
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes_of(variant, 5).items()}
    assert _shape_of_model(state, Path("best.pth")) == (variant, 5)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}}]
)
def test_a_bare_state_dict_and_a_module_prefix_are_read(atto, saved, wrap):
    spec, network = import_checkpoint(saved(wrap(atto)))
    assert spec.variant == "atto"
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], atto[BIAS])


def test_averaged_weights_replace_the_trained_ones_and_nothing_else(atto, saved):
    average = {f"module.{BIAS}": torch.full((9,), 7.0)}
    _, network = import_checkpoint(saved({"model_state_dict": atto, "ema_state_dict": average}))
    for key, tensor in network.state_dict().items():
        name = official_name(key)
        assert torch.equal(tensor, torch.full((9,), 7.0) if name == BIAS else atto[name]), name


def test_a_checkpoint_without_training_heads_is_read(atto, saved):
    state = {key: t for key, t in atto.items() if "aux_head" not in key and "deep_heads" not in key}
    _, network = import_checkpoint(saved(state))
    assert network.decoder.deep_heads is None


def test_five_classes_are_pst900(saved):
    spec, _ = import_checkpoint(saved(official_state(shapes_of("atto", 5))))
    assert (spec.classes, spec.input_size, spec.thermal) == (PST900.classes, (720, 1280), PST900.thermal)


def test_another_class_count_needs_a_table_of_that_length(saved):
    path = saved(official_state(shapes_of("atto", 2)))
    assert "2 classes" in refusal(path)
    table = (ClassInfo(0, "other", (0, 0, 0)), ClassInfo(1, "deer", (255, 0, 0)))
    assert import_checkpoint(path, classes=table)[0].classes == table
    with pytest.raises(ModelFileError, match="table has 1"):
        import_checkpoint(path, classes=table[:1])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda s: [s.pop(key) for key in list(s) if "td_convs.1" in key],
            "missing (decoder.td_convs.1.0.weight",
        ),
        (lambda s: s.update({"decoder.extra": torch.ones(1)}), "1 tensors unexpected (decoder.extra)"),
        (lambda s: s.update({"decoder.head.4.bias": s[BIAS]}), "1 tensors unexpected (decoder.head.4.bias)"),
        (lambda s: s.update({BIAS: torch.ones(3)}), f"{BIAS} (3,) instead of (9,)"),
        (lambda s: s.update({BIAS: s[BIAS].int()}), f"{BIAS} torch.int32"),
        (lambda s: s.update({BIAS: s[BIAS] * float("nan")}), "not finite"),
        (lambda s: s.update({"fusion_stage1.lowpass.kernel": torch.full((40, 1, 7, 7), 1 / 49)}), "Gaussian"),
        (
            lambda s: s.update({"decoder.seg_head.4.weight": torch.tensor(1.0)}),
            "not a checkpoint of the fusion network",
        ),
        (lambda s: s.clear(), "not a checkpoint of the fusion network"),
    ],
)
def test_what_differs_is_named_as_the_file_names_it(atto, saved, change, expected):
    state = dict(atto)
    change(state)
    assert expected in refusal(saved({"model_state_dict": state}))


def test_an_average_of_unknown_tensors_is_refused(atto, saved):
    assert "stranger" in refusal(saved({"model_state_dict": atto, "ema_state_dict": {"stranger": torch.ones(1)}}))


class RunsCode:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_in_a_checkpoint_is_not_run(atto, saved, tmp_path):
    trace = tmp_path / "ran"
    message = refusal(saved({"model_state_dict": atto, "config": RunsCode(f"touch {trace}")}))
    assert "run the file's own code" in message
    assert "weights_only" not in message
    assert not trace.exists()


def test_other_files_are_refused(tmp_path, atto, saved):
    whole = saved(atto).read_bytes()
    broken = tmp_path / "broken.pth"
    for content in (b"", b"text", whole[:1000], whole[: len(whole) // 2]):
        broken.write_bytes(content)
        assert "not a whole torch checkpoint" in refusal(broken)
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("a.txt", "b")
    assert "not a whole torch checkpoint" in refusal(broken)
    assert "no such checkpoint" in refusal(tmp_path / "none.pth")
    assert "not a file" in refusal(tmp_path)
    assert "not a checkpoint's dictionary" in refusal(saved([1]))
