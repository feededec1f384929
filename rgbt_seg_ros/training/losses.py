"""The losses of the training recipe (arXiv 2605.26273): cross entropy, Dice, Lovász-softmax, and their weighted sum.

All take logits or probabilities (N, K, H, W) and labels (N, H, W) int64 with 255 where nobody annotated. All return a
scalar that is 0, with zero gradient, for a batch without a labelled pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rgbt_seg_ros.data.samples import IGNORED
from rgbt_seg_ros.network.decoder import TrainingOutput, resize
from rgbt_seg_ros.training.optimisation_config import LossConfig

# ---------------------------------------------------------------------------------------------------------------------
# Cross entropy, weighted by class
# ---------------------------------------------------------------------------------------------------------------------


def cross_entropy(logits: torch.Tensor, label: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Return −Σ w_y·log p_y / Σ w_y over the labelled pixels.

    torch's own, but 0 instead of nan where no pixel is labelled.

    Args:
        logits: (N, K, H, W) float.
        label: (N, H, W) int64, 0..K-1 or 255.
        weights: (K,) float; None: all 1.
    """
    total = nn.functional.cross_entropy(logits, label, weights, ignore_index=IGNORED, reduction="sum")
    valid = label != IGNORED
    mass = valid.sum() if weights is None else weights[label.clamp(max=logits.shape[1] - 1)][valid].sum()
    return total / mass.clamp(min=torch.finfo(torch.float32).tiny)


# ---------------------------------------------------------------------------------------------------------------------
# Dice (Milletari et al. 2016, V-Net), the soft form with sums in the denominator (Sudre et al. 2017)
# ---------------------------------------------------------------------------------------------------------------------


