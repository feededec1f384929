from __future__ import annotations

from collections import Counter

import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.training.draws import BatchSampler, Draw, DrawPlan, quotas


def test_quotas_follow_shares_and_add_up() -> None:
    assert quotas([3, 1], [10, 1000], 80) == [60, 20]
    assert quotas([1, 1, 1], [5, 5, 5], 10) == [4, 3, 3]


def test_without_shares_each_source_gives_what_it_has() -> None:
    assert quotas([0, 0], [10, 30], 40) == [10, 30]


def test_shares_for_some_sources_only_are_refused() -> None:
    with pytest.raises(SettingError, match=r"data\.train: some sources have a share and some have none"):
        quotas([0, 1], [10, 30], 40)


def test_an_epoch_is_the_same_whenever_it_is_asked_for() -> None:
    plan = DrawPlan(3, [10, 7], [4, 6])
    late = DrawPlan(3, [10, 7], [4, 6]).epoch(5)
    for epoch in range(5):
        plan.epoch(epoch)
    assert plan.epoch(5) == late
    assert plan.epoch(4) != late
    assert [draw.position for draw in late] == list(range(10))
    assert Counter(draw.source for draw in late) == {0: 4, 1: 6}
    assert DrawPlan(4, [10, 7], [4, 6]).epoch(5) != late


def test_every_sample_comes_once_before_any_comes_again() -> None:
    plan = DrawPlan(0, [7], [3])
    dealt = [draw.index for epoch in range(14) for draw in plan.epoch(epoch)]
    for lap in range(6):
        assert sorted(dealt[lap * 7 : (lap + 1) * 7]) == list(range(7))
    assert dealt[:7] != dealt[7:14]


def test_an_epoch_longer_than_the_source_repeats_it() -> None:
    counts = Counter(draw.index for draw in DrawPlan(0, [4], [8]).epoch(0))
    assert counts == {0: 2, 1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_step_has_the_same_samples_however_many_processes_share_it(processes: int) -> None:
    plan = DrawPlan(1, [50], [22])
    shared: list[set[Draw]] = [set() for _ in range(5)]
    for rank in range(processes):
        sampler = BatchSampler(plan, 4, rank, processes)
        sampler.set_epoch(2)
        batches = list(sampler)
        assert len(batches) == len(sampler) == 5
        for step, batch in enumerate(batches):
            assert len(batch) == 4 // processes
            shared[step] |= set(batch)
    whole = plan.epoch(2)
    assert shared == [set(whole[step * 4 : step * 4 + 4]) for step in range(5)]


def test_batches_that_cannot_be_made_are_refused() -> None:
    plan = DrawPlan(0, [5], [5])
    with pytest.raises(SettingError, match=r"data\.batch: 6 pairs cannot be split evenly over 4 processes"):
        BatchSampler(DrawPlan(0, [50], [50]), 6, 0, 4)
    with pytest.raises(SettingError, match=r"data\.batch: 8 pairs, but an epoch has only 5 samples"):
        BatchSampler(plan, 8)
