"""Pairs of a bag, before any image is looked at."""

from __future__ import annotations

from functools import partial

import pytest

from rgbt_seg_ros.data.bags.messages import make
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.evaluation.bags.axis import axis_of
from rgbt_seg_ros.evaluation.bags.plan import make_plan
from rgbt_seg_ros.pipeline.pairing.fallback import FALLBACKS
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, PairingSettings

SECOND = 1_000_000_000


def plan_of(path, alone="none", **settings):
    with Bag(path) as bag:
        pairer = partial(NearestPairer, PairingSettings(**settings))
        return make_plan(bag, find_cameras(bag), pairer, FALLBACKS[alone])


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


def faulty(path, record, change, frames=60):
    """Write a drive whose two cameras have one rate; ``change(stream, index, message)`` may drop or alter a message."""
    return record(path, frames=frames, every=1, change=lambda topic, *rest: change(topic.split("/")[1], *rest)).path


def test_frames_of_the_camera_that_is_left_are_planned_alone(tmp_path, record):
    def change(stream, index, message):
        return None if stream == "thermal" and 20 <= index < 40 else message

    path = faulty(tmp_path / "gone", record, change)
    plan = plan_of(path, "both")
    assert (plan.of("rgbt"), plan.of("rgb"), plan.of("thermal")) == (39, 21, 0)
    alone = [pair for pair in plan.pairs if pair.modality == "rgb"]
    assert {(pair.thermal, pair.thermal_stamp, pair.offset) for pair in alone} == {(-1, 0, 0.0)}
    assert [pair.rgb for pair in plan.pairs] == list(range(60))
    assert [(band.stream, str(band.fault), band.pairs) for band in plan.faults] == [("thermal", "silent", 21)]
    assert plan_of(path, fill_gaps=False).of("rgbt") == 40


def test_thermal_frames_alone_know_the_size_and_the_frame_of_the_rgb_camera(tmp_path, record):
    def change(stream, index, message):
        return None if stream == "rgb" and index >= 20 else message

    plan = plan_of(faulty(tmp_path / "gone", record, change, frames=40), "both")
    alone = [pair for pair in plan.pairs if pair.modality == "thermal"]
    assert len(alone) == 20
    assert {(pair.rgb, pair.image_size, pair.frame_id) for pair in alone} == {(-1, (48, 64), "rgb_optical")}


def test_a_repeated_picture_is_never_planned_as_part_of_a_pair(tmp_path, record):
    kept = {}

    def change(stream, index, message):
        if stream == "thermal" and index == 19:
            kept["data"] = message.data
        elif stream == "thermal" and 20 <= index < 40:
            message.data = kept["data"]
        return message

    plan = plan_of(faulty(tmp_path / "frozen", record, change), "both")
    assert [pair.rgb for pair in plan.pairs if pair.modality == "rgb"] == list(range(20, 40))
    assert [(band.stream, str(band.fault), band.pairs) for band in plan.faults] == [("thermal", "frozen", 20)]


def test_a_bag_whose_cameras_never_meet_is_refused_although_one_could_be_segmented(tmp_path, record):
    path = faulty(tmp_path / "half", record, lambda stream, index, message: None if stream == "thermal" else message)
    with pytest.raises(BagError, match="no pairs: /thermal/image_raw has no messages"):
        plan_of(path, "both")


def test_one_lost_frame_is_no_fault(tmp_path, record):
    def change(stream, index, message):
        return None if stream == "thermal" and index == 30 else message

    plan = plan_of(faulty(tmp_path / "lost", record, change), "both", fill_gaps=False)
    assert (plan.of("rgbt"), plan.of("rgb")) == (59, 1)
    assert plan.faults == ()


def test_what_a_driver_says_about_its_images_counts_as_in_the_node(tmp_path, record):
    words = {10: False, 20: True}
    whole = faulty(tmp_path / "whole", record, lambda stream, index, message: message)
    with Bag(whole) as source, BagWriter(tmp_path / "said") as writer:
        for topic in source.topics.values():
            writer.copy_topic(topic)
        writer.add_topic("/thermal/valid", "std_msgs/msg/Bool")
        seen = 0
        for raw in source.messages():
            if raw.topic == "/rgb/image_raw":
                if seen in words:
                    writer.write("/thermal/valid", raw.log_time, make("std_msgs/msg/Bool", data=words[seen]))
                seen += 1
            writer.write_raw(raw)
    plan = plan_of(tmp_path / "said", "both", fill_gaps=False)
    assert [pair.rgb for pair in plan.pairs if pair.modality == "rgb"] == list(range(10, 20))
    assert plan.dropped["thermal_declared_invalid"] == 10
    assert [(band.stream, str(band.fault), band.pairs) for band in plan.faults] == [("thermal", "declared", 10)]