def dice(probabilities: torch.Tensor, label: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """Return the mean over the classes in the batch of 1 − (2·Σ p·y + s) / (Σ p + Σ y + s), sums over labelled pixels.

    Args:
        probabilities: (N, K, H, W), softmax over K.
        label: (N, H, W) int64, 0..K-1 or 255.
        smooth: s, in pixels.
    """
    classes = probabilities.shape[1]
    valid = label != IGNORED
    target = torch.where(valid, label, 0)
    # p of the true class, summed by class: no one-hot copy of the labels is needed.
    own = probabilities.gather(1, target.unsqueeze(1)).squeeze(1) * valid
    overlap = own.new_zeros(classes).index_add(0, target.flatten(), own.flatten())
    count = own.new_zeros(classes).index_add(0, target.flatten(), valid.flatten().to(own.dtype))
    mass = (probabilities * valid.unsqueeze(1)).sum((0, 2, 3))
    losses = 1.0 - (2.0 * overlap + smooth) / (mass + count + smooth)
    present = count > 0
    return (losses * present).sum() / present.sum().clamp(min=1)


# ---------------------------------------------------------------------------------------------------------------------
# Lovász-softmax (Berman et al. 2018, "The Lovász-Softmax loss", algorithm 1 and equations 8, 11, 12)
# ---------------------------------------------------------------------------------------------------------------------

_RADIX_FROM = 4096
"""Errors on the CPU are ordered by a 16-bit radix sort from this many on: it takes a twentieth of torch's sort."""


def _descending(errors: torch.Tensor) -> torch.Tensor:
    """Return the indices that order (P,) errors in 0..1 from high to low.

    Rounded to 2⁻¹⁶ for long CPU tensors. The Lovász extension is the maximum over all orders of what an order gives and it
    changes no faster than the largest change of an error, so that the loss comes out less than 2⁻¹⁵ too low.
    """
    if errors.device.type != "cpu" or errors.numel() < _RADIX_FROM:
        return torch.argsort(errors, descending=True, stable=True)
    # A network that has overflowed gives nan: in any order, and the loss says so.
    keys = 65535 - (torch.nan_to_num(errors).numpy() * 65535.0).astype(np.uint16)
    return torch.from_numpy(np.argsort(keys, kind="stable"))


def jaccard_gradient(truth: torch.Tensor) -> torch.Tensor:
    r"""Return the gradient of the Lovász extension of the Jaccard loss with respect to sorted errors.

    Args:
        truth: (P,) float, 1 where the pixel belongs to the class, in descending order of its error; at least one is 1.

    Returns:
        (P,) g with g_i = Δ({1..i}) − Δ({1..i−1}), Δ(S) = 1 − |truth \ S| / |truth ∪ S| the Jaccard loss of the wrong set S.
    """
    total = truth.sum()
    found = truth.cumsum(0)
    # |truth ∪ {1..i}| = |truth| + the members of {1..i} outside it.
    union = total + torch.arange(1, len(truth) + 1, device=truth.device, dtype=truth.dtype) - found
    loss = 1.0 - (total - found) / union
    return torch.cat((loss[:1], loss[1:] - loss[:-1]))


def lovasz_softmax(probabilities: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the mean over the classes in the batch of the Lovász extension of their Jaccard loss.

    This is the canonical loss of Berman et al.: errors m_i = |y_i − p_i(c)| of all labelled pixels of the batch, sorted in
    descending order, dotted with ``jaccard_gradient``. The published code of arXiv 2605.26273 computes something else under
    this name; what the recipe here calls Lovász is the Jaccard extension.

    Args:
        probabilities: (N, K, H, W), softmax over K.
        label: (N, H, W) int64, 0..K-1 or 255.
    """
    valid = label != IGNORED
    if bool(valid.all()):
        truth, by_class = label.flatten(), probabilities.transpose(0, 1).flatten(1)
    else:
        truth = label[valid]
        by_class = probabilities.permute(0, 2, 3, 1)[valid].t()
    losses = []
    for index in torch.unique(truth).tolist():
        member = truth == index
        probability = by_class[index]
        with torch.no_grad():
            errors = torch.where(member, 1.0 - probability, probability)
            order = _descending(errors)
            # Scattered back, so that the gradient needs no sort: the loss is linear in the errors for a given order.
            gradient = torch.empty_like(errors)
            gradient[order] = jaccard_gradient(member[order].to(errors.dtype))
            slope = torch.where(member, -gradient, gradient)
        # Σ g·|y − p| = Σ_member g·(1 − p) + Σ_other g·p
        losses.append(torch.dot(slope, probability) + gradient[member].sum())
    if not losses:
        return probabilities.sum() * 0.0
    return torch.stack(losses).mean()


# ---------------------------------------------------------------------------------------------------------------------
# The whole loss (arXiv 2605.26273): main + w·(auxiliary + Σ wᵢ·deepᵢ), w falling over the epochs
# ---------------------------------------------------------------------------------------------------------------------


def auxiliary_weight(settings: LossConfig, epoch: float) -> float:
    """Return w after ``epoch`` epochs: linear from its first to its last value over ``auxiliary_epochs``, then constant."""
    first, last = settings.auxiliary
    return first + (last - first) * min(1.0, max(0.0, epoch / settings.auxiliary_epochs))


@dataclass(frozen=True)
class LossTerms:
    """The parts of one step's loss, detached scalars, by name; ``total`` carries the gradient."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]


def every(label: torch.Tensor, stride: int) -> torch.Tensor:
    """Return (N, H, W) labels at every ``stride``-th pixel each way, taken at the middle of each cell."""
    return label if stride == 1 else label[:, stride // 2 :: stride, stride // 2 :: stride]


def main_loss(
    logits: torch.Tensor, label: torch.Tensor, settings: LossConfig, weights: torch.Tensor | None
) -> LossTerms:
    """Return the weighted sum of cross entropy, Dice and Lovász-softmax; terms of weight 0 are not computed.

    Args:
        logits: (N, K, H, W) float32.
        label: (N, H, W) int64.
        settings: Weights.
        weights: (K,) class weights of the cross entropy. Dice and Lovász average over classes, so that each class weighs the
            same in them already.
    """
    parts: dict[str, torch.Tensor] = {}
    total = logits.new_zeros(())
    if settings.cross_entropy:
        parts["cross_entropy"] = cross_entropy(logits, label, weights)
        total = total + settings.cross_entropy * parts["cross_entropy"]
    if settings.dice or settings.lovasz:
        probabilities = logits.softmax(1)
        if settings.dice:
            parts["dice"] = dice(probabilities, label)
            total = total + settings.dice * parts["dice"]
        if settings.lovasz:
            step = settings.lovasz_stride
            seen = probabilities if step == 1 else probabilities[..., step // 2 :: step, step // 2 :: step]
            parts["lovasz"] = lovasz_softmax(seen, every(label, step))
            total = total + settings.lovasz * parts["lovasz"]
    return LossTerms(total, {name: part.detach() for name, part in parts.items()})


def combined_loss(
    output: TrainingOutput, label: torch.Tensor, settings: LossConfig, weights: torch.Tensor | None, epoch: float
) -> LossTerms:
    """Return the loss of one batch.

    Args:
        output: Logits; of ``label``'s size, or all at the decoder's stride 4 (``auxiliary_stride`` 4).
        label: (N, H, W) int64.
        settings: Weights of the terms.
        weights: (K,) class weights; None: all 1.
        epoch: Epochs done, with fraction.
    """
    logits = resize(output.logits.float(), label.shape[1:])
    main = main_loss(logits, label, settings, weights)
    factor = auxiliary_weight(settings, epoch)
    if output.auxiliary is None:
        return main
    # At a weight that has come down to 0 too: several processes wait for the gradient of every parameter.
    coarse = label if output.auxiliary.shape[2:] == label.shape[1:] else every(label, 4)
    extra = cross_entropy(output.auxiliary.float(), coarse, weights)
    for share, deep in zip(settings.deep, output.deep, strict=True):
        extra = extra + share * cross_entropy(deep.float(), coarse, weights)
    return LossTerms(main.total + factor * extra, {**main.parts, "auxiliary": extra.detach()})
