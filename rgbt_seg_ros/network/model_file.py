"""Model files: one ``.safetensors`` with the weights and, in its metadata, everything else a robot needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError, UserError, in_words
from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.network.builtin import DEMO
from rgbt_seg_ros.network.encoders import VARIANTS
from rgbt_seg_ros.network.fusion_network import FusionNetwork
from rgbt_seg_ros.network.spec import ModelSpec

FORMAT_VERSION = 2
"""1 has no table of modalities."""

METADATA_KEY = "rgbt_seg_ros"
_LONGEST = 1 << 20
"""Characters of the metadata; 255 classes take 20,000."""

_DEEP_SUPERVISION = ("decoder.auxiliary_head.", "decoder.deep_heads.")


class ModelFileError(UserError):
    """A file that is not a model of this package, or is incomplete."""


def name_some(keys: list[str], limit: int = 3) -> str:
    """Return the first few of many names and how many more there are."""
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more


def check_tensors(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """Compare names and shapes; return what differs in words, or an empty string."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    kinds = [
        f"{key} {found[key].dtype} instead of {expected[key].dtype}"
        for key in expected
        if key in found and found[key].is_floating_point() != expected[key].is_floating_point()
    ]
    problems = []
    for word, keys in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", shapes),
        ("of another kind", kinds),
    ):
        if keys:
            problems.append(f"{len(keys)} tensors {word} ({name_some(keys)})")
    return "; ".join(problems)


def has_deep_supervision(keys: Mapping[str, object]) -> bool:
    """Return whether any head that only training uses is among the keys."""
    return any(key.startswith(_DEEP_SUPERVISION) for key in keys)


def build(spec: ModelSpec, state: Mapping[str, torch.Tensor], where: str) -> FusionNetwork:
    """Build a network around the tensors of a state dict, strictly.

    Args:
        spec: Variant and classes.
        state: Tensors by name, any float dtype; copied as float32, once their names and shapes are those of the variant.
        where: What to name in an error.

    Returns:
        The network in eval mode on the CPU, float32.

    Raises:
        ModelFileError: Tensors are missing, unexpected, mis-shaped or not finite.
    """
    if spec.variant not in VARIANTS:
        raise ModelFileError(f"{where}: variant: '{spec.variant}' is not one of {', '.join(VARIANTS)}")
    outputs = state.get("decoder.head.4.bias")
    if outputs is not None and outputs.ndim == 1 and len(outputs) != spec.num_classes:
        raise ModelFileError(
            f"{where}: classes: {spec.num_classes} are listed, but the network has {len(outputs)} outputs"
        )
    with torch.device("meta"):
        network = FusionNetwork(spec.variant, spec.num_classes, has_deep_supervision(state))
    problem = check_tensors(network.state_dict(), state)
    if problem:
        raise ModelFileError(f"{where}: not a {spec.variant} network of {spec.num_classes} classes: {problem}")
    floats = {key: t.to(torch.float32 if t.is_floating_point() else t.dtype, copy=True) for key, t in state.items()}
    broken = [key for key, tensor in floats.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelFileError(f"{where}: weights are not finite in {name_some(broken)}")
    network.load_state_dict(floats, strict=True, assign=True)
    return network.eval()


def _is_weight(key: str, tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim > 1 and not key.endswith("low_pass.kernel")


def write_model(
    path: str | Path, spec: ModelSpec, state: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32
) -> None:
    """Write a model file beside its place and rename it.

    Args:
        path: Destination; replaced if it exists.
        spec: The model's metadata.
        state: A ``FusionNetwork``'s state dict.
        dtype: float32, or float16 for half the size; it is read back as float32. Only convolutions and linear maps are
            halved: norms, statistics and the Gaussian are a hundredth of the bytes and lose the most.

    Raises:
        ModelFileError: The tensors do not fit the spec, are not finite, or the place cannot be written.
    """
    target = Path(path)
    build(spec, state, str(target))
    tensors = {
        key: (t.to(dtype) if _is_weight(key, t) else t).detach().cpu().contiguous().clone() for key, t in state.items()
    }
    overflow = [key for key, t in tensors.items() if not torch.isfinite(t).all()]
    if overflow:
        raise ModelFileError(f"{target}: {dtype} cannot hold the weights of {name_some(overflow)}")
    metadata = {
        METADATA_KEY: json.dumps({"format_version": FORMAT_VERSION, **spec.to_dict()}),
        "format": "pt",
    }
    with replacing(target, failure=ModelFileError, causes=(SafetensorError,), parents=False) as (part,):
        save_file(tensors, part, metadata)


def _parse(path: Path, metadata: Mapping[str, str] | None) -> ModelSpec:
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path}: a safetensors file, but not a model of rgbt_seg_ros (no '{METADATA_KEY}' in its metadata); "
            "an official checkpoint becomes one with 'rgbt-seg model import'"
        )
    if len(text) > _LONGEST:
        raise ModelFileError(f"{path}: its metadata has {len(text)} characters; expected at most {_LONGEST}")
    try:
        fields = json.loads(text)
        version = fields.pop("format_version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path}: its metadata is damaged ({in_words(error)})") from error
    if type(version) is not int or version < 1:
        raise ModelFileError(f"{path}: format_version: {shown(version)} is not a whole number from 1")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: format version {shown(version)}, but this rgbt_seg_ros reads up to {FORMAT_VERSION}; update it"
        )
    try:
        return ModelSpec.from_dict(fields)
    except SettingError as error:
        raise ModelFileError(f"{path}: {error}") from error


def _open(path: Path) -> safe_open:
    if not os.path.isfile(path):
        raise ModelFileError(f"{path}: {'not a file' if os.path.exists(path) else 'no such model file'}")
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a complete .safetensors model file ({error}); a checkpoint of another kind becomes one with "
            "'rgbt-seg model import'"
        ) from error


def resolve_model(path: str | Path) -> Path:
    """Return the file that ``path`` names: itself, or that of the package's model named ``demo``."""
    return DEMO if str(path) == "demo" else Path(path)


def read_spec(path: str | Path) -> ModelSpec:
    """Read the metadata of a model file, or of the package's model named ``demo``, without its weights.

    Raises:
        ModelFileError: The path is not a file, or the file is truncated, another program's, or of a newer format.
    """
    path = resolve_model(path)
    with _open(path) as file:
        return _parse(path, file.metadata())


def read_model(path: str | Path) -> tuple[ModelSpec, FusionNetwork]:
    """Read a model file, or the package's model named ``demo``; the network is in eval mode on the CPU, float32.

    Raises:
        ModelFileError: As for ``read_spec``, or its tensors are not those of its variant and classes.
    """
    path = resolve_model(path)
    with _open(path) as file:
        spec = _parse(path, file.metadata())
        try:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
        except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path}: a tensor cannot be read ({in_words(error)})") from error
        # It copies. What safetensors returns is the mapped file itself: a model file that is overwritten in place would
        # change the weights of a running node, and one that is truncated would kill it (SIGBUS).
        return spec, build(spec, state, str(path))


def load_model(path: str | Path) -> FusionNetwork:
    """Read the network of a model file: ``model(rgb, thermal)`` gives logits. Raises what ``read_model`` raises.

    >>> network = load_model("demo")
    >>> rgb, thermal = torch.zeros(1, 3, 64, 96), torch.zeros(1, 1, 64, 96)
    >>> tuple(network(rgb, thermal).shape)
    (1, 9, 64, 96)
    """
    return read_model(path)[1]
