"""Which sample of which source comes at which position of which epoch: a pure function of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.errors import SettingError


@dataclass(frozen=True)
class Draw:
    """One sample of an epoch, and what its augmentation is seeded with: (seed, epoch, position)."""

    epoch: int
    position: int
    source: int
    index: int


def quotas(shares: Sequence[float], lengths: Sequence[int], samples: int) -> list[int]:
    """Return how many of an epoch's samples each source gives, by the largest remainder.

    Args:
        shares: Relative shares; 0 stands for the source's number of samples.
        lengths: Number of samples of each source.
        samples: Samples of the epoch.
    """
    wanted = np.array([share or length for share, length in zip(shares, lengths, strict=True)], dtype=np.float64)
    if any(share > 0 for share in shares) and any(share == 0 for share in shares):
        raise SettingError("data.train", "some sources have a share and some have none", "a share for all, or for none")
    exact = wanted / wanted.sum() * samples
    counts = np.floor(exact).astype(int)
    for source in np.argsort(counts - exact, kind="stable")[: samples - int(counts.sum())]:
        counts[source] += 1
    return [int(count) for count in counts]


class DrawPlan:
    """The order of all samples of a run.

    Each epoch has the same number of samples of each source, shuffled together. A source is dealt like a deck of cards: every
    sample once before any comes again, over epochs too.
    """

    def __init__(self, seed: int, lengths: Sequence[int], counts: Sequence[int]) -> None:
        """Fix the plan.

        Args:
            seed: Of everything.
            lengths: Number of samples of each source.
            counts: How many of them an epoch has, see ``quotas``.
        """
        self._seed, self._lengths, self._counts = seed, tuple(lengths), tuple(counts)

    def __len__(self) -> int:
        """Return the samples of an epoch."""
        return sum(self._counts)

    def epoch(self, epoch: int) -> list[Draw]:
        """Return the draws of one epoch in order."""
        sources = np.repeat(np.arange(len(self._counts)), self._counts)
        np.random.default_rng((self._seed, 1, epoch)).shuffle(sources)
        decks = [self._deal(source, epoch) for source in range(len(self._counts))]
        return [
            Draw(epoch, position, int(source), next(decks[source])) for position, source in enumerate(sources.tolist())
        ]

    def _deal(self, source: int, epoch: int) -> Iterator[int]:
        length, count = self._lengths[source], self._counts[source]
        lap, deck = -1, np.empty(0, np.int64)
        for card in range(epoch * count, (epoch + 1) * count):
            if card // length != lap:
                lap = card // length
                deck = self._deck(source, lap)
            yield int(deck[card % length])

    def _deck(self, source: int, lap: int) -> IntArray:
        return np.random.default_rng((self._seed, 2, source, lap)).permutation(self._lengths[source])


class BatchSampler:
    """The draws of one process, batch by batch; ``set_epoch`` chooses the epoch.

    Batch b of the whole run's order is split by rank, so that the samples of a step are the same however many processes share
    them. The gradient is not quite: losses that are ratios over a batch are taken by process and then averaged.
    """

    def __init__(self, plan: DrawPlan, batch: int, rank: int = 0, processes: int = 1) -> None:
        """Split batches of ``batch`` draws over ``processes``.

        Raises:
            SettingError: The batch cannot be split evenly, or an epoch has less than one.
        """
        if batch % processes:
            raise SettingError("data.batch", f"{batch} pairs cannot be split evenly over {processes} processes")
        if len(plan) < batch:
            raise SettingError("data.batch", f"{batch} pairs, but an epoch has only {len(plan)} samples")
        self._plan, self._batch, self._rank, self._processes = plan, batch, rank, processes
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the steps of an epoch; what does not fill a batch is left out."""
        return len(self._plan) // self._batch

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the draws of each step."""
        draws = self._plan.epoch(self._epoch)
        for step in range(len(self)):
            yield draws[step * self._batch + self._rank : (step + 1) * self._batch : self._processes]
