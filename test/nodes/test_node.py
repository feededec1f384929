"""Pairs in, masks out: the real node over DDS."""

from __future__ import annotations

import array
import sys
import time

import numpy as np
import pytest

from rgbt_seg_ros.network import read_spec

MILLISECOND = 1_000_000


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def outputs(client, topic, stamp):
    return client.at(f"segmentation/{topic}", stamp)


def last_drops(client):
    report = max(client.received["segmentation/report"], key=lambda r: (r.processed, stamp_of(r)))
    return dict(zip(report.drop_reason, report.drop_count, strict=True)), report


def pair(client, stamp=None, offset=0, thermal=None, **changes):
    """Send a pair and wait for all that comes of it; return the stamp of its RGB image."""
    stamp = stamp or client.later()
    client.send("rgb", stamp, **changes)
    client.send("thermal", stamp + offset, thermal)
    # Topics have no order among each other.
    topics = ("mask", "confidence", "overlay", "result", "report")
    client.wait(lambda: all(outputs(client, topic, stamp) for topic in topics))
    return stamp


def settled_drops(client):
    pair(client)
    return last_drops(client)[0]


def test_a_pair_gives_masks_and_report_with_the_rgb_header_and_size(running):
    begun = time.perf_counter()
    stamp = pair(running, offset=7 * MILLISECOND)
    elapsed = time.perf_counter() - begun
    for topic in ("mask", "confidence", "overlay"):
        (message,) = outputs(running, topic, stamp)
        channels = 3 if topic == "overlay" else 1
        assert message.header.frame_id == "rgb_frame"
        assert (message.height, message.width) == (48, 64)
        assert message.encoding == ("rgb8" if topic == "overlay" else "mono8")
        assert message.step == 64 * channels
        assert len(message.data) == 48 * 64 * channels
    (report,) = outputs(running, "report", stamp)
    assert report.header.frame_id == "rgb_frame"
    assert report.thermal_stamp.nanosec == (stamp + 7 * MILLISECOND) % 10**9
    assert report.offset == pytest.approx(0.007)
    assert report.modality == report.MODALITY_RGB_THERMAL
    assert sum(report.class_pixels) + report.unlabeled_pixels == 48 * 64
    stages = dict(zip(report.stage, report.stage_duration, strict=True))
    expected = ["wait", "conversion", "thermal", "alignment", "preprocess", "network", "masks", "publish"]
    assert list(stages) == expected
    assert all(duration >= 0 for duration in stages.values())
    # What lies between stages belongs to no stage, and may be long on a busy machine.
    assert sum(stages.values()) - 1e-4 <= report.overhead + stages["network"] <= elapsed
    assert report.model == read_spec("demo").title


def test_result_holds_both_masks_the_class_table_and_both_stamps(running):
    stamp = pair(running, offset=-3 * MILLISECOND)
    (result,) = outputs(running, "result", stamp)
    assert result.mask.data == outputs(running, "mask", stamp)[0].data
    assert result.confidence.data == outputs(running, "confidence", stamp)[0].data
    assert list(result.class_id) == list(range(9))
    assert list(result.class_name)[:3] == ["unlabeled", "car", "person"]
    assert result.class_color[1].b == pytest.approx(128 / 255)
    assert result.thermal_stamp.nanosec == (stamp - 3 * MILLISECOND) % 10**9


@pytest.mark.parametrize(
    "thermal",
    [np.zeros((30, 40), np.uint8), np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)],
    ids=["mono8", "mono16"],
)
def test_thermal_of_another_size_or_depth_is_resampled(running, thermal):
    stamp = running.later()
    running.send("rgb", stamp)
    pixels = thermal.view(np.uint8)
    depth = thermal.dtype.itemsize
    running.send("thermal", stamp, pixels, encoding=f"mono{8 * depth}", width=thermal.shape[1])
    running.wait(lambda: outputs(running, "mask", stamp))
    assert outputs(running, "mask", stamp)[0].width == 64


def test_padded_rows_give_the_same_mask(running):
    rgb = np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    thermal = rgb[..., 0].copy()
    plain = pair(running, pixels=rgb, thermal=thermal)
    wide = np.zeros((48, 70, 3), np.uint8)
    wide[:, :64] = rgb
    padded = pair(running, pixels=wide, width=64, thermal=thermal)
    assert outputs(running, "mask", plain)[0].data == outputs(running, "mask", padded)[0].data


