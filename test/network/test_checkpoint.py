"""Official checkpoints are imported strictly, EMA first, and none of their own code is ever run."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
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
HEAD = "decoder.seg_head.4.weight"


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


def under(prefix: str, state: dict) -> dict:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


WRAPPED = {
    "bare": lambda s: s,
    "DataParallel": lambda s: {"model_state_dict": under("module.", s)},
    "torch.compile": lambda s: {"model_state_dict": under("_orig_mod.", s)},
    "compiled within DataParallel": lambda s: under("module._orig_mod.", s),
    "only the decoder compiled": lambda s: {k.replace("decoder.", "decoder._orig_mod."): v for k, v in s.items()},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "Lightning": lambda s: {"state_dict": under("model.", s) | {"loss.weight": torch.ones(9)}, "loops": {"fit": {}}},
    "AveragedModel": lambda s: under("module.", s) | {"n_averaged": torch.tensor(5)},
    "only an average": lambda s: {"ema": {"decay": torch.tensor(0.9), "module": s}},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_the_weights_are_found_under_the_names_that_training_programs_give(atto, saved, wrap):
    spec, network = import_checkpoint(saved(wrap(atto)))
    assert spec.variant == "atto"
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], atto[BIAS])


AVERAGED = {
    "timm": lambda s, a: {"state_dict": s, "state_dict_ema": a},
    "torchvision": lambda s, a: {"model": s, "model_ema": under("module.", a) | {"n_averaged": torch.tensor(5)}},
    "nested": lambda s, a: {"state": {"net": s, "ema": {"decay": 0.99, "shadow": a}}},
    "Lightning": lambda s, a: {"state_dict": under("model.", s) | under("ema_model.module.", a)},
}


@pytest.mark.parametrize("wrap", AVERAGED.values(), ids=AVERAGED.keys())
def test_averaged_weights_are_taken_wherever_they_lie(atto, saved, wrap):
    average = {
        key: torch.full_like(tensor, 7.0) for key, tensor in atto.items() if key.startswith("decoder.seg_head.4")
    }
    _, network = import_checkpoint(saved(wrap(atto, average)))
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], torch.full((9,), 7.0))
    assert torch.equal(network.state_dict()["decoder.head.4.weight"], torch.full_like(atto[HEAD], 7.0))
    assert torch.equal(
        network.state_dict()[rename("decoder.lateral_convs.0.0.weight")], atto["decoder.lateral_convs.0.0.weight"]
    )


def test_weights_names_the_table_to_read(atto, saved):
    other = atto | {BIAS: torch.full((9,), 3.0)}
    path = saved({"student": atto, "teacher": other, "teacher_ema": {BIAS: torch.full((9,), 4.0)}})
    assert (
        "holds several sets of weights; choose one with --weights NAME, of 'student', 'teacher', 'teacher_ema'"
        in refusal(path)
    )
    for chosen, expected in (("student", atto[BIAS]), ("teacher", other[BIAS])):
        _, network = import_checkpoint(path, weights=chosen)
        assert torch.equal(network.state_dict()["decoder.head.4.bias"], expected)
    with pytest.raises(ModelFileError, match="--weights tutor: not in the file; expected 'student', 'teacher'"):
        import_checkpoint(path, weights="tutor")

    path = saved({"model_state_dict": atto, "ema_state_dict": {BIAS: torch.full((9,), 4.0)}})
    _, network = import_checkpoint(path, weights="model_state_dict")
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], atto[BIAS])


def test_an_average_without_names_is_named_with_the_way_out(atto, saved):
    path = saved({"model": atto, "ema": {"decay": 0.99, "shadow_params": [atto[BIAS]]}})
    assert "'ema.shadow_params' holds averaged weights without their names" in refusal(path)
    assert refusal(path).endswith("--weights model takes those that were trained")
    assert import_checkpoint(path, weights="model")[0].variant == "atto"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_float_types_are_read_with_the_exact_filter(atto, saved, dtype):
    state = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in atto.items()}
    _, network = import_checkpoint(saved(state))
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], state[BIAS].float())
    kernel = network.state_dict()["fusion.0.low_pass.kernel"]
    assert torch.allclose(kernel, gaussian_kernel().expand_as(kernel), rtol=1e-6, atol=0)


def test_the_format_before_torch_1_6_is_read(atto, tmp_path):
    path = tmp_path / "legacy.pth"
    torch.save({"model_state_dict": atto}, path, _use_new_zipfile_serialization=False)
    _, network = import_checkpoint(path)
    assert torch.equal(network.state_dict()["decoder.head.4.bias"], atto[BIAS])

    trace = tmp_path / "ran"
    torch.save({"state": atto, "config": RunsCode(f"touch {trace}")}, path, _use_new_zipfile_serialization=False)
    assert "run the file's own code" in refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("odd", [torch.ones(9).to_sparse(), torch.ones(9, device="meta")])
def test_tensors_that_are_not_plain_are_refused(atto, saved, odd):
    assert f"{BIAS}: sparse, quantized or without values" in refusal(saved(atto | {BIAS: odd}))


def test_a_torchscript_archive_is_named(tmp_path):
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    assert "a TorchScript archive, which is a program" in refusal(path)


def test_no_advice_to_load_unsafely_and_no_traceback_from_damaged_files(atto, saved, tmp_path):
    torch.save(atto, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    random = np.random.default_rng(7)
    damaged = tmp_path / "damaged.pth"
    for whole in (saved(atto).read_bytes(), (tmp_path / "legacy.pth").read_bytes()):
        for position in random.integers(0, 30_000, 8):
            content = bytearray(whole)
            content[position] ^= 1 << int(random.integers(8))
            damaged.write_bytes(content)
            with suppress(ModelFileError):
                import_checkpoint(damaged)  # a flipped bit of a weight is not noticed
        for length in (100, 5_000, len(whole) // 2, len(whole) - 100):
            damaged.write_bytes(whole[:length])
            message = refusal(damaged)
            assert "weights_only" not in message
            assert "trust" not in message


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
