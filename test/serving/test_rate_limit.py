"""A limit that is exact on average, whatever the camera's rate."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.serving.rate_limit import RateLimit

START = 1_700_000_000_000_000_000


def stamps(rate, seconds, jitter=0.0, start=START):
    count = round(rate * seconds)
    noise = np.random.default_rng(0).uniform(-jitter, jitter, count)
    return [start + round(1e9 * (index / rate + noise[index])) for index in range(count)]


def passed(limit, given):
    return [stamp for stamp in given if limit.accepts(stamp)]


@pytest.mark.parametrize("jitter", [0.0, 0.005])
@pytest.mark.parametrize(("camera", "limit"), [(30, 15), (30, 20), (30, 29), (60, 25), (30, 10), (30, 7.5), (30, 0.5)])
def test_a_faster_camera_is_thinned_to_the_limit_exactly(camera, limit, jitter):
    taken = passed(RateLimit(limit), stamps(camera, 600, jitter))
    assert len(taken) == pytest.approx(600 * limit, abs=1)


@pytest.mark.parametrize(("camera", "limit"), [(30, 30), (9, 15), (29.97, 30), (30, 0)])
def test_a_camera_that_is_not_faster_loses_nothing(camera, limit):
    given = stamps(camera, 60, 0.004)
    assert passed(RateLimit(limit), given) == given


def test_half_the_rate_is_every_second_frame():
    given = stamps(30, 10, 0.005)
    assert passed(RateLimit(15), given) == given[::2]


def test_a_pause_is_not_made_up_for_by_a_burst():
    limit = RateLimit(10)
    before, after = stamps(30, 1), stamps(30, 1, start=START + 60 * 10**9)
    assert len(passed(limit, before)) == 10
    assert len(passed(limit, after)) == 10


def test_a_jump_back_in_time_begins_anew():
    limit = RateLimit(15)
    given = stamps(30, 10)
    for _ in range(3):
        assert passed(limit, given) == given[::2]
