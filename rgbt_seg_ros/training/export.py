"""Model files of a run, with where they come from."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rgbt_seg_ros.data.samples import DataError, Dataset
from rgbt_seg_ros.evaluation.confusion import Scores
from rgbt_seg_ros.evaluation.temperature import fit_temperatures, with_temperatures
from rgbt_seg_ros.network import FusionNetwork, Modality, ModalityWorth, ModelSpec, read_model, write_model
from rgbt_seg_ros.network.conventions import Convention
from rgbt_seg_ros.network.model_file import has_deep_supervision
from rgbt_seg_ros.network.spec import Normalisation, Provenance, ThermalPreprocessing
from rgbt_seg_ros.training.config import RunConfig, ThermalConfig, TrainingConfig


def commit(folder: Path | None = None) -> str:
    """Return the commit of the checkout the package runs from, with ``+changes`` where files differ from it; else nothing."""
    root = folder or Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def preprocessing_of(settings: ThermalConfig) -> ThermalPreprocessing:
    """Return the thermal preprocessing as a model file states it."""
    return ThermalPreprocessing(settings.method, settings.low, settings.high)


def spec_of(
    config: TrainingConfig,
    convention: Convention,
    start: str,
    command: list[str],
    at: str = "",
    grown_val: Sequence[str] = (),
) -> ModelSpec:
    """Return the metadata of the model a run makes.

    Args:
        config: Resolved: its thermal normalisation is a pair of numbers, or that of the convention.
        convention: Classes and normalisations.
        start: In words, what the weights started from.
        command: The command line that started the run.
        at: The commit it was started at.
        grown_val: Validation data whose label masks are grown from boxes.
    """
    thermal = convention.thermal
    if isinstance(config.thermal.normalisation, tuple):
        mean, std = config.thermal.normalisation
        thermal = Normalisation((mean,), (std,))
    source = config.run.source or f"trained by rgbt-seg train for {config.run.epochs} epochs"
    source = f"{source}, from {start}, seed {config.run.seed}"
    if grown_val:
        source += (
            f"; its metrics compare with label masks grown in boxes ({', '.join(grown_val)}), not with annotated ones"
        )
    dropout = config.augmentation.modality_dropout
    return ModelSpec(
        variant=config.variant,
        classes=convention.classes,
        input_size=config.data.input_size or config.data.size,
        rgb=convention.rgb,
        thermal=thermal,
        thermal_preprocessing=preprocessing_of(config.thermal),
        modalities={
            "rgbt": ModalityWorth(trained=True),
            "rgb": ModalityWorth(trained=dropout.rgb_only > 0),
            "thermal": ModalityWorth(trained=dropout.thermal_only > 0),
        },
        provenance=Provenance(
            trained=True,
            source=source,
            data=", ".join(source.spec for source in config.data.train),
            command=shlex.join(command),
            commit=at,
        ),
    )


def with_scores(spec: ModelSpec, scores: Mapping[Modality, Scores], epoch: int) -> ModelSpec:
    """Return the metadata with the validation scores of an epoch among the metrics and in the table of modalities."""
    metrics: dict[str, float] = {"epoch": float(epoch)}
    worth: dict[Modality, ModalityWorth] = {}
    for modality, values in scores.items():
        miou = values.miou if values.miou == values.miou else None
        worth[modality] = replace(spec.modalities[modality], miou=miou)
        suffix = "" if modality == "rgbt" else f"_{modality}"
        metrics |= {f"miou{suffix}": values.miou}
        if not suffix:
            metrics |= {"miou_nan_as_zero": values.miou_nan_as_zero, "macc": values.macc}
    finite = {name: value for name, value in metrics.items() if value == value}
    return replace(spec.with_modalities(worth), provenance=replace(spec.provenance, metrics=finite))


def write_network(path: Path, spec: ModelSpec, network: FusionNetwork, settings: RunConfig) -> None:
    """Write a model file of a network in half or single precision, with or without the heads that only training uses.

    Raises:
        ModelFileError: It cannot be written.
    """
    state = network.state_dict()
    if settings.strip:
        state = {key: tensor for key, tensor in state.items() if not has_deep_supervision({key: tensor})}
    write_model(path, spec, state, torch.float16 if settings.half else torch.float32)


def calibrate(
    path: Path,
    datasets: list[Dataset],
    settings: RunConfig,
    device: str,
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda indices: indices,
) -> str:
    """Fit softmax temperatures to the first data that has label masks, write them into a model file; return a sentence.

    There is one for pairs, and one for each image that modality dropout trains alone. ``progress`` wraps the indices of the
    samples, and may raise between two of them.
    """
    spec, network = read_model(path)
    for dataset in datasets:
        if dataset[0].label is None:
            continue
        try:
            fits = fit_temperatures(network, spec, dataset, device=device, progress=progress)
        except DataError as error:
            return f"no temperature fitted: {error}"
        write_network(path, with_temperatures(spec, fits, dataset.spec), network, settings)
        pairs = fits.pop("rgbt")
        return (
            f"temperature {pairs.temperature:.3f} fitted on {dataset.spec}: "
            f"expected calibration error {pairs.ece_before:.4f} before, {pairs.ece_after:.4f} after"
            + "".join(
                f"; {name} alone: temperature {fit.temperature:.3f}, {fit.ece_before:.4f} before, {fit.ece_after:.4f} after"
                for name, fit in fits.items()
            )
        )
    return "no temperature fitted: no validation data has label masks"
