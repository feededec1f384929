"""How closely the masks of an engine agree with those of float32 eager torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import ByteArray

Masks = tuple[ByteArray, ByteArray]
"""(H, W) uint8 class ids, and (H, W) uint8 confidence."""


@dataclass(frozen=True)
class Agreement:
    """Masks of some scenes against those of a reference.

    Attributes:
        labels: Share of pixels with the same class id, 0..1, over all scenes.
        worst_scene: The same, of the scene where it is lowest.
        confidence_p99: Grey levels (0..255) that 99 % of the pixels' confidences differ by at most.
        scenes: Number of scenes.
        largest_class: Share of the reference's pixels, 0..1, that its most frequent class has. An engine that gave this
            class everywhere would agree as much: with random weights the share can be near 1, and agreement says little.
    """

    labels: float
    worst_scene: float
    confidence_p99: float
    scenes: int
    largest_class: float


def agreement(reference: Sequence[Masks], candidate: Sequence[Masks]) -> Agreement:
    """Compare masks of the same scenes, all of one size; at least one scene."""
    shares, differences = [], []
    for (label, confidence), (other_label, other_confidence) in zip(reference, candidate, strict=True):
        if label.shape != other_label.shape:
            raise ValueError(f"masks of {other_label.shape} do not belong to scenes of {label.shape}")
        shares.append(float((label == other_label).mean()))
        differences.append(np.abs(confidence.astype(np.int16) - other_confidence).ravel())
    counts = np.sum([np.bincount(label.ravel(), minlength=256) for label, _ in reference], axis=0)
    return Agreement(
        labels=float(np.mean(shares)),
        worst_scene=min(shares),
        confidence_p99=float(np.percentile(np.concatenate(differences), 99)),
        scenes=len(shares),
        largest_class=float(counts.max() / counts.sum()),
    )
