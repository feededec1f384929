"""The weights in a checkpoint: which of its tables they are, and the tensors under their official names.

Training programs wrap a state dict in their own ways: under ``model_state_dict``, ``state_dict`` or ``model``, with
``module.`` (DataParallel), ``_orig_mod.`` (torch.compile) or an attribute's name before each tensor's, and with averaged weights
(EMA) beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.network.model_file import ModelFileError, name_some

_WRAPPED = re.compile(r"(^|\.)(?:(?:module|_orig_mod)\.)+")
_OFFICIAL = re.compile(r"(?:^|(?<=\.))(?:rgb_encoder|ir_encoder|fusion_stage[1-4]|decoder)\.")
_AVERAGE = re.compile(r"(?:^|[^a-zA-Z])(?:ema|swa|averaged?|shadow)(?![a-zA-Z])", re.IGNORECASE)
_DEPTH = 6
_COUNTER = "n_averaged"
"""What torch's AveragedModel keeps beside its tensors."""


@dataclass
class _Table:
    """Tensors of one network by their official names, and those that have another name."""

    name: str
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    official: bool = False

    @property
    def average(self) -> bool:
        return bool(_AVERAGE.search(self.name))


def _tables(content: Mapping[str, object]) -> Iterator[_Table]:
    """Yield the tables of tensors in a checkpoint, each network of a table by itself; each part is visited once."""
    seen: set[int] = set()
    waiting: list[tuple[str, Mapping[Any, object], int]] = [("", content, 0)]
    while waiting:
        place, part, depth = waiting.pop(0)
        if id(part) in seen or depth > _DEPTH:
            continue
        seen.add(id(part))
        yield from _split(place, part)
        for key, value in part.items():
            below = f"{place}.{key}" if place else str(key)
            if isinstance(value, Mapping):
                waiting.append((below, value, depth + 1))
            elif isinstance(value, (list, tuple)) and any(isinstance(entry, torch.Tensor) for entry in value):
                # torch_ema and others keep the average as a list, in the order of the optimiser.
                yield _Table(below)


def _split(place: str, part: Mapping[Any, object]) -> Iterator[_Table]:
    found: dict[str, _Table] = {}
    other: dict[str, torch.Tensor] = {}
    for key, tensor in part.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
            continue
        name = _WRAPPED.sub(r"\1", key)
        start = _OFFICIAL.search(name)
        if start is None:
            other[name] = tensor
            continue
        prefix = name[: start.start()]
        table = found.setdefault(prefix, _Table(".".join(filter(None, (place, prefix.rstrip(".")))), official=True))
        table.tensors[name[len(prefix) :]] = tensor
    for name, tensor in other.items():
        # Beside a network under a name, such as Lightning's `model.`, lie other things: a loss, metrics.
        owner = next((prefix for prefix in found if name.startswith(prefix)), None)
        if owner is not None and name != _COUNTER:
            found[owner].tensors[name.removeprefix(owner)] = tensor
        elif not found and tensor.ndim > 0:
            found[""] = _Table(place)
            found[""].tensors[name] = tensor
    yield from found.values()


def choose_weights(content: Mapping[str, object], path: Path, chosen: str = "") -> dict[str, torch.Tensor]:
    """Return a network's tensors under their official names.

    Averaged weights are what the authors evaluate. They hold learnable tensors only, as a rule; what they leave out is taken from
    the trained ones.

    Args:
        content: A checkpoint's dictionary.
        path: For errors.
        chosen: Name of a table in it, such as ``model_state_dict``; without its average. Empty: the only one, averaged where an
            average is there.

    Raises:
        ModelFileError: The file holds no weights of this network, or several and ``chosen`` does not say which, or an average
            that cannot be assigned, or a tensor that is not a plain one.
    """
    tables = [table for table in _tables(content) if table.average or table.official]
    trained = [table for table in tables if table.official and not table.average]
    averages = [table for table in tables if table.average]
    names = ", ".join(repr(table.name or ".") for table in tables)
    if chosen:
        picked = [table for table in tables if (table.name or ".") == chosen]
        if not picked:
            raise ModelFileError(
                f"{path}: --weights {chosen}: not in the file; expected {names or 'none: it holds none'}"
            )
        trained, averages = (trained if len(trained) == 1 else [], picked) if picked[0].average else (picked, [])
    if len(trained) > 1 or len(averages) > 1:
        raise ModelFileError(f"{path}: holds several sets of weights; choose one with --weights NAME, of {names}")
    for table in averages:
        if not table.tensors:
            raise ModelFileError(
                f"{path}: '{table.name}' holds averaged weights without their names, which cannot be assigned; "
                + (
                    f"--weights {trained[0].name or '.'} takes those that were trained"
                    if trained
                    else "expected a state dict"
                )
            )
    state: dict[str, torch.Tensor] = {}
    for table in (*trained, *averages):
        state |= table.tensors
    odd = [key for key, t in state.items() if t.layout != torch.strided or t.is_quantized or t.device.type != "cpu"]
    if odd:
        raise ModelFileError(f"{path}: {name_some(odd)}: sparse, quantized or without values; expected plain tensors")
    return state
