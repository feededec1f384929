"""Temperature scaling: the one number that makes the confidence a probability and changes no label.

Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2: p = softmax(z / T) with
the T that minimises the negative log likelihood (NLL) of a validation set.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from rgbt_seg_ros.data.samples import IGNORED, DataError, Dataset
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.evaluation.evaluator import spread
from rgbt_seg_ros.evaluation.reliability import expected_calibration_error, reliability_of
from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.network.builtin import DEMO
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine

BOUNDS = (0.05, 20.0)
"""Where T is looked for. A network without one wrong pixel has none (T goes to 0), nor has one that guesses (to infinity)."""

MAX_PIXELS = 4_000_000
"""Largest number of pixels that a temperature is fitted to, evenly spread: one number needs no more, and all are in memory."""

_STEPS = 40
"""Halvings of log T: the last interval is 6e-12 wide."""

_NOTE = "temperature fitted on "


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature and what it changed, on the pixels it was fitted to.

    Attributes:
        temperature: Divides the logits; within ``BOUNDS``.
        nll_before: Mean negative log likelihood of the true class (nats) with the temperature the model had.
        nll_after: The same with the fitted one.
        ece_before: Expected calibration error 0..1 with the temperature the model had, 15 bins.
        ece_after: The same with the fitted one.
        pixels: How many pixels were sampled.
        frames: From how many frames.
    """

    temperature: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    pixels: int
    frames: int


def negative_log_likelihood(logits: torch.Tensor, target: torch.Tensor, temperature: float) -> float:
    """Return the mean NLL (nats) of (N, K) float logits and (N,) int64 class ids at a temperature."""
    return float(torch.nn.functional.cross_entropy(logits / temperature, target))


def best_temperature(logits: torch.Tensor, target: torch.Tensor) -> float:
    """Return the temperature within ``BOUNDS`` that minimises the NLL.

    The NLL is convex in β = 1/T, with the derivative mean(Σ p_k z_k − z_target), which therefore changes its sign once:
    bisection over log T cannot miss it, whatever the scale of the logits.

    Args:
        logits: (N, K) float, N from 1.
        target: (N,) int64 class ids.
    """
    reached = logits.gather(1, target[:, None]).double().mean()

    def too_cold(temperature: float) -> bool:
        """Whether the network is more confident than right, so that T has to rise."""
        expected = (torch.softmax(logits / temperature, 1) * logits).sum(1).double().mean()
        return bool(expected > reached)

    low, high = (math.log(bound) for bound in BOUNDS)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_cold(math.exp(middle)) else (low, middle)
    return math.exp((low + high) / 2)


def _calibration_error(logits: torch.Tensor, target: torch.Tensor, temperature: float) -> float:
    probability, predicted = torch.softmax(logits / temperature, 1).max(1)
    right: npt.NDArray[np.bool_] = (predicted == target).numpy()
    return expected_calibration_error(reliability_of(probability.double().numpy(), right))


def _sample_pixels(
    network: FusionNetwork, segmenter: Segmenter, dataset: Dataset, indices: Iterable[int], stride: int, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (N, K) float32 logits and (N,) int64 classes of every ``stride``-th pixel of every ``stride``-th row.

    From a frame with more annotated pixels than ``most``, ``most`` of them are taken, evenly spread.
    """
    classes = ClassMap(dataset.convention.classes, segmenter.spec.classes, dataset.spec)
    captured: list[torch.Tensor] = []
    # A hook, so that the logits come from the very path that makes the masks, and are of the size of the image.
    hook = network.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
    logits, targets = [], []
    try:
        for index in indices:
            sample = classes.apply(dataset[index])
            if sample.label is None:
                raise DataError(
                    f"{dataset.spec}: {sample.name}: no label mask; a temperature is fitted to label masks only"
                )
            captured.clear()
            segmenter(sample.rgb, sample.thermal)
            grid = slice(stride // 2, None, stride)
            label = torch.from_numpy(np.ascontiguousarray(sample.label[grid, grid])).long().flatten()
            values = captured[0][0, :, grid, grid].float().cpu().flatten(1).T
            known = (label != IGNORED).nonzero()[:, 0]
            if len(known) > most:
                known = known[torch.arange(most) * len(known) // most]
            logits.append(values[known].numpy())
            targets.append(label[known])
    finally:
        hook.remove()
    # From numpy: tensors made in inference mode cannot be used outside it in every way.
    return torch.from_numpy(np.concatenate(logits)), torch.cat(targets)


def fit_temperature(
    network: FusionNetwork,
    spec: ModelSpec,
    dataset: Dataset,
    limit: int = 200,
    stride: int = 8,
    device: str = "auto",
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda indices: indices,
) -> TemperatureFit:
    """Fit the temperature of a network to data that it was not trained on.

    Args:
        network: Left as it is: a copy runs, in float32.
        spec: Its metadata; the temperature in it is the one "before".
        dataset: With label masks; classes are matched by name.
        limit: Largest number of samples, evenly spread over the data.
        stride: Every ``stride``-th pixel of every ``stride``-th row is used: neighbours say the same. More than ``MAX_PIXELS``
            in all are thinned, evenly over the frames.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Wraps the indices, to show progress.

    Raises:
        DataError: No samples, no label masks, no annotated pixel, or a sample that cannot be used.
        SettingError: Of ``device``: this machine has no such device.
    """
    if not len(dataset):
        raise DataError(f"{dataset.spec}: no samples")
    running = copy.deepcopy(network)
    segmenter = Segmenter(spec, TorchEngine(EngineRequest(running, spec, device=device, precision="fp32")))
    indices = spread(len(dataset), limit)
    most = max(1, MAX_PIXELS // len(indices))
    logits, target = _sample_pixels(running, segmenter, dataset, progress(indices), stride, most)
    if not len(target):
        raise DataError(
            f"{dataset.spec}: no annotated pixel in {len(indices)} samples; a temperature needs label masks"
        )
    if not bool(torch.isfinite(logits).all()):
        raise DataError(f"{dataset.spec}: the network's outputs are not finite; no temperature fits them")
    fitted = best_temperature(logits, target)
    return TemperatureFit(
        temperature=fitted,
        nll_before=negative_log_likelihood(logits, target, spec.temperature),
        nll_after=negative_log_likelihood(logits, target, fitted),
        ece_before=_calibration_error(logits, target, spec.temperature),
        ece_after=_calibration_error(logits, target, fitted),
        pixels=len(target),
        frames=len(indices),
    )


def with_temperature(spec: ModelSpec, fit: TemperatureFit, data: str) -> ModelSpec:
    """Return the metadata with the fitted temperature, its ECE and NLL among the metrics, and the data in the source."""
    source = spec.provenance.source.split(f"; {_NOTE}")[0]
    metrics: dict[str, Any] = {**spec.provenance.metrics, "ece": fit.ece_after, "nll": fit.nll_after}
    provenance = replace(spec.provenance, source=f"{source}; {_NOTE}{data}", metrics=metrics)
    return replace(spec, temperature=fit.temperature, provenance=provenance)


def stored_dtype(model: str | Path) -> torch.dtype:
    """Return float16 if a model file (or ``demo``) stores any tensor so, else float32."""
    with safe_open(str(DEMO if str(model) == "demo" else model), framework="pt") as file:
        kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  (not a dict)
    return torch.float16 if "F16" in kinds else torch.float32
