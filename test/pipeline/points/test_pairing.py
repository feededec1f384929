"""Clouds and masks by their stamps."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.points.pairing import CloudPairer

MS = 1_000_000
SECOND = 1000 * MS


def matched(matches):
    return [(match.cloud, *match.masks) for match in matches]


def test_a_cloud_takes_the_nearest_mask_when_no_nearer_one_can_come():
    pairer = CloudPairer(1, 0.05)
    assert pairer.add_mask(0, 90 * MS, "early", 0) == []
    assert pairer.add_cloud(100 * MS, "cloud", 0) == []
    assert matched(pairer.add_mask(0, 123 * MS, "late", 0)) == [("cloud", "early")]
    assert matched(pairer.add_cloud(120 * MS, "next", 0)) == [("next", "late")]
    assert not pairer.dropped


def test_a_mask_may_paint_several_clouds_and_the_slop_is_inclusive():
    pairer = CloudPairer(1, 0.05)
    pairer.add_cloud(100 * MS, "a", 0)
    pairer.add_cloud(150 * MS, "b", 0)
    assert matched(pairer.add_mask(0, 150 * MS, "mask", 0)) == [("a", "mask"), ("b", "mask")]


def test_clouds_far_from_every_mask_are_counted():
    pairer = CloudPairer(1, 0.05)
    pairer.add_mask(0, 1000 * MS, "mask", 0)
    assert pairer.add_cloud(500 * MS, "old", 0) == []
    assert pairer.dropped == {"points_no_partner": 1}
    assert pairer.add_cloud(5000 * MS, "new", 0) == []
    assert pairer.advance(SECOND) == []
    assert pairer.advance(3 * SECOND) == [], "the cameras have fallen silent"
    assert pairer.dropped == {"points_no_partner": 2}


def test_with_several_camera_pairs_each_gives_its_mask_and_a_silent_one_is_not_waited_for_long():
    pairer = CloudPairer(2, 0.05)
    pairer.add_cloud(100 * MS, "cloud", 0)
    assert pairer.add_mask(0, 100 * MS, "front", 0) == []
    assert matched(pairer.add_mask(1, 110 * MS, "rear", 0)) == [("cloud", "front", "rear")]
    pairer.add_cloud(200 * MS, "next", SECOND)
    assert pairer.add_mask(0, 200 * MS, "front", SECOND) == []
    assert matched(pairer.advance(4 * SECOND)) == [("next", "front", None)]


def test_what_waits_is_bounded_and_counted():
    pairer = CloudPairer(1, 0.05)
    for index in range(25):
        pairer.add_cloud(index * 100 * MS, index, 0)
    assert pairer.dropped == {"points_queue_full": 15}
    for index in range(100):
        pairer.add_mask(0, 10 * SECOND + index * MS, index, 0)
    assert len(pairer._masks[0]) == 8


def test_clouds_that_come_twice_or_late_or_of_another_time_are_counted():
    pairer = CloudPairer(1, 0.05)
    pairer.add_cloud(100 * SECOND, "a", 0)
    pairer.add_cloud(100 * SECOND, "again", 0)
    pairer.add_cloud(99 * SECOND, "late", 0)
    assert pairer.dropped == {"points_duplicate": 1, "points_out_of_order": 1}
    pairer.add_cloud(SECOND, "the bag again", 0)
    assert pairer.dropped["points_reset"] == 1
    assert matched(pairer.add_mask(0, SECOND, "mask", 0)) == [("the bag again", "mask")]


def test_masks_of_a_time_that_has_ended_paint_nothing():
    pairer = CloudPairer(1, 0.05)
    pairer.add_mask(0, 100 * SECOND, "before", 0)
    pairer.add_mask(0, 50 * SECOND, "after", 0)
    assert matched(pairer.add_cloud(50 * SECOND, "cloud", 0)) == [("cloud", "after")]
