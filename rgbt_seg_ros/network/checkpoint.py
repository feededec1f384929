"""Import of the authors' checkpoints (arXiv 2605.26273), strictly and without running a line of what they pickle."""

from __future__ import annotations

import math
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from rgbt_seg_ros.network.conventions import BY_CLASS_COUNT
from rgbt_seg_ros.network.encoders import VARIANTS
from rgbt_seg_ros.network.frequency_fusion import gaussian_kernel
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.model_file import ModelFileError, build, check_tensors, has_deep_supervision
from rgbt_seg_ros.network.spec import ClassInfo, ModelSpec, Provenance

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
    key = key.removeprefix("module.")
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


class _NumpyType:
    """Stands in for numpy.dtype while a checkpoint is read: keeps the type's code and does nothing else."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and flags."""


def _numpy_scalar(kind: object, data: object) -> float:
    """Stand in for numpy's own function: a number from its little-endian bytes."""
    codes = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "u4": "<I", "u8": "<Q", "b1": "<?"}
    code = codes.get(str(kind.code)) if isinstance(kind, _NumpyType) else None
    if code is None or not isinstance(data, bytes) or len(data) != struct.calcsize(code):
        raise pickle.UnpicklingError("a numpy value that is not a plain number")
    return float(struct.unpack(code, data)[0])


def _path_text(*parts: object) -> str:
    """Stand in for pathlib.PosixPath: its text."""
    return "/".join(map(str, parts))


# Beside tensors and plain values, checkpoints hold the best score as a numpy number and folders as paths. None of numpy's or
# pathlib's own code runs on them: these names mean our stand-ins while a checkpoint is read.
_STAND_INS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
    (_NumpyType, "numpy.dtype"),
    (_path_text, "pathlib.PosixPath"),
    (_path_text, "pathlib._local.PosixPath"),
]


def _load(path: Path) -> Mapping[str, object]:
    if not os.path.isfile(path):
        raise ModelFileError(f"{path}: {'not a file' if os.path.exists(path) else 'no such checkpoint'}")
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a whole torch checkpoint (a zip archive was expected)")
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own text advises to load the file unsafely; only the name of what it stopped at is of use.
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f", such as {name[1]}" if name else ""
        raise ModelFileError(
            f"{path}: holds more than tensors and plain values{reason}; reading that would run the file's own code, which "
            "is never done"
        ) from error
    except Exception as error:  # a damaged or hostile pickle can raise anything, and none of it is our bug
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"{path}: not a whole torch checkpoint ({reason})") from error
    if not isinstance(content, dict):
        raise ModelFileError(f"{path}: holds a {type(content).__name__}, not a checkpoint's dictionary")
    return content


def _tensors(content: Mapping[str, object], path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors under their official names, the averaged ones where there are any."""
    found: dict[str, torch.Tensor] = {}
    # The average holds learnable tensors only; it is what the authors evaluate. Buffers stay the model's.
    for part, state in (
        ("model_state_dict", content.get("model_state_dict", content)),
        ("ema_state_dict", content.get("ema_state_dict") or {}),
    ):
        if not isinstance(state, dict):
            raise ModelFileError(f"{path}: '{part}' is not a dictionary of tensors")
        for key, tensor in state.items():
            if isinstance(tensor, torch.Tensor):
                found[str(key).removeprefix("module.")] = tensor
    return found


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


def _check(state: Mapping[str, torch.Tensor], variant: str, count: int, path: Path) -> None:
    """Refuse what is not exactly the official tensors of a variant, and a low-pass filter that is not the paper's."""
    ours = [rename(key) for key in state]
    with torch.device("meta"):
        network = FusionNetwork(variant, count, has_deep_supervision(dict.fromkeys(ours)))
    expected = {official_name(key): tensor for key, tensor in network.state_dict().items()}
    problem = check_tensors(expected, state)
    if problem:
        raise ModelFileError(f"{path}: not an official {variant} checkpoint of {count} classes: {problem}")
    gaussian = gaussian_kernel()
    for key, tensor in state.items():
        if key.endswith(".lowpass.kernel") and not torch.allclose(
            tensor.float(), gaussian.expand_as(tensor), rtol=0, atol=1e-3 * float(gaussian.max())
        ):
            raise ModelFileError(f"{path}: {key} is not the paper's Gaussian (7×7, σ = 2)")


def import_checkpoint(
    path: str | Path,
    classes: tuple[ClassInfo, ...] | None = None,
    input_size: tuple[int, int] | None = None,
    command: str = "",
) -> tuple[ModelSpec, FusionNetwork]:
    """Read an official checkpoint.

    Args:
        path: A torch zip with ``model_state_dict`` (or a bare state dict); EMA weights replace the learnable ones.
        classes: The class table; None: by count, 9 MFNet, 5 PST900.
        input_size: (H, W); None: what its ``config`` says, else the data set's.
        command: Kept in the provenance.

    Returns:
        The spec and the network in eval mode. Variant and class count come from the tensors alone.

    Raises:
        ModelFileError: Not such a file; the sentence names missing, unexpected and mis-shaped tensors, or what is wrong.
    """
    path = Path(path)
    content = _load(path)
    state = _tensors(content, path)
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
