"""Training samples and validation samples, read and changed in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import ModelSpec, Normalisation
from rgbt_seg_ros.training.augmentation import Neutral, Triple, augment
from rgbt_seg_ros.training.augmentation_config import AugmentationConfig
from rgbt_seg_ros.training.draws import BatchSampler, Draw
from rgbt_seg_ros.training.sources import LabelledSource

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

T = TypeVar("T")


class WorkerError(UserError):
    """A process that reads samples has died."""


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


class _DrawDataset(TorchDataset["Triple | UserError"]):
    def __init__(self, maker: SampleMaker) -> None:
        self._maker = maker

    def __getitem__(self, draw: Draw) -> Triple | UserError:
        return outcome(lambda: self._maker(draw))


def outcome(read: Callable[[], T]) -> T | UserError:
    """Return what ``read`` gives, or its error as a value: torch would wrap what a worker raises in its whole traceback."""
    try:
        return read()
    except UserError as error:
        return error


def neutral_of(spec: ModelSpec) -> Neutral:
    """Return the grey levels that normalise to about zero."""
    return Neutral(spec.rgb.neutral, spec.thermal.neutral)


def collate(outcomes: Sequence[Triple | UserError]) -> Batch | UserError:
    """Stack to (N, H, W, 3), (N, H, W) and (N, H, W), all uint8: a quarter of the bytes that floats would move.

    Of samples that could not be read the first error is returned instead.
    """
    samples: list[Triple] = []
    for each in outcomes:
        if isinstance(each, UserError):
            return each
        samples.append(each)
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


def _batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    batches = iter(loader)
    if loader.num_workers:
        # torch's handler raises in whatever the process is doing when a worker dies, such as writing a checkpoint. Without it
        # the next batch says so, five seconds later at most.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield from batches


def iterate(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield what a loader gives, and raise what it returns as an error.

    Raises:
        UserError: A sample that cannot be used; ``WorkerError`` where a worker was killed.
    """
    batches = _batches_of(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            # "Caught ... in DataLoader worker" is an error of the code there; all else, that it is no longer there.
            if not loader.num_workers or str(error).startswith("Caught"):
                raise
            raise WorkerError(
                "a process that reads samples was killed; memory may have run out (data.workers: fewer) or /dev/shm be full "
                "(data.workers: 0 does without), and --resume goes on from the last whole epoch"
            ) from error
        if isinstance(batch, UserError):
            raise batch
        yield batch


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


def _as_it_is(item: T) -> T:
    return item


def prefetch(items: TorchDataset[Any], workers: int) -> DataLoader[Any]:
    """Iterate over a map-style sequence in order, read ahead by workers, one item at a time and uncollated."""
    return DataLoader(
        items,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=start_worker,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(0),
    )
