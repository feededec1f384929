"""Temperature scaling: the one number a modality that makes the confidence a probability and changes no label.

Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2: p = softmax(z / T) with
the T that minimises the negative log likelihood (NLL) of a validation set.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from rgbt_seg_ros.data.samples import IGNORED, DataError, Dataset
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.evaluation.confusion import confusion_matrix, scores
from rgbt_seg_ros.evaluation.evaluator import Progress, evaluate, spread
from rgbt_seg_ros.evaluation.reliability import expected_calibration_error, reliability, reliability_of
from rgbt_seg_ros.network import MODALITIES, FusionNetwork, Modality, ModalityWorth, ModelSpec
from rgbt_seg_ros.network.builtin import DEMO
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine

BOUNDS = (0.05, 20.0)
"""Where T is looked for. A network without one wrong pixel has none (T goes to 0), nor has one that guesses (to infinity)."""

MAX_PIXELS = 4_000_000
"""Largest number of pixels that a temperature is fitted to, evenly spread: one number needs no more, and all are in memory."""

_STEPS = 40
"""Halvings of log T: the last interval is 6e-12 wide."""

_NOTE = "temperature fitted on "

_MEASURED = ", measured on "


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature of one modality and what it changed, on the pixels it was fitted to.

    Attributes:
        temperature: Divides the logits; within ``BOUNDS``.
        nll_before: Mean negative log likelihood of the true class (nats) with the temperature the model had.
        nll_after: The same with the fitted one.
        ece_before: Expected calibration error 0..1 with the temperature the model had, 15 bins.
        ece_after: The same with the fitted one.
        miou: mIoU 0..1 of the masks of these frames, over all annotated pixels.
        pixels: How many pixels were sampled.
        frames: From how many frames.
    """

    temperature: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    miou: float
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


@dataclass
class _Sampled:
    """What one modality gave: logits (N, K) and true classes (N,) in parts, and the confusion matrix (K, K) of the masks."""

    logits: list[npt.NDArray[np.float32]]
    target: list[torch.Tensor]
    matrix: npt.NDArray[np.int64]


