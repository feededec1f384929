"""Training samples and validation samples, read and changed in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rgbt_seg_ros.network.spec import ModelSpec, Normalisation
from rgbt_seg_ros.training.augmentation import Neutral, Triple, augment
from rgbt_seg_ros.training.augmentation_config import AugmentationConfig
from rgbt_seg_ros.training.draws import BatchSampler, Draw
from rgbt_seg_ros.training.sources import LabelledSource

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class SampleMaker:
    """Turn draws into training samples; what a worker process holds.

    Attributes:
        sources: Data sets, in the order of ``Draw.source``.
        settings: Augmentation.
        size: (H, W) of the samples.
        neutral: Grey levels of what shows nothing.
        seed: Of the augmentation, together with the draw's epoch and position: not of the worker that happens to do it.
    """

    sources: Sequence[LabelledSource]
    settings: AugmentationConfig
    size: tuple[int, int]
    neutral: Neutral
    seed: int

    def __call__(self, draw: Draw) -> Triple:
        """Read and change one sample."""
        sample = self.sources[draw.source][draw.index]
        assert sample.label is not None
        rng = np.random.default_rng((self.seed, 3, draw.epoch, draw.position))
        return augment(Triple(sample.rgb, sample.thermal, sample.label), self.settings, self.size, self.neutral, rng)


class _DrawDataset(TorchDataset[Triple]):
    def __init__(self, maker: SampleMaker) -> None:
        self._maker = maker

    def __getitem__(self, draw: Draw) -> Triple:
        return self._maker(draw)


def neutral_of(spec: ModelSpec) -> Neutral:
    """Return the grey levels that normalise to about zero."""
    return Neutral(spec.rgb.neutral, spec.thermal.neutral)


def collate(samples: Sequence[Triple]) -> Batch:
    """Stack to (N, H, W, 3), (N, H, W) and (N, H, W), all uint8: a quarter of the bytes that floats would move."""
    return (
        torch.from_numpy(np.stack([sample.rgb for sample in samples])),
        torch.from_numpy(np.stack([sample.thermal for sample in samples])),
        torch.from_numpy(np.stack([sample.label for sample in samples])),
    )


def start_worker(_: int) -> None:
    """Leave signals to the training process, which stops its workers in order, and threads to it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def training_loader(maker: SampleMaker, sampler: BatchSampler, workers: int, pin: bool = False) -> DataLoader[Any]:
    """Return the batches of the sampler's epoch at each iteration; workers live as long as the loader."""
    return DataLoader(
        _DrawDataset(maker),
        batch_sampler=sampler,  # its draws are what the data set is indexed with
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        worker_init_fn=start_worker,
        persistent_workers=workers > 0,
        prefetch_factor=3 if workers else None,
        # Of its own, so that torch's global generator gives the same numbers with any number of workers.
        generator=torch.Generator().manual_seed(0),
    )


class Normaliser:
    """uint8 batches to what the network takes, on its device."""

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        """Take normalisations from a model's metadata."""
        self._device = device
        self._rgb, self._thermal = self._affine(spec.rgb), self._affine(spec.thermal)

    def _affine(self, norm: Normalisation) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (
            torch.tensor(values, device=self._device).view(1, -1, 1, 1) * 255.0 for values in (norm.mean, norm.std)
        )
        return mean, std.reciprocal()

    def images(self, rgb: torch.Tensor, thermal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (N, 3, H, W) and (N, 1, H, W) float32, channels last in memory, of (N, H, W, 3) and (N, H, W) uint8."""
        return (
            self._apply(rgb.to(self._device, non_blocking=True).permute(0, 3, 1, 2), self._rgb),
            self._apply(thermal.to(self._device, non_blocking=True).unsqueeze(1), self._thermal),
        )

    def _apply(self, pixels: torch.Tensor, affine: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return pixels.float().sub_(affine[0]).mul_(affine[1]).contiguous(memory_format=torch.channels_last)


def prefetch(items: TorchDataset[Any], workers: int) -> DataLoader[Any]:
    """Iterate over a map-style sequence in order, read ahead by workers, one item at a time and uncollated."""
    return DataLoader(
        items,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=start_worker,
        collate_fn=lambda item: item,
        generator=torch.Generator().manual_seed(0),
    )
