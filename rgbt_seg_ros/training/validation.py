"""The score that chooses the best model: mIoU of the averaged weights on the validation data, also by modality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.confusion import Scores, confusion_matrix, scores
from rgbt_seg_ros.evaluation.evaluator import spread
from rgbt_seg_ros.network import FusionNetwork, Modality, ModelSpec
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.training.augmentation import Neutral
from rgbt_seg_ros.training.loading import Normaliser, iterate, neutral_of, outcome, prefetch
from rgbt_seg_ros.training.sources import LabelledSource

_BATCH = 4


@dataclass(frozen=True)
class Item:
    """One validation sample: images of the network's size, uint8, and the label mask in its own size."""

    rgb: ByteArray
    thermal: ByteArray
    label: ByteArray


@dataclass(frozen=True)
class Shown:
    """One sample of the picture grid: (h, w) images, (H, W) masks; confidence is round(255·p)."""

    item: Item
    prediction: ByteArray
    confidence: ByteArray


@dataclass(frozen=True)
class Validation:
    """What an evaluation gave.

    Attributes:
        scores: By modality: ``rgbt``, and ``rgb`` and ``thermal`` where asked for.
        shown: Samples for the picture grid.
    """

    scores: dict[Modality, Scores]
    shown: tuple[Shown, ...]


class ValidationItems(TorchDataset["Item | UserError"]):
    """The validation samples of all sources in one sequence, each read again every time."""

    def __init__(self, sources: Sequence[LabelledSource], limit: int, size: tuple[int, int]) -> None:
        """Take ``limit`` samples of each source, evenly spread (0: all), for a network of input size (H, W)."""
        self._sources, self._size = sources, size
        self._picks = [
            (source, index) for source, data in enumerate(sources) for index in spread(len(data), limit or None)
        ]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._picks)

    def __getitem__(self, position: int) -> Item | UserError:
        """Read one sample; an error that a user can do something about is returned, see ``outcome``."""
        return outcome(lambda: self._read(position))

    def _read(self, position: int) -> Item:
        source, index = self._picks[position]
        sample = self._sources[source][index]
        assert sample.label is not None
        return Item(resize(sample.rgb, self._size), resize(sample.thermal, self._size), sample.label)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Group neighbours whose label masks have one size."""
    batch: list[Item] = []
    for item in items:
        if batch and (len(batch) == _BATCH or item.label.shape != batch[0].label.shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def hide(items: Sequence[Item], modality: Modality, neutral: Neutral) -> tuple[torch.Tensor, torch.Tensor]:
    """Return stacked uint8 images of which the modality that is not used is neutral grey."""
    rgb = np.stack([item.rgb for item in items])
    thermal = np.stack([item.thermal for item in items])
    if modality == "rgb":
        thermal[:] = neutral.thermal[0]
    elif modality == "thermal":
        rgb[:] = neutral.rgb
    return torch.from_numpy(rgb), torch.from_numpy(thermal)


@torch.inference_mode()
def validate(
    network: FusionNetwork,
    spec: ModelSpec,
    items: ValidationItems,
    modalities: Sequence[Modality],
    device: torch.device,
    workers: int = 0,
    pictures: int = 0,
    interrupted: Callable[[], None] = lambda: None,
) -> Validation:
    """Score a network.

    Args:
        network: In eval mode on its device.
        spec: Its normalisations and classes.
        items: What it is scored on.
        modalities: Of ``rgbt``, ``rgb``, ``thermal``; the first one is shown.
        device: The network's.
        workers: Processes that read samples.
        pictures: How many samples to return for the picture grid, evenly spread.
        interrupted: Called between batches; may raise.

    Raises:
        UserError: A sample that cannot be used, or a worker that died.
    """
    normaliser, neutral = Normaliser(spec, device), neutral_of(spec)
    matrices = {modality: np.zeros((spec.num_classes,) * 2, np.int64) for modality in modalities}
    wanted = set(spread(len(items), pictures)) if pictures else set()
    shown: list[Shown] = []
    position = 0
    bar = tqdm(total=len(items), desc="validate", unit="pair", disable=None, leave=False)
    for batch in _batches(iterate(prefetch(items, workers))):
        interrupted()
        for modality in modalities:
            images = normaliser.images(*hide(batch, modality, neutral))
            height, width = batch[0].label.shape
            logits = network(*images, output_size=(height, width))
            predictions = logits.argmax(1).to(torch.uint8).cpu().numpy()
            for number, item in enumerate(batch):
                matrices[modality] += confusion_matrix(item.label, predictions[number], spec.num_classes)
                if modality == modalities[0] and position + number in wanted:
                    winner = logits[number].float().softmax(0).amax(0)
                    confidence = winner.mul(255).round().to(torch.uint8).cpu().numpy()
                    shown.append(Shown(item, predictions[number], confidence))
        position += len(batch)
        bar.update(len(batch))
    bar.close()
    return Validation({modality: scores(matrix) for modality, matrix in matrices.items()}, tuple(shown))
