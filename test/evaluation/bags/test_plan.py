"""Pairs of a bag, before any image is looked at."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.evaluation.bags.axis import axis_of
from rgbt_seg_ros.evaluation.bags.plan import make_plan
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, PairingSettings

SECOND = 1_000_000_000


def plan_of(path, **settings):
    with Bag(path) as bag:
        return make_plan(bag, find_cameras(bag), lambda: NearestPairer(PairingSettings(**settings)))


def test_a_plan_holds_every_pair_in_order_with_its_frames(recording):
    plan = plan_of(recording.path)
    assert [pair.index for pair in plan.pairs] == [0, 1, 2, 3]
    assert [pair.rgb for pair in plan.pairs] == [0, 3, 6, 9]
    assert [pair.thermal for pair in plan.pairs] == [0, 1, 2, 3]
    assert [pair.rgb_stamp for pair in plan.pairs] == [recording.stamps[index] for index in (0, 3, 6, 9)]
    assert [pair.offset for pair in plan.pairs] == pytest.approx([0.004] * 4)
    assert plan.received == (12, 4)


def test_frames_without_a_partner_are_counted_by_reason_and_over_time(recording):
    plan = plan_of(recording.path)
    assert plan.dropped == {"rgb_no_partner": 8}
    assert sum(entry.dropped for entry in plan.traffic) == 8
    assert sum(entry.rgb for entry in plan.traffic) == 12


def test_reused_thermal_frames_pair_with_every_rgb_frame(recording):
    plan = plan_of(recording.path, reuse_thermal=True)
    # The last RGB frame is 63 ms from the last thermal one.
    assert [pair.rgb for pair in plan.pairs] == list(range(11))
    assert [pair.thermal for pair in plan.pairs] == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_the_offset_of_the_parameters_is_part_of_the_pairs(recording):
    plan = plan_of(recording.path, thermal_offset=-0.004)
    assert [pair.offset for pair in plan.pairs] == pytest.approx([0.0] * 4)
    assert plan.pairs[0].thermal_stamp == recording.stamps[0] + 4_000_000


def test_no_pairs_say_what_became_of_the_frames(recording):
    with pytest.raises(
        BagError, match=r"no pairs of 12 RGB and 4 thermal frames \(rgb_no_partner 12, thermal_no_partner 4\)"
    ):
        plan_of(recording.path, slop=0.001)


def test_a_camera_without_messages_is_named(tmp_path, record):
    made = record(
        tmp_path / "half", frames=3, change=lambda topic, index, message: None if "therm" in topic else message
    )
    with pytest.raises(BagError, match="no pairs: /thermal/image_raw has no messages"):
        plan_of(made.path)


def test_frames_that_cannot_be_used_are_counted_and_said_once(tmp_path, record):
    def change(topic, index, message):
        if topic == "/rgb/image_raw" and index in (0, 1):
            message.encoding = "mystery"
        return message

    plan = plan_of(record(tmp_path / "odd", frames=6, change=change).path)
    assert plan.dropped["rgb_invalid"] == 2
    assert len(plan.notes) == 1
    assert "mystery" in plan.notes[0]
    assert [pair.rgb for pair in plan.pairs] == [3]


def test_an_axis_never_has_more_than_600_bins():
    assert axis_of(0, 10 * SECOND).bins == 11
    for seconds in (599, 600, 601, 7200, 86400):
        axis = axis_of(SECOND, (1 + seconds) * SECOND)
        assert axis.bins <= 600
        assert axis.bin_of(SECOND) == 0
        assert axis.bin_of((1 + seconds) * SECOND) == axis.bins - 1
