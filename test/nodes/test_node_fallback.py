"""Masks of one camera while the other one fails, over real DDS."""

from __future__ import annotations

import numpy as np
import pytest

from test.nodes.conftest import SIZE, SMALL, NodeProcess

pytest.importorskip("rclpy")

RGBT, RGB, THERMAL = 0, 1, 2
INTERVAL = 0.05


def listen(client):
    """Collect what a node says."""
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport, Segmentation

    for kind, topic in (
        (FrameReport, "segmentation/report"),
        (Image, "segmentation/mask"),
        (Image, "segmentation/overlay"),
        (Segmentation, "segmentation/result"),
        (DiagnosticArray, "/diagnostics"),
    ):
        client.listen(kind, topic)


@pytest.fixture(scope="module")
def robot(tmp_path_factory, module_client, nursery):
    """One node that falls back, with pairs; each test leaves it with both cameras."""
    folder = tmp_path_factory.mktemp("node")
    given = {**SMALL, "sync.fallback": "both"}
    process = NodeProcess(folder / "node.log", given, folder / "cache", nursery=nursery)
    module_client.process = process
    listen(module_client)
    try:
        module_client.connect()
        yield module_client
    finally:
        code = process.stop()
    assert code == 0, process.log


@pytest.fixture
def pairs(robot):
    """Return the client of a node that knows the rhythm of both cameras."""
    play(robot, count(robot, RGBT, 15))
    for messages in robot.received.values():
        messages.clear()
    return robot


def stamp_of(message):
    return message.sec * 10**9 + message.nanosec


def reports(client, modality=None):
    found = client.received["segmentation/report"]
    return [report for report in found if modality in (None, report.modality)]


def codes(client, status):
    """Return the codes that a status has had, by the end of its name."""
    return [
        {value.key: value.value for value in entry.values}["code"]
        for array in client.received["/diagnostics"]
        for entry in array.status
        if entry.name.endswith(status)
    ]


def play(client, done, streams=("rgb", "thermal"), **pixels):
    """Send frames of these streams at the cameras' rate until done() is true; return their stamps."""
    sent = []

    def send():
        stamp = client.later(INTERVAL)
        sent.append(stamp)
        for stream in streams:
            client.send(stream, stamp, pixels.get(stream))

    client.until(done, send, INTERVAL)
    return sent


def count(client, modality, at_least):
    have = len(reports(client, modality))
    return lambda: len(reports(client, modality)) >= have + at_least


def test_rgb_goes_on_alone_while_thermal_is_gone_and_pairs_come_back(pairs):
    client = pairs
    alone = play(client, count(client, RGB, 5), ["rgb"])
    for report in reports(client, RGB):
        assert stamp_of(report.thermal_stamp) == 0
        assert report.offset == 0.0
        assert report.header.frame_id == "rgb_frame"
    assert {stamp_of(report.header.stamp) for report in reports(client, RGB)} & set(alone)
    result = next(m for m in client.received["segmentation/result"] if m.modality == RGB)
    assert stamp_of(result.thermal_stamp) == 0
    play(
        client,
        lambda: "silent" in codes(client, "thermal camera") and "rgb_alone" in codes(client, "segmentation"),
        ["rgb"],
    )
    said = "masks are made of the rgb image alone; thermal: no images on"
    play(client, lambda: said in client.process.log, ["rgb"])
    back = play(client, count(client, RGBT, 3))
    assert stamp_of(reports(client, RGBT)[-1].header.stamp) in back


def test_thermal_alone_gives_masks_in_the_pixels_and_the_frame_of_the_rgb_camera(pairs):
    client = pairs
    sent = play(client, count(client, THERMAL, 3), ["thermal"])
    report = reports(client, THERMAL)[-1]
    assert report.header.frame_id == "rgb_frame"
    assert stamp_of(report.header.stamp) == stamp_of(report.thermal_stamp)
    assert stamp_of(report.header.stamp) in sent
    client.wait(lambda: client.at("segmentation/mask", stamp_of(report.header.stamp)))
    mask = client.at("segmentation/mask", stamp_of(report.header.stamp))[0]
    assert (mask.height, mask.width) == SIZE
    client.wait(lambda: client.at("segmentation/overlay", stamp_of(report.header.stamp)))


@pytest.mark.parametrize("stream", ["rgb", "thermal"])
def test_a_camera_that_repeats_its_last_image_is_never_fused(pairs, stream):
    client = pairs
    shape = (*SIZE, 3) if stream == "rgb" else SIZE
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    left = THERMAL if stream == "rgb" else RGB
    sent = play(client, count(client, left, 12), **{stream: picture})
    # The first that the node sees of them is new: nothing tells that it will stay.
    assert len({stamp_of(report.header.stamp) for report in reports(client, RGBT)} & set(sent)) <= 1
    play(client, lambda: "frozen" in codes(client, f"{stream} camera"), **{stream: picture})
    play(client, count(client, RGBT, 3))


