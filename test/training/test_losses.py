"""Each loss against a direct formula, on inputs small enough to count by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from rgbt_seg_ros.network.decoder import TrainingOutput
from rgbt_seg_ros.training import losses
from rgbt_seg_ros.training.losses import (
    auxiliary_weight,
    combined_loss,
    cross_entropy,
    dice,
    every,
    jaccard_gradient,
    lovasz_softmax,
    main_loss,
)
from rgbt_seg_ros.training.optimisation_config import LossConfig


def case(seed: int, pixels: int = 6, classes: int = 3, ignored: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (1, K, 1, P) in double precision and labels (1, 1, P), one pixel of which may be 255."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, classes, 1, pixels, generator=generator, dtype=torch.float64)
    label = torch.randint(0, classes, (1, 1, pixels), generator=generator)
    if ignored:
        label[0, 0, seed % pixels] = 255
    return logits, label


def columns(logits: torch.Tensor, label: torch.Tensor) -> list[tuple[list[float], int]]:
    """(probabilities by class, class) of each labelled pixel."""
    probabilities = logits.softmax(1)[0, :, 0].T.tolist()
    return [(p, int(y)) for p, y in zip(probabilities, label[0, 0].tolist(), strict=True) if y != 255]


def jaccard_of_wrong_set(wrong: set[int], members: set[int]) -> float:
    """Δ(S) = |S| / |truth ∪ S| (Berman et al. 2018, equation 6): the Jaccard loss when exactly the pixels S are wrong."""
    return len(wrong) / len(members | wrong) if members | wrong else 0.0


def lovasz_extension(errors: list[float], members: set[int]) -> float:
    """Return ∫₀¹ Δ({i: m_i ≥ t}) dt, the Choquet integral: the Lovász extension of Δ without a sort or a gradient."""
    levels = sorted({0.0, *errors})
    return sum(
        (high - low) * jaccard_of_wrong_set({i for i, error in enumerate(errors) if error >= high}, members)
        for low, high in itertools.pairwise(levels)
    )


@pytest.mark.parametrize("seed", range(6))
def test_cross_entropy_is_the_weighted_mean_of_the_log_likelihoods(seed: int) -> None:
    logits, label = case(seed)
    weights = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    pixels = columns(logits, label)
    expected = sum(-float(weights[y]) * math.log(p[y]) for p, y in pixels) / sum(float(weights[y]) for _, y in pixels)
    assert float(cross_entropy(logits, label, weights)) == pytest.approx(expected, rel=1e-9)
    unweighted = sum(-math.log(p[y]) for p, y in pixels) / len(pixels)
    assert float(cross_entropy(logits, label)) == pytest.approx(unweighted, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_dice_is_the_mean_over_the_classes_that_occur(seed: int) -> None:
    logits, label = case(seed)
    pixels = columns(logits, label)
    terms = []
    for index in range(3):
        truth = sum(y == index for _, y in pixels)
        if truth:
            overlap = sum(p[index] for p, y in pixels if y == index)
            mass = sum(p[index] for p, _ in pixels)
            terms.append(1 - (2 * overlap + 0.25) / (mass + truth + 0.25))
    expected = sum(terms) / len(terms)
    assert float(dice(logits.softmax(1), label, smooth=0.25)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("radix", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_lovasz_softmax_is_the_lovasz_extension_of_the_jaccard_loss(
    seed: int, radix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if radix:
        monkeypatch.setattr(losses, "_RADIX_FROM", 1)
    logits, label = case(seed, ignored=seed % 2 == 0)
    pixels = columns(logits, label)
    terms = []
    for index in {y for _, y in pixels}:
        members = {i for i, (_, y) in enumerate(pixels) if y == index}
        errors = [1 - p[index] if y == index else p[index] for p, y in pixels]
        terms.append(lovasz_extension(errors, members))
    expected = sum(terms) / len(terms)
    tolerance = 2**-15 if radix else 1e-9
    assert float(lovasz_softmax(logits.softmax(1), label)) == pytest.approx(expected, abs=tolerance)


def test_lovasz_softmax_of_hard_predictions_is_one_minus_their_mean_iou() -> None:
    prediction = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    label = torch.tensor([[[0, 1, 1, 1, 2, 0]]])
    probabilities = torch.nn.functional.one_hot(prediction, 3).permute(0, 3, 1, 2).double()
    ious = [1 / 3, 2 / 3, 1 / 2]
    assert float(lovasz_softmax(probabilities, label)) == pytest.approx(1 - sum(ious) / 3)


def test_lovasz_softmax_has_the_gradient_of_its_values() -> None:
    logits, label = case(3, ignored=True)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: lovasz_softmax(z.softmax(1), label), (logits,), eps=1e-7)


def test_the_radix_order_changes_the_lovasz_loss_by_less_than_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(2, 4, 60, 80, generator=generator).mul(3).softmax(1)
    label = torch.randint(0, 4, (2, 60, 80), generator=generator)
    fast = float(lovasz_softmax(probabilities, label))
    monkeypatch.setattr(losses, "_RADIX_FROM", 10**9)
    assert fast == pytest.approx(float(lovasz_softmax(probabilities, label)), abs=2**-15)


def test_the_jaccard_gradient_adds_up_to_the_loss_of_getting_everything_wrong() -> None:
    truth = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    gradient = jaccard_gradient(truth)
    assert float(gradient.sum()) == pytest.approx(1.0)
    partial = [jaccard_of_wrong_set(set(range(count)), {1, 2, 4}) for count in range(6)]
    steps = [after - before for before, after in itertools.pairwise(partial)]
    assert gradient.tolist() == pytest.approx(steps)


@pytest.mark.parametrize(
    "loss", [cross_entropy, lambda z, y: dice(z.softmax(1), y), lambda z, y: lovasz_softmax(z.softmax(1), y)]
)
def test_a_batch_without_a_labelled_pixel_costs_nothing_and_teaches_nothing(loss) -> None:
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 5), 255))
    value.backward()
    assert float(value.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_get_no_gradient() -> None:
    logits, label = case(1)
    logits.requires_grad_()
    main_loss(logits, label, LossConfig(), None).total.backward()
    ignored = (label == 255).unsqueeze(1).expand_as(logits)
    assert bool((logits.grad[ignored] == 0).all())
    assert bool((logits.grad[~ignored] != 0).any())


def test_a_weight_of_zero_switches_a_term_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise AssertionError("computed although its weight is 0")

    for name in ("dice", "lovasz_softmax"):
        monkeypatch.setattr(losses, name, fail)
    logits, label = case(0)
    terms = main_loss(logits, label, LossConfig(cross_entropy=2.0, dice=0.0, lovasz=0.0), None)
    assert float(terms.total) == pytest.approx(2 * float(cross_entropy(logits, label)))
    assert list(terms.parts) == ["cross_entropy"]


def test_the_auxiliary_weight_falls_linearly_and_stays() -> None:
    settings = LossConfig(auxiliary=(0.3, 0.05), auxiliary_epochs=80)
    weights = [auxiliary_weight(settings, epoch) for epoch in (0, 40, 80, 200)]
    assert weights == pytest.approx([0.3, 0.175, 0.05, 0.05])


def test_the_whole_loss_is_the_sum_of_the_recipe() -> None:
    generator = torch.Generator().manual_seed(0)
    main, extra, *deep = (torch.randn(1, 3, 8, 8, generator=generator) for _ in range(6))
    label = torch.randint(0, 3, (1, 8, 8), generator=generator)
    weights = torch.tensor([1.0, 3.0, 0.5])
    settings = LossConfig()
    terms = combined_loss(TrainingOutput(main, extra, tuple(deep)), label, settings, weights, epoch=40)
    probabilities = main.softmax(1)
    expected = (
        0.4 * cross_entropy(main, label, weights)
        + 0.3 * dice(probabilities, label)
        + 0.3 * lovasz_softmax(probabilities, label)
    )
    shares = (0.1, 0.2, 0.3, 0.4)
    expected += 0.175 * (
        cross_entropy(extra, label, weights)
        + sum(share * cross_entropy(head, label, weights) for share, head in zip(shares, deep, strict=True))
    )
    assert float(terms.total) == pytest.approx(float(expected), rel=1e-6)


def test_heads_at_a_quarter_of_the_size_are_compared_at_the_middle_of_each_cell() -> None:
    label = torch.arange(64).view(1, 8, 8)
    assert every(label, 4).tolist() == [[[18, 22], [50, 54]]]
    coarse = torch.randn(1, 64, 2, 2)
    output = TrainingOutput(coarse, coarse, (coarse,) * 4)
    terms = combined_loss(output, label, LossConfig(auxiliary=(1.0, 1.0), lovasz=0, dice=0), None, 0)
    assert float(terms.parts["auxiliary"]) == pytest.approx(2 * float(cross_entropy(coarse, every(label, 4))), rel=1e-5)


def test_every_parameter_has_a_gradient_when_the_auxiliary_weight_has_come_down_to_0() -> None:
    logits = [torch.zeros(1, 3, 8, 8, requires_grad=True) for _ in range(6)]
    output = TrainingOutput(logits[0], logits[1], tuple(logits[2:]))
    label = torch.zeros(1, 8, 8, dtype=torch.int64)
    settings = LossConfig(auxiliary=(0.3, 0.0), auxiliary_epochs=2)
    terms = combined_loss(output, label, settings, None, 2)
    terms.total.backward()
    assert float(terms.total.detach()) == pytest.approx(
        float(main_loss(logits[0], label, settings, None).total.detach())
    )
    assert all(each.grad is not None for each in logits)
    assert not any(bool(each.grad.any()) for each in logits[1:])
