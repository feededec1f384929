"""Import of the authors' checkpoints (arXiv 2605.26273), strictly and without running a line of what they pickle."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from rgbt_seg_ros.network.conventions import BY_CLASS_COUNT
from rgbt_seg_ros.network.encoders import VARIANTS
from rgbt_seg_ros.network.frequency_fusion import gaussian_kernel
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.model_file import ModelFileError, build, check_tensors, has_deep_supervision
from rgbt_seg_ros.network.spec import ClassInfo, ModelSpec, Provenance
from rgbt_seg_ros.network.torch_file import read_torch_file
from rgbt_seg_ros.network.weights import choose_weights

# Start of the official name → its start here, within a fusion stage and within the decoder. A name that is not listed is the
# same in both.
_STAGE = {
    "ir_proj.": "thermal_projection.",
    "lowpass.": "low_pass.",
    "sa_low.": "low_attention.",
    "sa_high.": "high_attention.",
    "freq_gate.1.": "band_gate.",
    "fusion_block.rgb_gate.gate.": "rgb_gate.",
    "fusion_block.refine.": "residual.",
    "ms_conv_3x3.": "branch_3x3.",
    "ms_conv_5x5.": "branch_5x5.",
    "ms_fusion.": "merge.",
    "spatial_attention.0.": "spatial_attention.",
    "res_scale": "residual_scale",
}
_DECODER = {
    "lateral_convs.": "lateral.",
    "td_convs.": "top_down.",
    "bu_convs.": "bottom_up.",
    "bu_merge_convs.": "merge.",
    "global_context.": "context.",
    "agg_conv.": "aggregate.",
    "seg_head.": "head.",
    "aux_head.": "auxiliary_head.",
}


def _replace_start(name: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in table.items()}


def rename_fusion(rest: str) -> str:
    """Turn an official name within a fusion stage into ours."""
    return _replace_start(rest, _STAGE)


def rename_decoder(rest: str) -> str:
    """Turn an official name within the decoder into ours."""
    return _replace_start(rest, _DECODER)


def rename(key: str) -> str:
    """Turn an official tensor name into ours; another name is returned unchanged."""
    if key.startswith("ir_encoder."):
        return "thermal_encoder." + key.removeprefix("ir_encoder.")
    if match := re.match(r"fusion_stage([1-4])\.(.*)", key):
        return f"fusion.{int(match[1]) - 1}.{rename_fusion(match[2])}"
    if key.startswith("decoder."):
        return "decoder." + rename_decoder(key.removeprefix("decoder."))
    return key


def official_name(key: str) -> str:
    """Turn one of our tensor names into the official one: the inverse of ``rename``."""
    if key.startswith("thermal_encoder."):
        return "ir_encoder." + key.removeprefix("thermal_encoder.")
    if match := re.match(r"fusion\.([0-3])\.(.*)", key):
        return f"fusion_stage{int(match[1]) + 1}.{_replace_start(match[2], _inverse(_STAGE))}"
    if key.startswith("decoder."):
        return "decoder." + _replace_start(key.removeprefix("decoder."), _inverse(_DECODER))
    return key


def _shape_of_model(state: Mapping[str, torch.Tensor], path: Path) -> tuple[str, int]:
    lateral = [state.get(f"decoder.lateral_convs.{level}.0.weight") for level in range(4)]
    head = state.get("decoder.seg_head.4.weight")
    if head is None or head.ndim != 4 or any(weight is None or weight.ndim != 4 for weight in lateral):
        raise ModelFileError(
            f"{path}: not a checkpoint of the fusion network: decoder.lateral_convs or decoder.seg_head is missing"
        )
    channels = tuple(int(weight.shape[1]) for weight in lateral if weight is not None)
    for variant, expected in VARIANTS.items():
        if channels == expected:
            return variant, int(head.shape[0])
    raise ModelFileError(f"{path}: its channels {channels} are those of no variant ({', '.join(VARIANTS)})")


def _check(state: dict[str, torch.Tensor], variant: str, count: int, path: Path) -> None:
    """Refuse what is not exactly the official tensors of a variant, and a low-pass filter that is not the paper's.

    A filter that was stored in half precision is replaced by the exact one.
    """
    ours = [rename(key) for key in state]
    with torch.device("meta"):
        network = FusionNetwork(variant, count, has_deep_supervision(dict.fromkeys(ours)))
    expected = {official_name(key): tensor for key, tensor in network.state_dict().items()}
    problem = check_tensors(expected, state)
    if problem:
        raise ModelFileError(f"{path}: not an official {variant} checkpoint of {count} classes: {problem}")
    for key, tensor in state.items():
        if not key.endswith(".lowpass.kernel"):
            continue
        gaussian = gaussian_kernel().expand_as(tensor)
        # Rounded to bfloat16, it differs by 0.4 % of a weight.
        tolerance = max(1e-3, torch.finfo(tensor.dtype).eps) * float(gaussian.max())
        if not torch.allclose(tensor.float(), gaussian, rtol=0, atol=tolerance):
            raise ModelFileError(f"{path}: {key} is not the paper's Gaussian (7×7, σ = 2)")
        if torch.finfo(tensor.dtype).bits < 32:
            state[key] = gaussian.contiguous()


def import_checkpoint(
    path: str | Path,
    classes: tuple[ClassInfo, ...] | None = None,
    input_size: tuple[int, int] | None = None,
    command: str = "",
    weights: str = "",
) -> tuple[ModelSpec, FusionNetwork]:
    """Read an official checkpoint.

    Args:
        path: A file of ``torch.save``, of any float type, that holds a state dict (``network.weights``).
        classes: The class table; None: by count, 9 MFNet, 5 PST900.
        input_size: (H, W); None: what its ``config`` says, else the data set's.
        command: Kept in the provenance.
        weights: Which of several state dicts in the file; empty: the only one, with averaged weights in place of trained ones.

    Returns:
        The spec and the network in eval mode. Variant and class count come from the tensors alone.

    Raises:
        ModelFileError: Not such a file; the sentence names missing, unexpected and mis-shaped tensors, or what is wrong.
    """
    path = Path(path)
    content = read_torch_file(path)
    state = choose_weights(content, path, weights)
    variant, count = _shape_of_model(state, path)
    convention = BY_CLASS_COUNT.get(count)
    if classes is None and convention is None:
        raise ModelFileError(
            f"{path}: {count} classes are neither MFNet's 9 nor PST900's 5; name them with --classes FILE"
        )
    if classes is not None and len(classes) != count:
        raise ModelFileError(f"{path}: {count} classes, but the class table has {len(classes)}")
    convention = convention or BY_CLASS_COUNT[9]
    _check(state, variant, count, path)
    spec = ModelSpec(
        variant=variant,
        classes=classes or convention.classes,
        input_size=input_size or _configured_size(content) or convention.input_size,
        rgb=convention.rgb,
        thermal=convention.thermal,
        provenance=Provenance(source=f"official checkpoint {path.name}", command=command, metrics=_metrics(content)),
    )
    return spec, build(spec, {rename(key): tensor for key, tensor in state.items()}, str(path))


def _configured_size(content: Mapping[str, object]) -> tuple[int, int] | None:
    config = content.get("config")
    if isinstance(config, dict):
        size = config.get("img_height"), config.get("img_width")
        if all(type(side) is int and side > 0 for side in size):
            return size  # type: ignore[return-value]
    return None


def _metrics(content: Mapping[str, object]) -> dict[str, float]:
    found = {}
    for key, name in (("best_miou", "reported_miou"), ("epoch", "epoch")):
        value = content.get(key)
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = float(value)
    return found