def test_pictures_of_a_closed_shutter_are_never_fused(pairs):
    client = pairs
    noise = np.random.default_rng(2)
    sent = []

    def closed():
        stamp = client.later(INTERVAL)
        sent.append(stamp)
        client.send("rgb", stamp)
        client.send("thermal", stamp, noise.integers(119, 122, SIZE, dtype=np.uint8))

    client.until(lambda: {stamp_of(r.header.stamp) for r in reports(client, RGB)} & set(sent[5:]), closed, INTERVAL)
    assert not {stamp_of(report.header.stamp) for report in reports(client, RGBT)} & set(sent)
    play(client, count(client, RGBT, 3))


def test_the_word_of_a_driver_counts(pairs):
    from std_msgs.msg import Bool

    client = pairs
    valid = client.node.create_publisher(Bool, "thermal/valid", 10)
    client.wait(valid.get_subscription_count)
    valid.publish(Bool(data=False))
    play(client, count(client, RGB, 3))
    play(client, lambda: "declared" in codes(client, "thermal camera"))
    assert reports(client)[-1].modality == RGB
    assert "thermal_declared_invalid" in reports(client)[-1].drop_reason
    valid.publish(Bool(data=True))
    play(client, count(client, RGBT, 3))


def test_both_cameras_gone_is_an_error(pairs):
    client = pairs
    client.wait(lambda: "no_images" in codes(client, "segmentation"))


def test_both_cameras_come_back_together(pairs):
    client = pairs
    client.wait(lambda: "no_images" in codes(client, "segmentation"))
    back = play(client, count(client, RGBT, 3))
    # Nothing goes alone only because both were away.
    assert len({stamp_of(r.header.stamp) for r in reports(client) if r.modality != RGBT} & set(back)) <= 1
    for camera in ("rgb camera", "thermal camera"):
        play(client, lambda camera=camera: codes(client, camera)[-1] == "ok")


def test_stamps_that_begin_again_at_0_are_a_bag_that_starts_again(pairs):
    client = pairs
    before, client._clock = client._clock, 0
    try:
        again = play(client, count(client, RGBT, 5))
        assert {stamp_of(r.header.stamp) for r in reports(client, RGBT)} & set(again)
    finally:
        client._clock = before
    play(client, count(client, RGBT, 5))


def test_a_camera_that_fails_every_few_frames_costs_no_rgb_frame_its_mask(pairs):
    client = pairs
    sent, thermal = [], []

    def send():
        stamp = client.later(INTERVAL)
        client.send("rgb", stamp)
        # 0.3 s with it, 0.3 s without.
        if len(sent) // 6 % 2 == 0:
            client.send("thermal", stamp)
            thermal.append(stamp)
        sent.append(stamp)

    client.until(lambda: len(sent) >= 60, send, INTERVAL)
    client.wait(lambda: client.at("segmentation/report", sent[-8]))
    made = {stamp_of(report.header.stamp): report.modality for report in reports(client)}
    # The network may be too slow for some on a busy machine, which is counted.
    dropped = dict(zip(reports(client)[-1].drop_reason, reports(client)[-1].drop_count, strict=True))
    missing = [stamp for stamp in sent[:-8] if stamp not in made]
    assert len(missing) <= dropped.get("pair_superseded", 0) + dropped.get("rgb_lost_in_transport", 0)
    assert {stamp for stamp, modality in made.items() if modality == RGBT} & set(sent) <= set(thermal)
    play(client, count(client, RGBT, 3))


def test_a_thermal_camera_of_a_quarter_of_the_rate_is_not_at_fault(pairs):
    client = pairs
    sent = []

    def send():
        stamp = client.later(INTERVAL)
        sent.append(stamp)
        client.send("rgb", stamp)
        if len(sent) % 4 == 0:
            client.send("thermal", stamp)

    client.until(count(client, RGBT, 12), send, INTERVAL)
    for array in client.received.values():
        array.clear()
    client.until(count(client, RGBT, 6), send, INTERVAL)
    assert {stamp_of(report.header.stamp) for report in reports(client, RGBT)} <= set(sent[3::4])
    client.until(lambda: codes(client, "thermal camera"), send, INTERVAL)
    assert set(codes(client, "thermal camera")) == {"ok"}


def test_cameras_of_different_clocks_are_said_to_be_unpaired(pairs):
    client = pairs

    def send():
        stamp = client.later(INTERVAL)
        client.send("rgb", stamp)
        client.send("thermal", stamp - 1_000_000_000_000)

    client.until(lambda: "unpaired" in codes(client, "segmentation"), send, INTERVAL)
    play(client, count(client, RGBT, 3))