def _sample_pixels(
    network: FusionNetwork,
    segmenter: Segmenter,
    dataset: Dataset,
    indices: Iterable[int],
    modalities: Sequence[Modality],
    stride: int,
    most: int,
) -> dict[Modality, _Sampled]:
    """Return float32 logits and int64 classes of every ``stride``-th pixel of every ``stride``-th row, for each modality.

    From a frame with more annotated pixels than ``most``, ``most`` of them are taken, evenly spread. A frame is read once.
    """
    spec = segmenter.spec
    classes = ClassMap(dataset.convention.classes, spec.classes, dataset.spec)
    captured: list[torch.Tensor] = []
    # A hook, so that the logits come from the very path that makes the masks, and are of the size of the image.
    hook = network.register_forward_hook(lambda _module, _inputs, output: captured.append(output))
    found = {name: _Sampled([], [], np.zeros((spec.num_classes,) * 2, np.int64)) for name in modalities}
    try:
        for index in indices:
            sample = classes.apply(dataset[index])
            if sample.label is None:
                raise DataError(
                    f"{dataset.spec}: {sample.name}: no label mask; a temperature is fitted to label masks only"
                )
            grid = slice(stride // 2, None, stride)
            label = torch.from_numpy(np.ascontiguousarray(sample.label[grid, grid])).long().flatten()
            known = (label != IGNORED).nonzero()[:, 0]
            if len(known) > most:
                known = known[torch.arange(most) * len(known) // most]
            for name, sampled in found.items():
                captured.clear()
                (masks,) = segmenter.segment([segmenter.prepare(sample.rgb, sample.thermal, modality=name)])
                values = captured[0][0, :, grid, grid].float().cpu().flatten(1).T
                sampled.logits.append(values[known].numpy())
                sampled.target.append(label[known])
                sampled.matrix += confusion_matrix(sample.label, masks.label, spec.num_classes)
    finally:
        hook.remove()
    return found


def fit_temperatures(
    network: FusionNetwork,
    spec: ModelSpec,
    dataset: Dataset,
    limit: int = 200,
    stride: int = 8,
    device: str = "auto",
    progress: Progress = lambda indices: indices,
) -> dict[Modality, TemperatureFit]:
    """Fit a temperature for each modality that a network was trained for, to data that it was not trained on.

    Args:
        network: Left as it is: a copy runs, in float32.
        spec: Its metadata; the temperatures in it are those "before".
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
    modalities = list(filter(spec.trained_for, MODALITIES))
    running = copy.deepcopy(network)
    segmenter = Segmenter(spec, TorchEngine(EngineRequest(running, spec, device=device, precision="fp32")))
    indices = spread(len(dataset), limit)
    most = max(1, MAX_PIXELS // (len(indices) * len(modalities)))
    found = _sample_pixels(running, segmenter, dataset, progress(indices), modalities, stride, most)
    return {
        name: _fit(sampled, spec.temperature_of(name), len(indices), dataset.spec) for name, sampled in found.items()
    }


def _fit(sampled: _Sampled, before: float, frames: int, data: str) -> TemperatureFit:
    # From numpy: tensors made in inference mode cannot be used outside it in every way.
    logits, target = torch.from_numpy(np.concatenate(sampled.logits)), torch.cat(sampled.target)
    if not len(target):
        raise DataError(f"{data}: no annotated pixel in {frames} samples; a temperature needs label masks")
    if not bool(torch.isfinite(logits).all()):
        raise DataError(f"{data}: the network's outputs are not finite; no temperature fits them")
    fitted = best_temperature(logits, target)
    return TemperatureFit(
        temperature=fitted,
        nll_before=negative_log_likelihood(logits, target, before),
        nll_after=negative_log_likelihood(logits, target, fitted),
        ece_before=_calibration_error(logits, target, before),
        ece_after=_calibration_error(logits, target, fitted),
        miou=scores(sampled.matrix).miou,
        pixels=len(target),
        frames=frames,
    )


def with_temperatures(spec: ModelSpec, fits: Mapping[Modality, TemperatureFit], data: str) -> ModelSpec:
    """Return the metadata with the fits in its table of modalities.

    ECE and NLL of the pairs are among the metrics, and the source names the data.
    """
    table = {
        name: ModalityWorth(fit.temperature, _share(fit.miou), _share(fit.ece_after), trained=True)
        for name, fit in fits.items()
    }
    source = spec.provenance.source.split(f"; {_NOTE}")[0]
    metrics = dict(spec.provenance.metrics)
    if "rgbt" in fits:
        metrics |= {"ece": fits["rgbt"].ece_after, "nll": fits["rgbt"].nll_after}
    provenance = replace(spec.provenance, source=f"{source}; {_NOTE}{data}", metrics=metrics)
    return replace(spec.with_modalities(table), provenance=provenance)


def with_measured(
    network: FusionNetwork,
    spec: ModelSpec,
    dataset: Dataset,
    limit: int = 200,
    device: str = "auto",
    progress: Progress = lambda indices: indices,
) -> ModelSpec:
    """Return the metadata with mIoU and ECE, measured on data, of each modality that the network was trained for.

    Arguments and errors as of ``fit_temperatures``; ``dataset`` is neither what the network was trained on nor what its
    temperatures were fitted to.
    """
    engine = TorchEngine(EngineRequest(copy.deepcopy(network), spec, device=device, precision="fp32"))
    segmenters: dict[str, Segmenter] = {
        name: Segmenter(spec, engine, SegmenterSettings(modality=name)) for name in filter(spec.trained_for, MODALITIES)
    }
    found = evaluate(segmenters, dataset, limit, progress)
    table: dict[Modality, ModalityWorth] = {}
    for name in filter(spec.trained_for, MODALITIES):
        total = found[name].total
        if not total.labelled:
            raise DataError(f"{dataset.spec}: no label masks; mIoU and ECE need them")
        ece = expected_calibration_error(reliability(total.levels))
        table[name] = replace(spec.modalities[name], miou=_share(scores(total.matrix).miou), ece=_share(ece))
    source = spec.provenance.source.split(_MEASURED)[0]
    provenance = replace(spec.provenance, source=f"{source}{_MEASURED}{dataset.spec}")
    return replace(spec.with_modalities(table), provenance=provenance)


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


def stored_dtype(model: str | Path) -> torch.dtype:
    """Return float16 if a model file (or ``demo``) stores any tensor so, else float32."""
    with safe_open(str(DEMO if str(model) == "demo" else model), framework="pt") as file:
        kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  (not a dict)
    return torch.float16 if "F16" in kinds else torch.float32
