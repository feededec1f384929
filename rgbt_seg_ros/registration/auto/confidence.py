"""Whether an alignment may be believed: from what it is made of, not from its own score alone.

Any two images have a best alignment. That of images that show nothing in common shows in three signs: cells agree little; each
half of the image, by itself, gives something else; so does a random choice of its parts (the Bayesian bootstrap of Rubin 1981).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray, IntArray
from rgbt_seg_ros.registration.auto.fit import Basis, maximise
from rgbt_seg_ros.registration.auto.surfaces import Surface

_DRAWS = 12

_BELIEVED = (6.1, 2.5, -0.68, -2.05, 0.5)
"""Logistic regression of errors of at most 4 px on the features of ``Evidence``, over synthetic and real pairs warped by known
homographies and over unrelated pairs; none of them is among those that benchmarks/calibrate_auto.py reports. The last, of the
number of pairs, is set by hand: what differs from scene to scene averages out."""

_ERROR = (0.96, 0.28, 0.24, 0.74, 0.0)
"""Linear regression of the logarithm of the error (px) on the same, over those that are believed."""

_WITHIN = 3.0
"""How many times the expected error of the mean corner the worst corner may err by, with 95 %: held against known homographies
of generated scenes and rigs (test_auto_judge.py, benchmarks/calibrate_auto.py)."""

_USUAL = (-1.16, 1.15, -0.3, 0.0)
"""Means of the features (but the 1) over good alignments."""

LEAST_CONFIDENCE = 0.5
"""Below it an alignment of several pairs is refused."""

LEAST_OF_ONE = 0.85
"""The same of a single pair. Of 64 real pairs, none of them among those that benchmarks/calibrate_auto.py reports, 62 % had at
least 0.5, and 25 % had that and were off by more than 4 px all the same; 25 % had at least 0.85, and 8 % had
that and were off."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for an alignment.

    Attributes:
        correlation: Mean correlation of the cells, -1 to 1; 0.1 is much between a thermal and an RGB image.
        halves: Mean distance of the corners (px) between what two halves of the cells say, each by itself.
        deviation: Standard deviation of a corner's position (px), by the bootstrap, mean of the four.
        unit: px that one pixel of an image 640 wide has here.
        pairs: How many there were.
    """

    correlation: float
    halves: float
    deviation: float
    unit: float = 1.0
    pairs: int = 1

    @property
    def features(self) -> tuple[float, ...]:
        """The signs, on scales on which they add up."""
        return (
            1.0,
            math.log(max(self.correlation, 1e-3)),
            math.log(self.halves / self.unit + 0.5),
            math.log(self.deviation / self.unit + 0.1),
            math.log(self.pairs),
        )

    @property
    def confidence(self) -> float:
        """Probability that the corners are within 4 px (of an image 640 wide) of the truth: 0 to 1."""
        return 1 / (1 + math.exp(-min(max(self._sum(_BELIEVED), -50.0), 50.0)))

    @property
    def least_confidence(self) -> float:
        """Below which it is refused."""
        return LEAST_OF_ONE if self.pairs == 1 else LEAST_CONFIDENCE

    @property
    def expected_error(self) -> float:
        """Mean distance of the corners from the truth that alignments with such evidence have, px."""
        return self.unit * math.exp(min(max(self._sum(_ERROR), -3.0), 5.0))

    @property
    def within(self) -> float:
        """Distance from the truth within which every corner lies, px, with 95 %."""
        return _WITHIN * self.expected_error

    def weakest(self) -> str:
        """Return in words which sign speaks most against it."""
        signs = (
            f"the edges of both images agree little (correlation {self.correlation:.2f})",
            f"two halves of the evidence disagree by {self.halves:.0f} px",
            f"corners are uncertain by {self.deviation:.1f} px",
            "one pair says little",
        )
        shares = [
            weight * (value - usual)
            for weight, value, usual in zip(_BELIEVED[1:], self.features[1:], _USUAL, strict=True)
        ]
        return signs[shares.index(min(shares))]

    def _sum(self, weights: tuple[float, ...]) -> float:
        return sum(weight * value for weight, value in zip(weights, self.features, strict=True))


def halves_apart(
    surfaces: Surface,
    basis: Basis,
    pixel: float,
    halves: npt.NDArray[np.bool_],
    offset: FloatArray,
    blurs: Sequence[float],
    at_corners: FloatArray,
) -> float:
    """Fit each half of the cells by itself, and return how far apart (px) they put the corners in the mean."""
    found = []
    for half in (halves, ~halves):
        fit = maximise(
            surfaces, basis, pixel, np.asarray(half * 2.0, np.float64), np.zeros(basis.matrix.shape[2]), offset, blurs
        )
        found.append(at_corners @ fit.parameters[: basis.model])
    return float(np.linalg.norm(found[0] - found[1], axis=-1).mean())


def corner_deviation(
    surfaces: Surface,
    basis: Basis,
    pixel: float,
    blocks: IntArray,
    best: FloatArray,
    offset: FloatArray,
    at_corners: FloatArray,
) -> float:
    """Weigh blocks of cells at random and fit again from the best parameters; return the corners' standard deviation, px."""
    rng = np.random.default_rng(0)
    _, number = np.unique(blocks, return_inverse=True)
    found = []
    for _ in range(_DRAWS):
        weights = rng.exponential(size=int(number.max()) + 1)
        fit = maximise(surfaces, basis, pixel, weights[number] / weights[number].mean(), best, offset, (0.7,))
        found.append(at_corners @ fit.parameters[: basis.model])
    return float(np.sqrt(np.var(found, axis=0).sum(-1)).mean())