def test_thermal_at_a_third_of_the_rate_is_paired_once_a_frame_and_the_rest_is_counted(running):
    start = running.later()
    paired, alone = [], []
    for index in range(39):
        stamp = start + index * 33 * MILLISECOND
        if index % 3 == 0:
            paired.append(pair(running, stamp))
        else:
            running.send("rgb", stamp)
            alone.append(stamp)
        if index == 29:
            # Before its rhythm was known, a thermal camera as fast as in the tests before seemed to lose two of three.
            before, _ = last_drops(running)
    running.later(1.3)
    after = settled_drops(running)
    assert all(len(outputs(running, "mask", stamp)) == 1 for stamp in paired)
    assert not any(outputs(running, "mask", stamp) for stamp in alone[20:])
    # The last two of before count after their next pair.
    assert after["rgb_no_partner"] - before.get("rgb_no_partner", 0) == 6 + 2
    assert after.get("thermal_no_partner", 0) == before.get("thermal_no_partner", 0)


def test_an_rgb_frame_whose_thermal_frame_is_lost_takes_the_nearest_one(running):
    for _ in range(6):
        pair(running)
    for _ in range(10):
        stamp = running.later()
        running.send("rgb", stamp)
        after = pair(running, offset=-5 * MILLISECOND)
        # It is complete together with the next one, which a worker that is not idle yet may take in its place.
        if outputs(running, "report", stamp):
            break
        pair(running)
    (report,) = outputs(running, "report", stamp)
    assert report.offset == pytest.approx((after - 5 * MILLISECOND - stamp) * 1e-9)
    assert len(outputs(running, "mask", stamp)) == 1


def test_late_thermal_frames_still_pair_and_every_pair_is_accounted_for(running):
    settled_drops(running)
    before, first = last_drops(running)
    stamps = [running.later(0.2) for _ in range(4)]
    for stamp in stamps:
        running.send("rgb", stamp)
    running.spin(0.2)
    for stamp in stamps:
        running.send("thermal", stamp)
    running.wait(lambda: outputs(running, "report", stamps[-1]))
    # The one before may be counted after the report of the one that replaced it was made: not after the next one's.
    settled_drops(running)
    after, last = last_drops(running)
    superseded = after.get("pair_superseded", 0) - before.get("pair_superseded", 0)
    assert last.processed - first.processed + superseded == 4 + 1


def test_frames_without_a_partner_and_duplicates_are_counted_by_reason(running):
    before = settled_drops(running)
    # Further from other thermal frames than the slop.
    running.send("rgb", running.later(0.06))
    stamp = running.later(0.06)
    pair(running, stamp)
    running.send("thermal", stamp)
    running.send("thermal", running.later())
    after = settled_drops(running)
    for reason in ("rgb_no_partner", "thermal_no_partner", "thermal_duplicate"):
        assert after[reason] - before.get(reason, 0) == 1, reason


@pytest.mark.parametrize(
    ("stream", "changes"),
    [
        ("rgb", {"encoding": "rgb16"}),
        ("rgb", {"step": 10}),
        ("rgb", {"height": 480}),
        ("rgb", {"width": 0}),
        ("thermal", {"encoding": "64FC1"}),
        ("thermal", {"encoding": ""}),
        ("thermal", {"data": array.array("B", [1, 2, 3])}),
    ],
    ids=str,
)
def test_a_wrong_image_is_dropped_counted_and_the_next_pair_goes_on(running, stream, changes):
    before = settled_drops(running)
    running.send(stream, running.later(), **changes)
    after = settled_drops(running)
    assert after[f"{stream}_invalid"] - before.get(f"{stream}_invalid", 0) == 1


def test_stamps_that_run_backwards_do_not_stop_the_masks(running):
    start = running.later(100)
    first = [pair(running, start + index * 100 * MILLISECOND) for index in range(3)]
    back = start - 50 * 10**9
    for lap in range(2):
        for index in range(3):
            pair(running, back - lap * 10**9 + index * 100 * MILLISECOND)
    assert all(outputs(running, "mask", stamp) for stamp in first)
    running.later(1000)


