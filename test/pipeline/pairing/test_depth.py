"""Depth images to the pairs they belong to."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.pairing.depth import DepthPairer
from rgbt_seg_ros.pipeline.pairing.nearest import Pair

MS = 1_000_000


def pair(stamp):
    return Pair("rgb", "thermal", stamp, stamp, 0.0)


def test_a_pair_gets_the_depth_image_of_its_rgb_stamp_whichever_comes_first():
    pairer = DepthPairer(0.02, 10)
    assert pairer.add_depth(0, "d0") == []
    assert pairer.add_pair(pair(0)) == [(pair(0), "d0")]
    assert pairer.add_pair(pair(100 * MS)) == []
    assert pairer.add_depth(100 * MS, "d1") == [(pair(100 * MS), "d1")]
    assert not +pairer.dropped()


def test_pairs_without_depth_and_depth_without_pairs_are_counted():
    pairer = DepthPairer(0.02, 10)
    found = []
    for frame in range(30):
        found += pairer.add_depth(frame * 33 * MS, frame)
        if frame % 3 == 0:
            found += pairer.add_pair(pair(frame * 33 * MS))
    assert [depth for _, depth in found] == list(range(0, 30, 3))[: len(found)]
    assert len(found) >= 9
    assert pairer.dropped()["depth_no_partner"] >= 15
    assert pairer.add_pair(pair(10**10)) == []
    pairer.add_depth(2 * 10**10, "late")
    assert pairer.dropped()["pair_no_depth"] == 1


def test_pairs_do_not_wait_for_ever_where_depth_has_ended():
    pairer = DepthPairer(0.02, 10)
    for frame in range(50):
        assert pairer.add_pair(pair(frame * 100 * MS)) == []
    assert pairer.dropped()["pair_no_depth"] >= 39


def test_the_slop_is_inclusive():
    for late, found in ((20 * MS, 1), (20 * MS + 1, 0)):
        pairer = DepthPairer(0.02, 10)
        pairs = pairer.add_pair(pair(0)) + pairer.add_depth(late, "d") + pairer.add_depth(10**9, "much later")
        assert len(pairs) == found
        assert pairer.dropped()["pair_no_depth"] == 1 - found