def test_nav2_reads_the_masks_by_row_and_column_with_equal_stamps(running):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    best_effort = {}
    for topic in ("mask", "confidence"):
        running.node.create_subscription(
            Image,
            f"segmentation/{topic}",
            lambda m, t=topic: best_effort.setdefault((t, stamp_of(m)), m),
            qos_profile_sensor_data,
        )

    def both():
        # Until it is discovered, and wherever a message is lost, nothing comes.
        stamp = pair(running)
        topics = [(topic, stamp) for topic in ("mask", "confidence")]
        return stamp if running.within(lambda: all(topic in best_effort for topic in topics), 1.0) else None

    stamp = next(filter(None, (both() for _ in range(60))))
    mask, confidence = best_effort["mask", stamp], best_effort["confidence", stamp]
    assert len(mask.data) == len(confidence.data) == mask.width * mask.height
    counted = np.bincount(np.asarray(mask.data, np.uint8), minlength=256)
    (report,) = outputs(running, "report", stamp)
    assert list(counted[:9]) == list(report.class_pixels)
    assert (np.asarray(confidence.data)[np.asarray(mask.data) == 255] == 0).all()


def test_label_info_is_latched_where_vision_msgs_is_installed(running):
    messages = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    from rclpy.qos import DurabilityPolicy, QoSProfile

    labels = running.listen(
        messages.LabelInfo,
        "segmentation/label_info",
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    )
    running.wait(lambda: labels)
    assert [(entry.class_id, entry.class_name) for entry in labels[0].class_map][1] == (1, "car")


def test_auto_qos_follows_a_reliable_publisher(running):
    from rclpy.qos import ReliabilityPolicy

    def offers():
        infos = running.node.get_subscriptions_info_by_topic("/front/rgb/image_raw")
        return [info.qos_profile.reliability for info in infos]

    running.wait(lambda: offers() == [ReliabilityPolicy.RELIABLE])


def test_diagnostics_tell_what_goes_on(running):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    statuses = running.listen(DiagnosticArray, "/diagnostics")

    def level(expected, words):
        return any(s.level == expected and words in s.message for array_ in statuses for s in array_.status)

    # Both cameras have stopped.
    running.wait(lambda: level(DiagnosticStatus.ERROR, "no images on /front/rgb/image_raw"))
    values = {v.key: v.value for v in statuses[-1].status[0].values}
    assert values["model"] == read_spec("demo").title
    assert int(values["processed"]) > 0
    assert values["rgb qos"] == "reliable"


def test_enable_stops_and_resumes(running):
    from diagnostic_msgs.msg import DiagnosticArray
    from std_srvs.srv import SetBool

    def enable(on):
        return running.call(SetBool, "/front/rgbt_segmentation/enable", SetBool.Request(data=on))[0].success

    def dropped():
        values = {entry.key: entry.value for array in statuses[-1:] for entry in array.status[0].values}
        return [values.get(f"dropped {stream}_disabled") for stream in ("rgb", "thermal")]

    statuses = running.listen(DiagnosticArray, "/diagnostics")
    assert enable(False)
    stamp = running.later()
    running.send("rgb", stamp)
    running.send("thermal", stamp)
    running.wait(lambda: dropped() == ["1", "1"])
    # Nobody calls a camera silent whose images are not wanted.
    assert {status.message for status in statuses[-1].status} == {"disabled by ~/enable"}
    assert enable(True)
    assert settled_drops(running)["rgb_disabled"] == 1
    assert not outputs(running, "mask", stamp)


def test_big_endian_thermal_gives_the_same_mask(running):
    if sys.byteorder != "little":
        pytest.skip("the machine is big-endian itself")
    counts = np.random.default_rng(9).integers(0, 65536, (48, 64), dtype=np.uint16)
    rgb = np.zeros((48, 64, 3), np.uint8)
    masks = []
    for big in (0, 1):
        stamp = running.later()
        pixels = (counts.byteswap() if big else counts).view(np.uint8)
        running.send("rgb", stamp, rgb)
        running.send("thermal", stamp, pixels, encoding="16UC1", width=64, is_bigendian=big)
        running.wait(lambda s=stamp: outputs(running, "mask", s))
        masks.append(outputs(running, "mask", stamp)[0].data)
    assert masks[0] == masks[1]
